//! The pods of the watched namespaces, as far as they are counted. By namespace, as each count asks about one of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use kube::runtime::watcher::Event;
use rototo_api::names::workspace_label;
use tokio::sync::watch;

use crate::fleet::Pods;

/// What one watch has brought.
#[derive(Default)]
pub struct PodIndex {
    known: Mutex<Known>,
    listed: watch::Sender<bool>,
}

#[derive(Default)]
struct Known {
    namespaces: Namespaces,
    /// A list that is under way, and takes the place of what is known when it is complete.
    listing: Namespaces,
}

/// By namespace and by name.
type Namespaces = HashMap<String, BTreeMap<String, Seen>>;

/// What is kept of a pod.
struct Seen {
    uid: String,
    labels: BTreeMap<String, String>,
    /// It runs, and is not about to end.
    runs: bool,
}

/// Which pods should follow a workspace.
pub enum Selection {
    /// Those with this label, whatever its value.
    Labelled(String),
    /// Those of the workspace's own selector. One that can't be understood selects nothing, rather than everything.
    Custom(Option<Selector>),
}

impl Selection {
    /// The pods that carry the label of the workspace.
    #[must_use]
    pub fn labelled(workspace: &str) -> Self {
        Self::Labelled(workspace_label(workspace))
    }

    /// The pods of `spec.fleet.selector`.
    #[must_use]
    pub fn custom(selector: LabelSelector) -> Self {
        Self::Custom(Selector::try_from(selector).ok())
    }

    fn covers(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Labelled(label) => labels.contains_key(label),
            Self::Custom(selector) => selector.as_ref().is_some_and(|selector| selector.matches(labels)),
        }
    }
}

impl PodIndex {
    /// Takes in what the watch brings.
    pub fn take(&self, event: &Event<Pod>) {
        let mut known = self.lock();
        match event {
            Event::Init => known.listing.clear(),
            Event::InitApply(pod) => keep(&mut known.listing, pod),
            Event::InitDone => {
                known.namespaces = std::mem::take(&mut known.listing);
                drop(known);
                self.listed.send_replace(true);
            }
            Event::Apply(pod) => keep(&mut known.namespaces, pod),
            Event::Delete(pod) => forget(&mut known.namespaces, pod),
        }
    }

    /// Waits until the first list is complete.
    pub async fn wait_until_listed(&self) {
        // It ends only with the index.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// Adds the running pods of a namespace to `pods`.
    pub fn count(&self, namespace: &str, selection: &Selection, pods: &mut Pods) {
        let known = self.lock();
        let running = known.namespaces.get(namespace).into_iter().flatten().filter(|(_, pod)| pod.runs);
        for (name, pod) in running {
            if selection.covers(&pod.labels) {
                pods.selected.insert(pod.uid.clone(), name.clone());
            }
            pods.running.insert(pod.uid.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(namespaces: &mut Namespaces, pod: &Pod) {
    let Some(uid) = pod.uid() else { return };
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let runs = phase == Some("Running") && pod.metadata.deletion_timestamp.is_none();
    let seen = Seen { uid, labels: pod.labels().clone(), runs };
    namespaces.entry(pod.namespace().unwrap_or_default()).or_default().insert(pod.name_any(), seen);
}

fn forget(namespaces: &mut Namespaces, pod: &Pod) {
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(pods) = namespaces.get_mut(&namespace) {
        pods.remove(&pod.name_any());
        if pods.is_empty() {
            namespaces.remove(&namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, phase: &str) -> Pod {
        let labels = serde_json::json!({ workspace_label("config"): "" });
        let metadata = serde_json::json!({ "namespace": namespace, "name": name, "uid": name, "labels": labels });
        serde_json::from_value(serde_json::json!({ "metadata": metadata, "status": { "phase": phase } })).unwrap()
    }

    fn check(events: Vec<Event<Pod>>, expected: &[&str]) {
        let index = PodIndex::default();
        events.iter().for_each(|event| index.take(event));
        let mut pods = Pods::default();
        index.count("prod", &Selection::labelled("config"), &mut pods);
        assert_eq!(pods.selected.into_values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn running_pods_of_the_namespace_are_counted() {
        let of = |namespace, name, phase| Event::Apply(pod(namespace, name, phase));
        check(vec![of("prod", "a", "Running"), of("test", "b", "Running"), of("prod", "c", "Pending")], &["a"]);
        check(vec![of("prod", "a", "Running"), of("prod", "a", "Succeeded")], &[]);
        check(vec![of("prod", "a", "Running"), Event::Delete(pod("prod", "a", "Running"))], &[]);
    }

    #[test]
    fn a_list_replaces_what_was_known_when_it_is_complete() {
        let before = || vec![Event::Apply(pod("prod", "old", "Running")), Event::Init];
        let listed = || before().into_iter().chain([Event::InitApply(pod("prod", "new", "Running"))]);
        check(listed().collect(), &["old"]);
        check(listed().chain([Event::InitDone]).collect(), &["new"]);
    }

    #[test]
    fn a_selector_that_cannot_be_understood_selects_nothing() {
        let nonsense = serde_json::json!({ "matchExpressions": [{ "key": "a", "operator": "Resembles" }] });
        let selection = Selection::custom(serde_json::from_value(nonsense).unwrap());
        assert!(!selection.covers(&BTreeMap::from([("a".to_owned(), "b".to_owned())])));
    }
}
