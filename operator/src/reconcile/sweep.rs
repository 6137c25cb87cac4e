//! Removes what is left of workspaces that are gone: their markers, their records, and their snapshots.
//!
//! There are no finalizers: a workspace can be deleted while the operator is away, and the sweep at the next start
//! finds it. Nothing is removed because a cache lacks it: a watch may be behind, and the API server itself has the
//! word.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use futures::{StreamExt, stream};
use kube::{Api, Client, ResourceExt};
use rototo_api::workspace::RototoWorkspace;
use rototo_connection::api_error;
use tracing::info;

use crate::marker::map::WriteError;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::watch_caches::WatchCaches;
use crate::workspace_key::WorkspaceKey;

/// The number of namespaces that are swept at once: one whose requests get no answer holds up no other.
const AT_ONCE: usize = 8;

/// Removes what belongs to no workspace in the scope of `caches`. Returns the reasons why something is left over.
pub(crate) async fn sweep(context: &Arc<OperatorContext>, caches: &WatchCaches) -> BTreeSet<String> {
    let suspects = match suspects(context, caches).await {
        Ok(suspects) => suspects,
        Err(error) => return problem(format!("the snapshots of removed workspaces could not be listed: {error}")),
    };
    let sweeps = stream::iter(suspects).map(|(namespace, names)| sweep_namespace(context, namespace, names));
    sweeps.buffer_unordered(AT_ONCE).map(stream::iter).flatten().collect().await
}

fn problem(sentence: String) -> BTreeSet<String> {
    BTreeSet::from([sentence])
}

/// Returns, by namespace, the names of which something is left and for which the watch shows no workspace. That alone
/// proves nothing, as a watch may be behind.
async fn suspects(
    context: &Arc<OperatorContext>,
    caches: &WatchCaches,
) -> io::Result<BTreeMap<String, BTreeSet<String>>> {
    let marked = caches.maps().state().into_iter().filter_map(|map| map.namespace()).flat_map(|namespace| {
        let names = context.markers().names(&namespace).into_iter();
        names.map(move |name| WorkspaceKey { namespace: namespace.clone(), name })
    });
    let known = context.records().all().into_iter().map(|(key, _)| key);
    // The disk also knows the workspaces of a namespace that was deleted together with its map.
    let kept = context.sources().snapshots().keys().await?;
    let mut suspects: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for key in marked.chain(known).chain(kept) {
        if caches.scope().covers(&key.namespace) && !context.cluster().exists(&key) {
            suspects.entry(key.namespace).or_default().insert(key.name);
        }
    }
    Ok(suspects)
}

async fn sweep_namespace(
    context: &Arc<OperatorContext>,
    namespace: String,
    suspects: BTreeSet<String>,
) -> BTreeSet<String> {
    let Confirmed { gone, mut left } = confirm(context.client(), &namespace, suspects).await;
    if gone.is_empty() {
        return left;
    }
    match remove_markers(context, &namespace, &gone).await {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => info!(namespace, ?removed, "removed the markers of workspaces that are gone"),
        Err(error) => {
            // Content that a marker still names is kept.
            left.insert(format!("markers of removed workspaces in {namespace} could not be removed: {error}"));
            return left;
        }
    }
    forget_records(context, &namespace, &gone);
    left.extend(forget_snapshots(context, namespace, gone).await);
    left
}

/// The names that the API server itself says are gone.
#[derive(Debug, PartialEq, Eq)]
struct Confirmed {
    gone: BTreeSet<String>,
    /// The reasons why it has not confirmed all of the suspects.
    left: BTreeSet<String>,
}

/// Asks for each suspect by name. A workspace that exists stays, and a request without an answer is repeated by the
/// next sweep.
async fn confirm(client: &Client, namespace: &str, suspects: BTreeSet<String>) -> Confirmed {
    let workspaces: Api<RototoWorkspace> = Api::namespaced(client.clone(), namespace);
    let mut confirmed = Confirmed { gone: BTreeSet::new(), left: BTreeSet::new() };
    for name in suspects {
        // Metadata alone: a workspace exists even if this version can't read it.
        match workspaces.get_metadata(&name).await {
            Err(error) if says_gone(&error, &name) => {
                confirmed.gone.insert(name);
            }
            Ok(_) => {
                let kept = "a workspace exists that the watch does not show: nothing is removed of";
                confirmed.left.insert(format!("{kept} {namespace}/{name}"));
            }
            Err(error) => {
                let error = api_error(&error);
                confirmed
                    .left
                    .insert(format!("it is unknown whether the workspace {namespace}/{name} is gone: {error}"));
                // The next requests would hardly fare better.
                break;
            }
        }
    }
    confirmed
}

/// Returns whether the API server says that the object is gone. One that does not serve the resource yet says 404 too,
/// but names no object.
fn says_gone(error: &kube::Error, name: &str) -> bool {
    let kube::Error::Api(status) = error else { return false };
    status.code == 404 && status.details.as_ref().is_some_and(|of| of.name == name)
}

/// Removes markers in two writes: first each marker says that its workspace is gone, then it is deleted. So a process
/// reads it, and need not conclude it from an absence. A workspace that was known and never published gets such a
/// marker too, because the deletion of nothing is no event, and a process may wait for the first publish. If the sweep
/// is interrupted between the two writes, the next sweep deletes the rest.
async fn remove_markers(
    context: &OperatorContext,
    namespace: &str,
    gone: &BTreeSet<String>,
) -> Result<BTreeSet<String>, WriteError> {
    let key = |name: &String| WorkspaceKey { namespace: namespace.to_owned(), name: name.clone() };
    let known = gone.iter().filter(|name| context.records().get(&key(name)).is_some()).cloned().collect();
    let turn = context.markers().turn(namespace);
    let _turn = turn.lock().await;
    let mut removed = BTreeSet::new();
    for without_marker in [known, BTreeSet::new()] {
        // The Lease may have been lost during the last wait.
        if !context.leadership().is_held(Instant::now()) {
            break;
        }
        // A workspace may have been created again since the API server was asked for it.
        let gone = gone.iter().filter(|name| !context.cluster().exists(&key(name))).cloned().collect();
        let names = context.markers().remove(namespace, &gone, &without_marker).await?;
        if names.is_empty() {
            break;
        }
        removed.extend(names);
    }
    Ok(removed)
}

fn forget_records(context: &OperatorContext, namespace: &str, gone: &BTreeSet<String>) {
    for name in gone {
        let key = WorkspaceKey { namespace: namespace.to_owned(), name: name.clone() };
        // The workspace may have been created again meanwhile.
        if !context.cluster().exists(&key) {
            context.forget_workspace(&key);
        }
    }
}

async fn forget_snapshots(
    context: &Arc<OperatorContext>,
    namespace: String,
    gone: BTreeSet<String>,
) -> BTreeSet<String> {
    let known = context.clone();
    let gone = move |key: &WorkspaceKey| {
        key.namespace == namespace && gone.contains(&key.name) && !known.cluster().exists(key)
    };
    match context.sources().snapshots().forget(gone).await {
        Ok(_) => BTreeSet::new(),
        Err(error) => problem(format!("the snapshots of removed workspaces could not be deleted: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use kube::client::Body;
    use rototo_connection::limited;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// An API server on which `alive` exists, `gone` does not, `unserved` is of a resource that it does not know yet,
    /// and any other name gets no answer.
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
        let check = async |suspects: &[&str], gone: &[&str], left: &[&str]| {
            let confirmed = confirm(&server(), "ns", set(suspects)).await;
            assert_eq!(confirmed.gone, set(gone), "{suspects:?}");
            assert_eq!(confirmed.left.len(), left.len(), "{suspects:?}: {:?}", confirmed.left);
            for (problem, part) in confirmed.left.iter().zip(left) {
                assert!(problem.contains(part), "{part}: {problem}");
            }
        };
        check(&["gone", "gone-too"], &["gone", "gone-too"], &[]).await;
        check(&["alive", "gone"], &["gone"], &["removed of ns/alive"]).await;
        check(&["gone", "silent"], &["gone"], &["ns/silent is gone: "]).await;
        check(&["gone", "unserved"], &["gone"], &["ns/unserved is gone: 404 NotFound"]).await;
    }
}
