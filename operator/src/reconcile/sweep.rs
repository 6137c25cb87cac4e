//! What is left of workspaces that are gone: their markers, and what the operator remembers of them.
//!
//! There are no finalizers: a workspace can be deleted while the operator is away, and this mends it at the next start.
//! Nothing goes because a cache lacks it: a watch may be behind, and the API server itself has the word.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::Store;
use kube::{Api, Client, ResourceExt};
use rototo_api::UpdatedAt;
use rototo_api::marker::Marker;
use rototo_api::names::ANNOTATION_INSTALL;
use rototo_api::workspace::RototoWorkspace;
use serde_json::{Map, Value};
use tracing::{info, warn};

use crate::marker::map::WriteError;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::record_store::WorkspaceKey;
use crate::reconcile::watches::WatchScope;
use rototo_protocol::plan::MapVersion;

/// How many namespaces are swept at once: one whose questions get no answer holds up no other.
const AT_ONCE: usize = 8;

/// Removes what belongs to no workspace. Says whether nothing is left.
pub async fn sweep(context: &Arc<OperatorContext>, scope: &WatchScope, maps: &Store<ConfigMap>) -> bool {
    let suspects = match suspects(context, scope, maps).await {
        Ok(suspects) => suspects,
        Err(error) => {
            warn!(%error, "the snapshots of removed workspaces could not be looked for; tried again");
            return false;
        }
    };
    let sweeps = stream::iter(suspects).map(|(namespace, names)| sweep_namespace(context, namespace, names));
    sweeps.buffer_unordered(AT_ONCE).fold(true, |all, done| ready(all && done)).await
}

/// By namespace, the names that something is left of and that the watch shows no workspace for. That alone proves
/// nothing, as a watch may be behind.
async fn suspects(
    context: &Arc<OperatorContext>,
    scope: &WatchScope,
    maps: &Store<ConfigMap>,
) -> io::Result<BTreeMap<String, BTreeSet<String>>> {
    let marked = maps.state().into_iter().filter_map(|map| {
        let namespace = map.namespace()?;
        let map = context.maps.newest(&namespace)?;
        let ours = is_of(&map, &context.map_metadata.install);
        let names: Vec<_> = map.data.iter().flatten().filter(|_| ours).map(|(name, _)| name.clone()).collect();
        Some(names.into_iter().map(move |name| WorkspaceKey { namespace: namespace.clone(), name }))
    });
    let known = context.records.all().into_iter().map(|(key, _)| key);
    // Also those of a namespace that was deleted together with its map.
    let kept = context.snapshots.keys().await?;
    let mut suspects: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in marked.flatten().chain(known).chain(kept) {
        if scope.covers(&key.namespace) && !context.exists(&key) {
            suspects.entry(key.namespace).or_default().insert(key.name);
        }
    }
    Ok(suspects)
}

async fn sweep_namespace(context: &Arc<OperatorContext>, namespace: String, suspects: BTreeSet<String>) -> bool {
    let Confirmed { gone, all } = confirm(&context.client, &namespace, suspects).await;
    if gone.is_empty() {
        return all;
    }
    match remove_markers(context, &namespace, &gone).await {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => info!(namespace, ?removed, "removed the markers of workspaces that are gone"),
        Err(error) => {
            warn!(namespace, %error, "markers of removed workspaces could not be removed; tried again");
            // What a marker still names is kept.
            return false;
        }
    }
    forget_records(context, &namespace, &gone);
    forget_snapshots(context, namespace, gone).await && all
}

/// The names that the API server itself says are gone.
#[derive(Debug, PartialEq, Eq)]
struct Confirmed {
    gone: BTreeSet<String>,
    /// Whether that is all of those in doubt.
    all: bool,
}

/// Asks for each suspect by name. One that exists stays, and what was not answered is asked again another time.
async fn confirm(client: &Client, namespace: &str, suspects: BTreeSet<String>) -> Confirmed {
    let workspaces: Api<RototoWorkspace> = Api::namespaced(client.clone(), namespace);
    let mut confirmed = Confirmed { gone: BTreeSet::new(), all: true };
    for name in suspects {
        match workspaces.get(&name).await {
            Err(error) if says_gone(&error, &name) => {
                confirmed.gone.insert(name);
            }
            Ok(_) => {
                warn!(namespace, name, "a workspace exists that the watch does not show: nothing of it is removed");
                confirmed.all = false;
            }
            Err(error) => {
                warn!(namespace, name, %error, "whether a workspace is gone could not be asked; tried again");
                confirmed.all = false;
                // The next questions would hardly fare better.
                break;
            }
        }
    }
    confirmed
}

/// An API server that does not serve the resource yet says 404 too, but names no object.
fn says_gone(error: &kube::Error, name: &str) -> bool {
    let kube::Error::Api(status) = error else { return false };
    status.code == 404 && status.details.as_ref().is_some_and(|of| of.name == name)
}

/// First each marker says that its workspace is gone, then it goes. So a listener is told, and need not conclude it from
/// an absence. A workspace that was known and never published says so too: to take away what is not there would be no
/// event, and somebody may be waiting for its first publish. What is left of a sweep that was interrupted in between is
/// taken away by the next.
async fn remove_markers(
    context: &OperatorContext,
    namespace: &str,
    gone: &BTreeSet<String>,
) -> Result<BTreeSet<String>, WriteError> {
    let key = |name: &String| WorkspaceKey { namespace: namespace.to_owned(), name: name.clone() };
    let known = gone.iter().filter(|name| context.records.get(&key(name)).is_some()).cloned().collect();
    let turn = context.maps.turn(namespace);
    let _turn = turn.lock().await;
    let mut removed = BTreeSet::new();
    for without_marker in [known, BTreeSet::new()] {
        // What was decided on before the last wait may have changed since. The watch may be behind one's own writes.
        let Some(map) = context.maps.newest(namespace).filter(|_| context.leadership.is_held(Instant::now())) else {
            break;
        };
        // One may have been created again since it was asked for.
        let gone = gone.iter().filter(|name| !context.exists(&key(name))).cloned().collect();
        let left = left_over(&map, &context.map_metadata.install, &gone, &without_marker, Timestamp::now());
        if left.is_empty() {
            break;
        }
        removed.extend(left.keys().cloned());
        let at = MapVersion::Version(map.resource_version().unwrap_or_default());
        // The client ends each of these two writes, so the turn is never held for long.
        let map = context.map_metadata.write(&context.client, namespace, left, &at).await?;
        context.maps.saw(namespace, Some(map.into()));
    }
    Ok(removed)
}

fn forget_records(context: &OperatorContext, namespace: &str, gone: &BTreeSet<String>) {
    for name in gone {
        let key = WorkspaceKey { namespace: namespace.to_owned(), name: name.clone() };
        // It may have been created again meanwhile.
        if !context.exists(&key) {
            context.records.remove(&key);
            context.metrics.forget(&key);
        }
    }
}

async fn forget_snapshots(context: &Arc<OperatorContext>, namespace: String, gone: BTreeSet<String>) -> bool {
    let known = context.clone();
    let gone = move |key: &WorkspaceKey| key.namespace == namespace && gone.contains(&key.name) && !known.exists(key);
    let forgotten = context.snapshots.forget(gone).await;
    if let Err(error) = &forgotten {
        warn!(%error, "the snapshots of removed workspaces could not be deleted; tried again");
    }
    forgotten.is_ok()
}

fn is_of(map: &ConfigMap, install: &str) -> bool {
    map.annotations().get(ANNOTATION_INSTALL).map(String::as_str) == Some(install)
}

/// What becomes of the keys of a map of this install whose workspaces are `gone`, by the API server's own word: a
/// published one is said to be removed, and what says so already, or says nothing, goes. An `without_marker` one that has no key
/// is said to be removed.
fn left_over(
    map: &ConfigMap,
    install: &str,
    gone: &BTreeSet<String>,
    without_marker: &BTreeSet<String>,
    now: Timestamp,
) -> Map<String, Value> {
    if !is_of(map, install) {
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
    let existing = map.data.iter().flatten().map(|(name, text)| (name, next(text)));
    // What was heard of stands behind and counts.
    let all = without_marker.iter().map(|name| (name, removed(None))).chain(existing);
    all.filter(|(name, _)| gone.contains(*name)).map(|(name, marker)| (name.clone(), marker)).collect()
}

#[cfg(test)]
mod tests {
    use kube::client::Body;
    use rototo_connection::limited;

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

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn left(install: &str, gone: &[&str], without_marker: &[&str]) -> Vec<(String, Value)> {
        // A clock that went back: the name of the removal is later all the same.
        let now = "2026-11-20T18:00:00Z".parse().unwrap();
        left_over(&map(install), "ns/us", &set(gone), &set(without_marker), now).into_iter().collect()
    }

    #[test]
    fn a_marker_says_that_its_workspace_is_gone_before_it_goes() {
        let said = r#"{"schema_version":1,"removed":true,"updated_at":"2026-11-20T18:40:00.000001Z"}"#;
        let expected = [("gone", Value::from(said)), ("removed", Value::Null), ("unreadable", Value::Null)];
        assert_eq!(
            left("ns/us", &["gone", "removed", "unreadable"], &["gone", "removed"]),
            expected.map(|(key, value)| (key.to_owned(), value))
        );
    }

    #[test]
    fn a_workspace_that_never_had_a_marker_says_so_too_and_one_that_may_live_does_not() {
        let said = r#"{"schema_version":1,"removed":true,"updated_at":"2026-11-20T18:00:00.000000Z"}"#;
        assert_eq!(left("ns/us", &["new"], &["alive", "new"]), [("new".to_owned(), Value::from(said))]);
        assert!(left("ns/us", &[], &["gone", "new"]).is_empty());
    }

    #[test]
    fn the_map_of_another_install_is_left_alone() {
        assert!(left("ns/them", &["gone", "new"], &["new"]).is_empty());
    }

    /// An API server on which `alive` exists, `gone` does not, `unserved` is of a resource that it does not know yet, and
    /// any other name gets no answer.
    fn server() -> Client {
        let answer = async |request: http::Request<Body>| {
            let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let status = |details| serde_json::json!({ "code": 404, "reason": "NotFound", "details": details });
            let (code, answer) = match name.as_str() {
                "alive" => (200, serde_json::json!({ "metadata": { "name": name }, "spec": { "source": "x" } })),
                "unserved" => (404, status(serde_json::json!({}))),
                name if name.starts_with("gone") => (404, status(serde_json::json!({ "name": name }))),
                _ => std::future::pending().await,
            };
            http::Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()))
        };
        limited(tower::service_fn(answer), "ns")
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_the_api_server_says_is_gone_is_gone() {
        let check = async |suspects: &[&str], gone: &[&str], all: bool| {
            let confirmed = confirm(&server(), "ns", set(suspects)).await;
            assert_eq!(confirmed, Confirmed { gone: set(gone), all }, "{suspects:?}");
        };
        check(&["gone", "gone-too"], &["gone", "gone-too"], true).await;
        check(&["alive", "gone"], &["gone"], false).await;
        check(&["gone", "silent"], &["gone"], false).await;
        check(&["gone", "unserved"], &["gone"], false).await;
    }
}
