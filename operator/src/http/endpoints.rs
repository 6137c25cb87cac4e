//! The means that all handlers share: places for requests, the check of a caller, and the way to what is known.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use rototo_engine::Fingerprint;
use rototo_protocol::windows::Windows;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::access::{Authorizer, Caller, Grant};
use crate::http::error::HttpError;
use crate::http::webhook::Webhooks;
use crate::leader::peers::Peers;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::SharedRecord;
use crate::workspace_key::WorkspaceKey;

/// The number of requests that are worked on at once. Beyond it a process is asked to come back in a moment.
const AT_ONCE: usize = 512;

/// The means that all handlers share.
#[derive(Clone)]
pub(crate) struct Endpoints {
    context: Arc<OperatorContext>,
    authorizer: Arc<Authorizer>,
    webhooks: Arc<Webhooks>,
    places: Arc<Semaphore>,
}

impl Endpoints {
    /// Endpoints that answer from `context`.
    pub(crate) fn new(context: Arc<OperatorContext>) -> Self {
        let client = context.client();
        let (authorizer, webhooks) = (Authorizer::new(client.clone()), Webhooks::new(client.clone()));
        Self {
            context,
            authorizer: Arc::new(authorizer),
            webhooks: Arc::new(webhooks),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The means of the operator.
    pub(super) fn context(&self) -> &Arc<OperatorContext> {
        &self.context
    }

    /// Checks the calls of git hosts.
    pub(super) fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Takes a place among the requests that are worked on, and gives it back when it is dropped.
    pub(super) fn place(&self) -> Result<SemaphorePermit<'_>, HttpError> {
        self.places.try_acquire().map_err(|_| HttpError::Busy)
    }

    /// Returns the URL of the process that has to answer a request with these headers, if that is another one. What
    /// another process has passed on is not passed on again.
    pub(super) fn leader_for(&self, headers: &HeaderMap) -> Option<String> {
        let peers = self.peers()?;
        let leadership = self.context.leadership();
        if leadership.is_held(Instant::now()) || peers.sent(headers) {
            return None;
        }
        leadership.leader()
    }

    /// The way to the other replicas, if this install has any.
    pub(super) fn peers(&self) -> Option<&Peers> {
        self.context.copies().map(|copies| copies.peers())
    }

    /// Refuses a request that no other replica of this install has sent.
    pub(super) fn require_peer(&self, headers: &HeaderMap) -> Result<(), HttpError> {
        match self.peers() {
            Some(peers) if peers.sent(headers) => Ok(()),
            _ => Err(HttpError::NotAPeer),
        }
    }

    /// Returns the sender of a request, provided that it has `grant` on the workspace.
    pub(super) async fn authorize(
        &self,
        headers: &HeaderMap,
        grant: Grant,
        key: &WorkspaceKey,
    ) -> Result<Caller, HttpError> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.authorizer.check(authorization, grant, key, &self.windows(key)).await.map_err(HttpError::Denied)
    }

    /// Returns the record of a workspace. Only the operator that writes has one.
    pub(super) fn record(&self, key: &WorkspaceKey) -> Result<SharedRecord, HttpError> {
        if !self.context.leadership().is_held(Instant::now()) {
            return Err(HttpError::NotLeading);
        }
        match self.context.records().get(key) {
            Some(record) => Ok(record),
            None if self.context.exists(key) => Err(HttpError::NotYet),
            None => Err(HttpError::UnknownWorkspace(key.clone())),
        }
    }

    /// Returns the windows of a workspace's fleet; those of a small one where nothing is known of it.
    fn windows(&self, key: &WorkspaceKey) -> Windows {
        let known = self.context.records().get(key).map(|record| record.lock().windows());
        known.unwrap_or_else(|| Windows::of(0, self.context.heartbeat()))
    }

    /// Returns an error if no snapshots of this workspace are served. Serving needs no Lease, because a fingerprint
    /// names the same content whoever serves it: a process that has lost the Lease, and is still asked for a moment,
    /// gives what its disk has.
    pub(super) fn serves(&self, key: &WorkspaceKey) -> Result<(), HttpError> {
        if self.context.exists(key) {
            return Ok(());
        }
        Err(if self.context.is_watching() { HttpError::UnknownWorkspace(key.clone()) } else { HttpError::NotYet })
    }

    /// Returns the error for content that the disk does not have. Only the operator that writes has everything that is
    /// published.
    pub(super) fn not_here(&self, fingerprint: Fingerprint) -> HttpError {
        if self.context.leadership().is_held(Instant::now()) {
            HttpError::UnknownFingerprint(fingerprint)
        } else {
            HttpError::NotLeading
        }
    }
}

/// Returns the workspace that a path names.
pub(super) fn key(path: Result<Path<(String, String)>, PathRejection>) -> Result<WorkspaceKey, HttpError> {
    let Path((namespace, name)) = path.map_err(|error| HttpError::Malformed(error.body_text()))?;
    Ok(WorkspaceKey { namespace, name })
}
