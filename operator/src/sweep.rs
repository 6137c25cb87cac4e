//! What is left of workspaces that are gone: their markers, and what the operator remembers of them.
//!
//! There are no finalizers: a workspace can be deleted while the operator is away, and this mends it at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use rototo_api::UpdatedAt;
use rototo_api::marker::Marker;
use rototo_api::names::ANNOTATION_INSTALL;
use rototo_api::workspace::RototoWorkspace;
use serde_json::{Map, Value};
use tracing::{info, warn};

use crate::context::Context;
use crate::controller::Scope;
use crate::markers::WriteError;
use crate::plan::At;
use crate::records::Key;

/// Removes what belongs to no workspace. Says whether nothing is left.
pub async fn sweep(
    context: &Arc<Context>,
    scope: &Scope,
    workspaces: &Store<RototoWorkspace>,
    maps: &Store<ConfigMap>,
) -> bool {
    let mut namespaces: BTreeMap<String, BTreeSet<String>> =
        maps.state().iter().filter_map(|map| Some((map.namespace()?, BTreeSet::new()))).collect();
    for (key, _) in context.records.all() {
        if scope.covers(&key.namespace) && !context.exists(&key) {
            namespaces.entry(key.namespace).or_default().insert(key.name);
        }
    }
    let mut all = true;
    for (namespace, known) in namespaces {
        match remove_markers(context, &namespace, &known, workspaces).await {
            Ok(removed) => {
                if !removed.is_empty() {
                    info!(namespace, ?removed, "removed the markers of workspaces that are gone");
                }
                forget_records(context, &namespace, known);
            }
            Err(error) => {
                warn!(namespace, %error, "markers of removed workspaces could not be removed; tried again");
                all = false;
            }
        }
    }
    // What a marker still names is kept.
    all && forget_snapshots(context, scope).await
}

/// First each marker says that its workspace is gone, then it goes. So a listener is told, and need not conclude it from
/// an absence. A workspace that was `known` and never published says so too: to take away what is not there would be no
/// event, and somebody may be waiting for its first publish. What is left of a sweep that was interrupted in between is
/// taken away by the next.
async fn remove_markers(
    context: &Context,
    namespace: &str,
    known: &BTreeSet<String>,
    workspaces: &Store<RototoWorkspace>,
) -> Result<BTreeSet<String>, WriteError> {
    let turn = context.maps.turn(namespace);
    let _turn = turn.lock().await;
    let mut removed = BTreeSet::new();
    for unheard in [known, &BTreeSet::new()] {
        // What was decided on before the last wait may have changed since. The watch may be behind one's own writes.
        let Some(map) = context.maps.newest(namespace).filter(|_| context.leadership.is_held(Instant::now())) else {
            break;
        };
        let alive = names(workspaces, namespace);
        let gone = left_over(&map, &context.address.install, &alive, unheard, Timestamp::now());
        if gone.is_empty() {
            break;
        }
        removed.extend(gone.keys().cloned());
        let at = At::Version(map.resource_version().unwrap_or_default());
        let map = context.address.write(&context.client, namespace, gone, &at).await?;
        context.maps.saw(namespace, Some(map.into()));
    }
    Ok(removed)
}

fn forget_records(context: &Context, namespace: &str, names: BTreeSet<String>) {
    for name in names {
        let key = Key { namespace: namespace.to_owned(), name };
        // It may have been created again meanwhile.
        if !context.exists(&key) {
            context.records.remove(&key);
            context.metrics.forget(&key);
        }
    }
}

/// Also those of a namespace that was deleted together with its map.
async fn forget_snapshots(context: &Arc<Context>, scope: &Scope) -> bool {
    let (scope, known) = (scope.clone(), context.clone());
    let gone = move |key: &Key| scope.covers(&key.namespace) && !known.exists(key);
    let forgotten = context.snapshots.forget(gone).await;
    if let Err(error) = &forgotten {
        warn!(%error, "the snapshots of removed workspaces could not be deleted; tried again");
    }
    forgotten.is_ok()
}

fn names(workspaces: &Store<RototoWorkspace>, namespace: &str) -> BTreeSet<String> {
    let workspaces = workspaces.state();
    let own = workspaces.iter().filter(|workspace| workspace.namespace().as_deref() == Some(namespace));
    own.map(|workspace| workspace.name_any()).collect()
}

/// The keys of a map of this install that name no workspace, each with what becomes of it: a published one is said to be
/// removed, and what says so already, or says nothing, goes. An `unheard` one that has no key is said to be removed.
fn left_over(
    map: &ConfigMap,
    install: &str,
    alive: &BTreeSet<String>,
    unheard: &BTreeSet<String>,
    now: Timestamp,
) -> Map<String, Value> {
    if map.annotations().get(ANNOTATION_INSTALL).map(String::as_str) != Some(install) {
        return Map::new();
    }
    let removed = |before| {
        let updated_at = UpdatedAt::after(before, now);
        Value::String(Marker::Removed { updated_at }.to_json())
    };
    let next = |text: &str| match Marker::parse(text) {
        Ok(Marker::Published { updated_at, .. }) => removed(Some(updated_at)),
        Ok(Marker::Removed { .. }) | Err(_) => Value::Null,
    };
    let heard = map.data.iter().flatten().map(|(name, text)| (name, next(text)));
    // What was heard of stands behind and counts.
    let all = unheard.iter().map(|name| (name, removed(None))).chain(heard);
    all.filter(|(name, _)| !alive.contains(*name)).map(|(name, marker)| (name.clone(), marker)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "2026-11-20T18:40:00.000000Z";

    fn map(install: &str) -> ConfigMap {
        let published = format!(r#"{{"schema_version":1,"fingerprint":"sha256:00","updated_at":"{BEFORE}"}}"#);
        let removed = format!(r#"{{"schema_version":1,"removed":true,"updated_at":"{BEFORE}"}}"#);
        serde_json::from_value(serde_json::json!({
            "metadata": { "annotations": { ANNOTATION_INSTALL: install } },
            "data": { "alive": published, "gone": published, "removed": removed, "unreadable": "{}" },
        }))
        .unwrap()
    }

    fn left(install: &str, alive: &[&str], unheard: &[&str]) -> Vec<(String, Value)> {
        let [alive, unheard] = [alive, unheard].map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        // A clock that went back: the name of the removal is later all the same.
        let now = "2026-11-20T18:00:00Z".parse().unwrap();
        left_over(&map(install), "ns/us", &alive, &unheard, now).into_iter().collect()
    }

    #[test]
    fn a_marker_says_that_its_workspace_is_gone_before_it_goes() {
        let said = r#"{"schema_version":1,"removed":true,"updated_at":"2026-11-20T18:40:00.000001Z"}"#;
        let expected = [("gone", Value::from(said)), ("removed", Value::Null), ("unreadable", Value::Null)];
        assert_eq!(
            left("ns/us", &["alive"], &["gone", "removed"]),
            expected.map(|(key, value)| (key.to_owned(), value))
        );
    }

    #[test]
    fn a_workspace_that_never_had_a_marker_says_so_too_and_one_that_lives_does_not() {
        let said = r#"{"schema_version":1,"removed":true,"updated_at":"2026-11-20T18:00:00.000000Z"}"#;
        let alive = ["alive", "gone", "removed", "unreadable"];
        assert_eq!(left("ns/us", &alive, &["alive", "new"]), [("new".to_owned(), Value::from(said))]);
        assert!(left("ns/us", &alive, &[]).is_empty());
    }

    #[test]
    fn the_map_of_another_install_is_left_alone() {
        assert!(left("ns/them", &[], &["new"]).is_empty());
    }
}
