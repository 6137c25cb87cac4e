//! The page for people, below `/ui`: the state of all workspaces, and of one with its fleet, from the evidence as it is now.
//!
//! [`rototo_page`] has the routes and the files. Here is who may see what, and the way to it: a token with `list` on
//! the workspaces of a namespace, or of all, or with `get` on one workspace. A stream asks again for each of its events,
//! so a grant that was taken back ends it as it ends other requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use jiff::Timestamp;
use rototo_page::{Claim, Document, Part, Refusal, Roster, Source, Wanted, detail, row};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::http::access::Grant;
use crate::http::connections::Peer;
use crate::http::endpoints::{Endpoints, checked};
use crate::http::error::HttpError;
use crate::http::forward::pass_on;
use crate::leader::peers::LARGEST_SNAPSHOT;
use crate::load::turns::{Turn, TurnLimits, Turns};
use crate::reconcile::context::OperatorContext;
use crate::reconcile::report;
use crate::workspace_key::WorkspaceKey;

/// The streams at once, by address. Nobody waits for one.
const STREAMS: TurnLimits = TurnLimits { at_once: 64, per_key: 32, waiting: 0, waiting_per_key: 0 };
/// The time for which a list serves everybody who asks for it.
const LIST_SERVES: Duration = Duration::from_millis(900);
/// The time for which the state of a workspace serves everybody who asks for it.
const WORKSPACE_SERVES: Duration = Duration::from_millis(200);

/// The workspaces that the page shows.
#[derive(Clone)]
pub(super) struct UiSource {
    endpoints: Endpoints,
    streams: Turns<Peer>,
    recent: Arc<Recent>,
}

/// The documents that were made last. Whoever asks meanwhile gets the same, so that viewers cost no more than one.
#[derive(Default)]
struct Recent {
    list: Mutex<Option<(Instant, Document)>>,
    workspaces: Mutex<HashMap<WorkspaceKey, (Instant, Document)>>,
}

impl UiSource {
    /// Shows what `endpoints` know.
    pub(super) fn new(endpoints: Endpoints) -> Self {
        Self { endpoints, streams: Turns::new(STREAMS), recent: Arc::default() }
    }

    /// Answers as the leader.
    async fn answer(&self, parts: &Parts, wanted: &Wanted) -> Result<Document, HttpError> {
        let (grant, key) = asked(wanted)?;
        let caller = self.endpoints.authorize(peer(parts)?, &parts.headers, grant, &key).await?;
        let _place = self.endpoints.place(&caller, &key).await?;
        match wanted {
            Wanted::List { namespace } => self.list(namespace.as_deref()).await,
            Wanted::Workspace { .. } => self.workspace(key).await,
        }
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Document, HttpError> {
        let context = self.endpoints.context().clone();
        self.endpoints.require_leadership()?;
        let mut recent = self.recent.list.lock().await;
        let known = recent.as_ref().filter(|(made, _)| made.elapsed() < LIST_SERVES);
        let mut document = match known {
            Some((_, document)) => document.clone(),
            None => {
                let made =
                    tokio::task::spawn_blocking(move || list(&context)).await.map_err(|_| HttpError::Internal)?;
                recent.insert((Instant::now(), made)).1.clone()
            }
        };
        drop(recent);
        if let Some(namespace) = namespace {
            document.parts.retain(|part| part.name().split_once('/').is_some_and(|(of, _)| of == namespace));
        }
        Ok(document)
    }

    async fn workspace(&self, key: WorkspaceKey) -> Result<Document, HttpError> {
        let (workspace, shared) = self.endpoints.workspace(&key)?;
        let context = self.endpoints.context();
        let mut recent = self.recent.workspaces.lock().await;
        recent.retain(|_, (made, _)| made.elapsed() < WORKSPACE_SERVES);
        if let Some((_, document)) = recent.get(&key) {
            return Ok(document.clone());
        }
        let now = Timestamp::now();
        let current = report::current(&workspace, &shared, context);
        let roster = Roster::all(report::roster(&shared));
        let document =
            Document { now, parts: vec![Part::detail(&detail(&current, Some(roster), Claim::Current))], trouble: None };
        recent.insert(key, (Instant::now(), document.clone()));
        Ok(document)
    }

    /// Passes the request on to the leader.
    async fn ask(&self, leader: &str, parts: &Parts) -> Result<Document, Refusal> {
        let mut parts = parts.clone();
        // The leader answers at once, and this process streams.
        parts.headers.remove(ACCEPT);
        let answer = pass_on(&self.endpoints, leader, parts, Body::empty()).await.map_err(refusal)?;
        if !answer.status().is_success() {
            return Err(answer.into());
        }
        let body = to_bytes(answer.into_body(), LARGEST_SNAPSHOT).await.unwrap_or_default();
        Document::parse(&body).map_err(|_| refusal(HttpError::NotLeading))
    }
}

impl Source for UiSource {
    type Place = Turn<Peer>;

    async fn document(&self, parts: &Parts, wanted: &Wanted) -> Result<Document, Refusal> {
        match self.endpoints.leader_for(&parts.headers) {
            Some(leader) => self.ask(&leader, parts).await,
            None => self.answer(parts, wanted).await.map_err(refusal),
        }
    }

    fn place(&self, parts: &Parts) -> Result<Turn<Peer>, Refusal> {
        let place = peer(parts).and_then(|peer| self.streams.try_take(&peer).ok_or_else(|| self.endpoints.busy("ui")));
        place.map_err(refusal)
    }
}

fn refusal(error: HttpError) -> Refusal {
    error.into_response().into()
}

fn peer(parts: &Parts) -> Result<Peer, HttpError> {
    parts.extensions.get::<Peer>().copied().ok_or(HttpError::Internal)
}

/// Returns the grant that a request needs, and on what.
fn asked(wanted: &Wanted) -> Result<(Grant, WorkspaceKey), HttpError> {
    match wanted {
        Wanted::List { namespace: None } => {
            Ok((Grant::ListWorkspaces, WorkspaceKey { namespace: String::new(), name: String::new() }))
        }
        Wanted::List { namespace: Some(namespace) } => {
            let WorkspaceKey { namespace, .. } = checked(namespace.clone(), "any".to_owned())?;
            Ok((Grant::ListWorkspaces, WorkspaceKey { namespace, name: String::new() }))
        }
        Wanted::Workspace { namespace, name, .. } => {
            Ok((Grant::ReadWorkspace, checked(namespace.clone(), name.clone())?))
        }
    }
}

/// Returns the lines of all workspaces. One that has no record yet is shown by its status.
fn list(context: &OperatorContext) -> Document {
    let now = Timestamp::now();
    let mut parts: Vec<Part> = context
        .cluster()
        .workspaces()
        .iter()
        .map(|workspace| match context.records().of_object(workspace) {
            Some(shared) => Part::row(&row(&report::current(workspace, &shared, context), Claim::Current)),
            None => Part::row(&row(workspace, Claim::Stored)),
        })
        .collect();
    parts.sort_by(|a, b| a.name().cmp(b.name()));
    Document { now, parts, trouble: None }
}
