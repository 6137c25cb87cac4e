//! What is left of workspaces that are gone: their markers, and what the operator remembers of them.
//!
//! There are no finalizers: a workspace can be deleted while the operator is away, and this mends it at the next start.

use std::collections::BTreeSet;
use std::time::Instant;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use rototo_api::names::ANNOTATION_INSTALL;
use rototo_api::workspace::RototoWorkspace;
use serde_json::{Map, Value};
use tracing::{info, warn};

use crate::context::{Context, Key};
use crate::controller::Scope;
use crate::plan::At;

/// Removes what belongs to no workspace.
pub async fn sweep(context: &Context, scope: &Scope, workspaces: &Store<RototoWorkspace>, maps: &Store<ConfigMap>) {
    if !context.leadership.is_held(Instant::now()) {
        return;
    }
    let alive: BTreeSet<(String, String)> = workspaces
        .state()
        .iter()
        .map(|workspace| (workspace.namespace().unwrap_or_default(), workspace.name_any()))
        .collect();
    for (key, _) in context.records.all() {
        if scope.covers(&key.namespace) && !alive.contains(&(key.namespace.clone(), key.name.clone())) {
            context.records.remove(&key);
            context.metrics.forget(&key);
        }
    }
    for map in maps.state() {
        let namespace = map.namespace().unwrap_or_default();
        let names: BTreeSet<&str> =
            alive.iter().filter(|(of, _)| *of == namespace).map(|(_, name)| name.as_str()).collect();
        // The watch may be behind what was written a moment ago.
        let Some(map) = context.maps.newest(&namespace) else { continue };
        let gone = left_over(&map, &context.address.install, &names);
        if gone.is_empty() {
            continue;
        }
        for name in gone.keys() {
            let key = Key { namespace: namespace.clone(), name: name.clone() };
            if let Err(error) = context.snapshots.retain(&key, BTreeSet::new()).await {
                warn!(%error, namespace, name, "the snapshots of a removed workspace could not be deleted");
            }
        }
        let removed: Vec<_> = gone.keys().cloned().collect();
        let at = At::Version(map.resource_version().unwrap_or_default());
        match context.address.write(&context.client, &namespace, gone, &at).await {
            Ok(map) => {
                context.maps.saw(&namespace, Some(map.into()));
                info!(namespace, ?removed, "removed the markers of workspaces that are gone");
            }
            // The map's next event sweeps again.
            Err(error) => warn!(namespace, %error, "markers of removed workspaces could not be removed"),
        }
    }
}

/// The keys of a map of this install that name no workspace, each with null, which removes it.
fn left_over(map: &ConfigMap, install: &str, alive: &BTreeSet<&str>) -> Map<String, Value> {
    if map.annotations().get(ANNOTATION_INSTALL).map(String::as_str) != Some(install) {
        return Map::new();
    }
    let keys = map.data.iter().flatten().map(|(key, _)| key);
    keys.filter(|key| !alive.contains(key.as_str())).map(|key| (key.clone(), Value::Null)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(install: &str) -> ConfigMap {
        serde_json::from_value(serde_json::json!({
            "metadata": { "annotations": { ANNOTATION_INSTALL: install } },
            "data": { "alive": "{}", "gone": "{}" },
        }))
        .unwrap()
    }

    #[test]
    fn only_the_keys_of_workspaces_that_are_gone_are_removed() {
        let left = left_over(&map("ns/us"), "ns/us", &BTreeSet::from(["alive"]));
        assert_eq!(left.into_iter().collect::<Vec<_>>(), [("gone".to_owned(), Value::Null)]);
    }

    #[test]
    fn the_map_of_another_install_is_left_alone() {
        assert!(left_over(&map("ns/them"), "ns/us", &BTreeSet::new()).is_empty());
    }
}
