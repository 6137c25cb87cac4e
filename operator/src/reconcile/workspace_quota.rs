//! The number of workspaces of one namespace whose sources are read.
//!
//! Each workspace keeps its parsed content in memory, so a namespace with any number of them takes the memory of all
//! others. The oldest ones count first, so a new workspace never takes the place of one that works.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use rototo_api::workspace::RototoWorkspace;

use crate::workspace_key::WorkspaceKey;

/// The time for which the order of workspaces is not computed again: one computation looks at all of them.
const COUNTED_FOR: Duration = Duration::from_secs(1);

/// The order of the workspaces of each namespace, by age.
#[derive(Debug, Default)]
pub(crate) struct WorkspaceQuota(Mutex<Option<Ranks>>);

#[derive(Debug)]
struct Ranks {
    at: Instant,
    of: HashMap<WorkspaceKey, usize>,
}

impl WorkspaceQuota {
    /// Returns whether fewer than `limit` workspaces of the namespace are older than this one. `all` returns all
    /// workspaces.
    pub(crate) fn admits<W: AsRef<RototoWorkspace>>(
        &self,
        key: &WorkspaceKey,
        limit: usize,
        all: impl FnOnce() -> Vec<W>,
        now: Instant,
    ) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.as_ref().filter(|ranks| now.saturating_duration_since(ranks.at) < COUNTED_FOR);
        let rank = match fresh.and_then(|ranks| ranks.of.get(key)) {
            Some(rank) => *rank,
            None => {
                let of = ranks(all().iter().map(AsRef::as_ref));
                let rank = of.get(key).copied().unwrap_or(0);
                *known = Some(Ranks { at: now, of });
                rank
            }
        };
        rank < limit
    }
}

/// Returns the number of older workspaces of the same namespace, for each workspace.
fn ranks<'a>(all: impl Iterator<Item = &'a RototoWorkspace>) -> HashMap<WorkspaceKey, usize> {
    let mut by_age: Vec<(Option<Time>, WorkspaceKey)> =
        all.map(|workspace| (workspace.creation_timestamp(), WorkspaceKey::of(workspace))).collect();
    by_age.sort_by(|(age, key), (other_age, other)| (age, &key.name).cmp(&(other_age, &other.name)));
    let mut counted: HashMap<String, usize> = HashMap::new();
    by_age
        .into_iter()
        .map(|(_, key)| {
            let count = counted.entry(key.namespace.clone()).or_default();
            *count += 1;
            (key, *count - 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn workspace(namespace: &str, name: &str, minute: u32) -> Arc<RototoWorkspace> {
        let created = format!("2026-11-26T10:{minute:0>2}:00Z");
        let metadata = serde_json::json!({ "namespace": namespace, "name": name, "creationTimestamp": created });
        Arc::new(
            serde_json::from_value(serde_json::json!({ "metadata": metadata, "spec": { "source": "x" } })).unwrap(),
        )
    }

    #[test]
    fn the_youngest_workspaces_of_a_namespace_are_left_out_and_no_other() {
        let start = Instant::now();
        let mut all: Vec<_> = (0..5).map(|number| workspace("greedy", &format!("w{number}"), 10 - number)).collect();
        all.push(workspace("other", "w", 59));
        let quota = WorkspaceQuota::default();
        let admits = |all: &[Arc<RototoWorkspace>], namespace: &str, name: &str, seconds: u64| {
            let key = WorkspaceKey { namespace: namespace.to_owned(), name: name.to_owned() };
            quota.admits(&key, 3, || all.to_vec(), start + Duration::from_secs(seconds))
        };
        let admitted = |all: &[Arc<RototoWorkspace>], seconds| {
            ["w0", "w1", "w2", "w3", "w4"].map(|name| admits(all, "greedy", name, seconds))
        };
        assert_eq!(admitted(&all, 0), [false, false, true, true, true]);
        assert!(admits(&all, "other", "w", 0));
        // A new one is known at once, and changes nothing for those before it.
        all.push(workspace("greedy", "new", 30));
        assert!(!admits(&all, "greedy", "new", 0));
        assert_eq!(admitted(&all, 0), [false, false, true, true, true]);
        // One that is removed makes room for the next one in age.
        all.retain(|workspace| workspace.name_any() != "w4");
        assert_eq!(admitted(&all, 2)[1..4], [true, true, true]);
        assert!(!admits(&all, "greedy", "new", 2));
    }

    #[test]
    fn workspaces_of_one_second_are_in_the_order_of_their_names() {
        let all = [workspace("a", "y", 0), workspace("a", "x", 0)];
        let ranks = ranks(all.iter().map(AsRef::as_ref));
        let rank = |name: &str| ranks[&WorkspaceKey { namespace: "a".to_owned(), name: name.to_owned() }];
        assert_eq!((rank("x"), rank("y")), (0, 1));
    }
}
