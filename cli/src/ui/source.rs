//! The content of the page: the workspaces as a watch has them, for whoever shows the token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::{ObjectRef, Store};
use rototo_api::workspace::RototoWorkspace;
use rototo_page::{Document, Part, Refusal, Source, Wanted, detail, row};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::cluster::NamespaceClient;
use crate::cluster::claim::{as_of, good_for};

/// The number of streams at once.
const STREAMS: usize = 32;
/// The shortest time between two requests to confirm the claim about one workspace.
const CONFIRMED_EVERY: Duration = Duration::from_secs(10);

/// The workspaces of a cluster.
#[derive(Clone)]
pub(super) struct ClusterSource {
    pub(super) workspaces: Store<RototoWorkspace>,
    token: Arc<str>,
    trouble: Arc<Mutex<Option<String>>>,
    streams: Arc<Semaphore>,
    /// The way to confirm claims, where that was asked for, and the last requests.
    confirms: Option<Arc<Confirmations>>,
}

struct Confirmations {
    cluster: NamespaceClient,
    asked: Mutex<HashMap<(String, String), Instant>>,
}

impl ClusterSource {
    /// Shows `workspaces` to whoever has `token`. With `confirms`, a claim that somebody looks at is confirmed there.
    pub(super) fn new(workspaces: Store<RototoWorkspace>, token: &str, confirms: Option<NamespaceClient>) -> Self {
        let confirms = confirms.map(|cluster| Arc::new(Confirmations { cluster, asked: Mutex::default() }));
        let streams = Arc::new(Semaphore::new(STREAMS));
        Self { workspaces, token: token.into(), trouble: Arc::default(), streams, confirms }
    }

    /// Records that the API server can't be read, or that it can.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
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
                let mut found = self.workspaces.state();
                found.retain(|workspace| namespace.is_none() || workspace.metadata.namespace == *namespace);
                let mut parts: Vec<_> = found.iter().map(|workspace| Part::row(&row(workspace, false))).collect();
                parts.sort_by(|a, b| a.name().cmp(b.name()));
                Ok(parts)
            }
            Wanted::Workspace { namespace, name } => {
                let Some(workspace) = self.workspaces.get(&ObjectRef::new(name).within(namespace)) else {
                    let message = format!("there is no RototoWorkspace `{name}` in namespace {namespace}");
                    return Err(Refusal::new(StatusCode::NOT_FOUND, "unknown_workspace", message));
                };
                self.confirm(&workspace, namespace, name);
                Ok(vec![Part::detail(&detail(&workspace, None, false))])
            }
        }
    }

    /// Asks the operator to date a claim again before it is no longer good.
    fn confirm(&self, workspace: &RototoWorkspace, namespace: &str, name: &str) {
        let Some(confirms) = self.confirms.clone() else { return };
        let status = workspace.status.clone().unwrap_or_default();
        let age = as_of(&status).map(|as_of| Timestamp::now().duration_since(as_of));
        let good = SignedDuration::try_from(good_for(&status)).unwrap_or(SignedDuration::ZERO);
        if age.is_some_and(|age| age < good / 2) {
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
        let (source, (namespace, name)) = (self.clone(), key);
        tokio::spawn(async move {
            if let Err(error) = confirms.cluster.request_reconcile(&namespace, &name).await {
                source.set_trouble(Some(format!("{error:#}")));
            }
        });
    }
}

impl Source for ClusterSource {
    type Place = OwnedSemaphorePermit;

    async fn document(&self, parts: &Parts, wanted: &Wanted) -> Result<Document, Refusal> {
        self.authorize(parts)?;
        Ok(Document { now: Timestamp::now(), parts: self.parts(wanted)?, trouble: lock(&self.trouble).clone() })
    }

    fn place(&self, _: &Parts) -> Result<OwnedSemaphorePermit, Refusal> {
        self.streams.clone().try_acquire_owned().map_err(|_| {
            let message = format!("{STREAMS} pages are open already: close others");
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
        })
    }
}

/// Compares two texts in a time that says nothing about where they differ.
fn is_same(shown: &str, token: &str) -> bool {
    let differs = shown.bytes().zip(token.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    shown.len() == token.len() && differs == 0
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
