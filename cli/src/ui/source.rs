//! The content of the page: the workspaces as a watch has them, for whoever shows the token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::{ObjectRef, Store};
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_page::{Claim, Document, Part, Refusal, Source, Wanted, detail, row};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::cluster::NamespaceClient;
use crate::cluster::claim::{as_of, good_for, is_ahead};

/// The number of streams at once.
const STREAMS: usize = 32;
/// The shortest time between two requests to confirm the claim about one workspace.
const CONFIRMED_EVERY: Duration = Duration::from_secs(10);
/// The time for which a denial is shown: a watch that is denied is tried again before it is over.
const DENIED_FOR: Duration = Duration::from_secs(15);

/// The workspaces of the clusters.
#[derive(Clone)]
pub(super) struct ClusterSource {
    clusters: Arc<[Arc<WatchedCluster>]>,
    token: Arc<str>,
    streams: Arc<Semaphore>,
}

/// A cluster whose workspaces are watched.
pub(super) struct WatchedCluster {
    /// The context of the kubeconfig, if there are several clusters.
    context: Option<String>,
    workspaces: Store<RototoWorkspace>,
    trouble: Mutex<Option<String>>,
    /// The last denial of the watch, and its time.
    denied: Mutex<Option<(String, Instant)>>,
    /// The way to confirm claims, where that was asked for, and the last requests.
    confirms: Option<Confirmations>,
}

struct Confirmations {
    cluster: NamespaceClient,
    asked: Mutex<HashMap<(String, String), Instant>>,
}

impl WatchedCluster {
    /// Shows `workspaces`. With `confirms`, a claim that somebody looks at is confirmed there.
    pub(super) fn new(
        context: Option<String>,
        workspaces: Store<RototoWorkspace>,
        confirms: Option<NamespaceClient>,
    ) -> Self {
        let confirms = confirms.map(|cluster| Confirmations { cluster, asked: Mutex::default() });
        Self { context, workspaces, trouble: Mutex::default(), denied: Mutex::default(), confirms }
    }

    /// Records that the API server can't be read, or that it can.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }

    /// Records that the API server denied the watch. The watch is tried again, so a denial that lasts is recorded again.
    pub(super) fn set_denied(&self, denial: String) {
        *lock(&self.denied) = Some((denial, Instant::now()));
    }

    /// Returns the reason why the API server can't be read, after the name of the cluster.
    fn trouble(&self) -> Option<String> {
        let denied = lock(&self.denied).clone().filter(|(_, at)| at.elapsed() < DENIED_FOR);
        let trouble = denied.map(|(denial, _)| denial).or_else(|| lock(&self.trouble).clone())?;
        Some(self.context.as_ref().map_or_else(|| trouble.clone(), |context| format!("{context}: {trouble}")))
    }

    fn rows(&self, namespace: Option<&String>) -> Vec<Part> {
        let mut found = self.workspaces.state();
        found.retain(|workspace| namespace.is_none() || workspace.metadata.namespace.as_ref() == namespace);
        let row = |workspace: &RototoWorkspace| row(workspace, Claim::Stored).in_cluster(self.context.as_deref());
        found.iter().map(|workspace| Part::row(&row(workspace))).collect()
    }

    /// Asks the operator to date a claim again before it is no longer good.
    fn confirm(self: &Arc<Self>, workspace: &RototoWorkspace, namespace: &str, name: &str) {
        let Some(confirms) = &self.confirms else { return };
        if is_recent(&workspace.status.clone().unwrap_or_default(), Timestamp::now()) {
            return;
        }
        let key = (namespace.to_owned(), name.to_owned());
        let now = Instant::now();
        let mut asked = lock(&confirms.asked);
        asked.retain(|_, at| now.duration_since(*at) < CONFIRMED_EVERY);
        if asked.contains_key(&key) {
            return;
        }
        asked.insert(key.clone(), now);
        drop(asked);
        let (cluster, client, (namespace, name)) = (Arc::clone(self), confirms.cluster.clone(), key);
        tokio::spawn(async move {
            if let Err(error) = client.request_reconcile(&namespace, &name).await {
                cluster.set_trouble(Some(format!("{error:#}")));
            }
        });
    }
}

impl ClusterSource {
    /// Shows the workspaces of `clusters` to whoever has `token`.
    pub(super) fn new(clusters: Vec<WatchedCluster>, token: &str) -> Self {
        let clusters = clusters.into_iter().map(Arc::new).collect();
        Self { clusters, token: token.into(), streams: Arc::new(Semaphore::new(STREAMS)) }
    }

    pub(super) fn clusters(&self) -> &[Arc<WatchedCluster>] {
        &self.clusters
    }

    fn authorize(&self, parts: &Parts) -> Result<(), Refusal> {
        let shown = parts.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "));
        match shown {
            Some(shown) if is_same(shown.trim(), &self.token) => Ok(()),
            _ => {
                let message = "open the address that `rototo ui` has printed: it has the token of this run".to_owned();
                Err(Refusal::new(StatusCode::UNAUTHORIZED, "no_token", message))
            }
        }
    }

    fn parts(&self, wanted: &Wanted) -> Result<Vec<Part>, Refusal> {
        match wanted {
            Wanted::List { namespace } => {
                let rows = self.clusters.iter().flat_map(|cluster| cluster.rows(namespace.as_ref()));
                let mut parts: Vec<_> = rows.collect();
                parts.sort_by(|a, b| a.name().cmp(b.name()));
                Ok(parts)
            }
            Wanted::Workspace { cluster, namespace, name } => self.workspace(cluster.as_deref(), namespace, name),
        }
    }

    fn workspace(&self, context: Option<&str>, namespace: &str, name: &str) -> Result<Vec<Part>, Refusal> {
        let object = ObjectRef::new(name).within(namespace);
        let cluster = self.clusters.iter().find(|cluster| cluster.context.as_deref() == context);
        let found = cluster.and_then(|cluster| Some((cluster, cluster.workspaces.get(&object)?)));
        let Some((cluster, workspace)) = found else {
            let message = format!("there is no RototoWorkspace `{name}` in namespace {namespace}");
            return Err(Refusal::new(StatusCode::NOT_FOUND, "unknown_workspace", message));
        };
        cluster.confirm(&workspace, namespace, name);
        Ok(vec![Part::detail(&detail(&workspace, None, Claim::Stored).in_cluster(context))])
    }
}

impl Source for ClusterSource {
    type Place = OwnedSemaphorePermit;

    async fn document(&self, parts: &Parts, wanted: &Wanted) -> Result<Document, Refusal> {
        self.authorize(parts)?;
        let troubles: Vec<_> = self.clusters.iter().filter_map(|cluster| cluster.trouble()).collect();
        let trouble = (!troubles.is_empty()).then(|| troubles.join("; "));
        Ok(Document { now: Timestamp::now(), parts: self.parts(wanted)?, trouble })
    }

    fn place(&self, _: &Parts) -> Result<OwnedSemaphorePermit, Refusal> {
        self.streams.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{STREAMS} pages are open already: close others");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
        })
    }
}

/// Returns whether a claim stays good for a while. One from the future may be of any age.
fn is_recent(status: &RototoWorkspaceStatus, now: Timestamp) -> bool {
    let Some(time) = as_of(status) else { return false };
    let good = SignedDuration::try_from(good_for(status)).unwrap_or(SignedDuration::ZERO);
    !is_ahead(time, now) && now.duration_since(time) < good / 2
}

/// Compares two texts in a time that says nothing about where they differ.
fn is_same(shown: &str, token: &str) -> bool {
    let differs = shown.bytes().zip(token.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    shown.len() == token.len() && differs == 0
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_confirmed_before_it_is_old_and_when_it_is_from_the_future() {
        let check = |as_of: Option<&str>, recent: bool| {
            let fleet = json!({ "processes": 1, "applied": 1, "rejected": 0, "silent": 0, "asOf": as_of,
                "claimSeconds": 60 });
            let status = serde_json::from_value(json!({ "fleet": fleet })).unwrap();
            assert_eq!(is_recent(&status, "2026-11-20T18:41:00Z".parse().unwrap()), recent, "{as_of:?}");
        };
        check(Some("2026-11-20T18:40:31Z"), true);
        check(Some("2026-11-20T18:40:30Z"), false);
        check(Some("2026-11-20T18:41:59Z"), true);
        check(Some("2026-11-20T21:41:00Z"), false);
        check(None, false);
    }
}
