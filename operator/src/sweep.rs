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

/// Removes what belongs to no workspace. Says whether nothing is left.
pub async fn sweep(
    context: &Context,
    scope: &Scope,
    workspaces: &Store<RototoWorkspace>,
    maps: &Store<ConfigMap>,
) -> bool {
    for (key, _) in context.records.all() {
        if scope.covers(&key.namespace) && !context.exists(&key) {
            context.records.remove(&key);
            context.metrics.forget(&key);
        }
    }
    let mut all = true;
    for namespace in maps.state().iter().filter_map(|map| map.namespace()) {
        let turn = context.maps.turn(&namespace);
        let _turn = turn.lock().await;
        // What was decided on before the last wait may have changed since.
        if !context.leadership.is_held(Instant::now()) {
            return true;
        }
        // The watch may be behind what was written a moment ago.
        let Some(map) = context.maps.newest(&namespace) else { continue };
        let gone = left_over(&map, &context.address.install, &names(workspaces, &namespace));
        if !gone.is_empty() {
            all &= remove(context, &namespace, &map, gone).await;
        }
    }
    all
}

fn names(workspaces: &Store<RototoWorkspace>, namespace: &str) -> BTreeSet<String> {
    let workspaces = workspaces.state();
    let own = workspaces.iter().filter(|workspace| workspace.namespace().as_deref() == Some(namespace));
    own.map(|workspace| workspace.name_any()).collect()
}

async fn remove(context: &Context, namespace: &str, map: &ConfigMap, gone: Map<String, Value>) -> bool {
    let removed: Vec<_> = gone.keys().cloned().collect();
    let at = At::Version(map.resource_version().unwrap_or_default());
    match context.address.write(&context.client, namespace, gone, &at).await {
        Ok(map) => context.maps.saw(namespace, Some(map.into())),
        Err(error) => {
            warn!(namespace, %error, "markers of removed workspaces could not be removed; tried again");
            return false;
        }
    }
    info!(namespace, ?removed, "removed the markers of workspaces that are gone");
    for name in removed {
        let key = Key { namespace: namespace.to_owned(), name };
        if let Err(error) = context.snapshots.retain(&key, BTreeSet::new()).await {
            warn!(%error, namespace, name = key.name, "the snapshots of a removed workspace could not be deleted");
        }
    }
    true
}

/// The keys of a map of this install that name no workspace, each with null, which removes it.
fn left_over(map: &ConfigMap, install: &str, alive: &BTreeSet<String>) -> Map<String, Value> {
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
        let left = left_over(&map("ns/us"), "ns/us", &BTreeSet::from(["alive".to_owned()]));
        assert_eq!(left.into_iter().collect::<Vec<_>>(), [("gone".to_owned(), Value::Null)]);
    }

    #[test]
    fn the_map_of_another_install_is_left_alone() {
        assert!(left_over(&map("ns/them"), "ns/us", &BTreeSet::new()).is_empty());
    }
}
