//! The means that all handlers share: places for requests, the check of a caller, and the way to what is known.
//!
//! A request takes what it needs in this order: a place to read its body, by address; the check of its sender; and only
//! then a [`Place`] among the requests that are worked on, by sender and namespace. Whoever is unknown takes nothing
//! from those who are known.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use rototo_api::workspace::RototoWorkspace;
use rototo_engine::{Digest, Fingerprint};
use rototo_protocol::windows::Windows;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::fleet::clock;
use crate::http::access::{Authorizer, Caller, Denied, Grant};
use crate::http::body;
use crate::http::connections::Peer;
use crate::http::error::HttpError;
use crate::http::pace::Pace;
use crate::http::webhook::Webhooks;
use crate::leader::peers::Peers;
use crate::load::turns::{Crowded, Turn, TurnLimits, Turns};
use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::SharedRecord;
use crate::workspace_key::WorkspaceKey;

/// The requests that are worked on at once, by namespace of the workspace. One that waits longer than [`WAITS`] is
/// asked to come back in a moment.
const PLACES: TurnLimits = TurnLimits { at_once: 512, per_key: 64, waiting: 4_096, waiting_per_key: 1_024 };
/// The requests of one sender that are worked on at once: a pod, or an account. Others of it wait.
const OF_SENDER: TurnLimits = TurnLimits { at_once: usize::MAX, per_key: 8, waiting: 8_192, waiting_per_key: 256 };
/// The bodies that are read at once, by address. A body waits in memory until its sender is known.
const BODIES: TurnLimits = TurnLimits { at_once: 2_048, per_key: 256, waiting: 2_048, waiting_per_key: 256 };
/// The requests that are passed on to the leader at once, by address.
const PASSED_ON: TurnLimits = TurnLimits { at_once: 256, per_key: 32, waiting: 2_048, waiting_per_key: 256 };
/// The longest wait for a place.
const WAITS: Duration = Duration::from_secs(2);
/// The bytes of snapshots that are being sent at once, in units of 1 KiB: 128 MiB, a quarter of what the chart gives.
const KIBIBYTES_TO_SEND: usize = 128 * 1024;
/// The share of them that one namespace has at most.
const KIBIBYTES_OF_NAMESPACE: usize = KIBIBYTES_TO_SEND / 4;
/// The header in which a replica that passes a request on names the address of its sender.
pub(super) const PASSED_ON_FOR: &str = "rototo-passed-on-for";

/// The means that all handlers share.
#[derive(Clone)]
pub(crate) struct Endpoints {
    context: Arc<OperatorContext>,
    authorizer: Arc<Authorizer>,
    webhooks: Arc<Webhooks>,
    pace: Arc<Pace>,
    places: Turns<String>,
    of_sender: Turns<Digest>,
    bodies: Turns<Peer>,
    passed_on: Turns<Peer>,
    to_send: Arc<Semaphore>,
    shares_to_send: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// A place among the requests that are worked on.
#[derive(Debug)]
pub(super) struct Place {
    _in_namespace: Turn<String>,
    _of_sender: Turn<Digest>,
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
            pace: Arc::default(),
            places: Turns::new(PLACES),
            of_sender: Turns::new(OF_SENDER),
            bodies: Turns::new(BODIES),
            passed_on: Turns::new(PASSED_ON),
            to_send: Arc::new(Semaphore::new(KIBIBYTES_TO_SEND)),
            shares_to_send: Arc::default(),
        }
    }

    /// Returns the context of the operator.
    pub(super) fn context(&self) -> &Arc<OperatorContext> {
        &self.context
    }

    /// Records that a connection was refused. It may have been for a report.
    pub(crate) fn connection_refused(&self) {
        self.context.report_turned_away(clock::now());
    }

    /// Checks the calls of git hosts.
    pub(super) fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Returns the pace of callers.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Waits for a place among the requests that are worked on. The place is free when the returned value is dropped.
    pub(super) async fn place(&self, caller: &Caller, key: &WorkspaceKey) -> Result<Place, HttpError> {
        let place = async {
            let of_sender = self.of_sender.take(&caller.source()).await?;
            if let Some((limit, wait)) = self.pace.of_request(caller) {
                self.context.load().delayed(limit);
                sleep(wait).await;
            }
            Ok::<_, Crowded>(Place { _in_namespace: self.places.take(&key.namespace).await?, _of_sender: of_sender })
        };
        self.in_time("places", place).await
    }

    /// Waits for a place among the requests that are passed on to the leader.
    pub(super) async fn place_to_pass_on(&self, peer: Peer) -> Result<Turn<Peer>, HttpError> {
        self.in_time("passed_on", self.passed_on.take(&peer)).await
    }

    /// Reads the body of a request whose sender is not known yet.
    pub(super) async fn read(&self, peer: Peer, body: Body, limit: usize) -> Result<Bytes, HttpError> {
        let _place = self.in_time("bodies", self.bodies.take(&peer)).await?;
        body::read(body, limit).await.map_err(|why| HttpError::unread(why, limit))
    }

    /// Waits until this number of bytes of a workspace of `namespace` may be sent. They count until the returned value is
    /// dropped.
    pub(super) async fn may_send(&self, bytes: usize, namespace: &str) -> Result<[OwnedSemaphorePermit; 2], HttpError> {
        let units = u32::try_from((bytes / 1024 + 1).min(KIBIBYTES_OF_NAMESPACE)).unwrap_or(u32::MAX);
        let share = self.share_to_send(namespace);
        let both = async {
            let of_namespace = share.acquire_many_owned(units).await?;
            Ok::<_, AcquireError>([of_namespace, self.to_send.clone().acquire_many_owned(units).await?])
        };
        self.in_time("bytes_to_send", both).await
    }

    /// Waits for a place for [`WAITS`] at most. A request that gets none was refused by `limit`.
    async fn in_time<T, E>(
        &self,
        limit: &'static str,
        place: impl Future<Output = Result<T, E>>,
    ) -> Result<T, HttpError> {
        timeout(WAITS, place).await.ok().and_then(Result::ok).ok_or_else(|| self.busy(limit))
    }

    /// Returns the share of one namespace, and forgets those that nobody uses.
    fn share_to_send(&self, namespace: &str) -> Arc<Semaphore> {
        let mut shares = self.shares_to_send.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = shares.entry(namespace.to_owned());
        share.or_insert_with(|| Arc::new(Semaphore::new(KIBIBYTES_OF_NAMESPACE))).clone()
    }

    /// Counts a request that a limit refuses, and returns the error for it.
    pub(super) fn busy(&self, limit: &'static str) -> HttpError {
        self.context.load().refused(limit);
        HttpError::Busy
    }

    /// Returns the address of the sender of a request that came from `peer`. Only another replica may name another
    /// address.
    pub(super) fn sender(&self, peer: Peer, headers: &HeaderMap) -> Peer {
        let named = headers.get(PASSED_ON_FOR).filter(|_| self.require_peer(headers).is_ok());
        let address = named.and_then(|named| named.to_str().ok()?.parse::<IpAddr>().ok());
        address.map_or(peer, Peer::at)
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

    /// Returns the way to the other replicas, if this install has any.
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

    /// Returns the sender of a request from `peer`, provided that it has `grant` on the workspace.
    pub(super) async fn authorize(
        &self,
        peer: Peer,
        headers: &HeaderMap,
        grant: Grant,
        key: &WorkspaceKey,
    ) -> Result<Caller, HttpError> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (sender, windows) = (self.sender(peer, headers), self.windows(key));
        self.authorizer.check(sender, authorization, grant, key, &windows).await.map_err(|denied| {
            match &denied {
                Denied::Crowded => self.context.load().refused("reviews"),
                Denied::TooManyRefusals { budget, .. } => self.context.load().refused(budget.name()),
                _ => {}
            }
            HttpError::Denied(denied)
        })
    }

    /// Returns an error if this process is not the one that writes. Only that one has the evidence.
    pub(super) fn require_leadership(&self) -> Result<(), HttpError> {
        if self.context.leadership().is_held(Instant::now()) { Ok(()) } else { Err(HttpError::NotLeading) }
    }

    /// Returns an error if this process is the one that writes. A former leader, which still sends, knows less.
    pub(super) fn require_no_leadership(&self) -> Result<(), HttpError> {
        if self.context.leadership().is_held(Instant::now()) { Err(HttpError::NotLeading) } else { Ok(()) }
    }

    /// Returns the record of a workspace. Only the operator that writes has one.
    pub(super) fn record(&self, key: &WorkspaceKey) -> Result<SharedRecord, HttpError> {
        self.require_leadership()?;
        match self.context.records().get(key) {
            Some(record) => Ok(record),
            None if self.context.cluster().workspace(key).is_some() => Err(HttpError::NotYet),
            None => Err(self.unknown(key)),
        }
    }

    /// Returns a workspace as the watches show it, and its record. One that was created anew has no record before its first
    /// reconcile.
    pub(super) fn workspace(&self, key: &WorkspaceKey) -> Result<(Arc<RototoWorkspace>, SharedRecord), HttpError> {
        self.record(key)?;
        let workspace = self.context.cluster().workspace(key).ok_or_else(|| self.unknown(key))?;
        let record = self.context.records().of_object(&workspace).ok_or(HttpError::NotYet)?;
        Ok((workspace, record))
    }

    /// Returns the error for a workspace that the watches do not show, or show and can't be read.
    fn unknown(&self, key: &WorkspaceKey) -> HttpError {
        if self.context.cluster().is_unreadable(key) {
            HttpError::Unreadable(key.clone())
        } else {
            HttpError::UnknownWorkspace(key.clone())
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
        if self.context.cluster().exists(key) {
            return Ok(());
        }
        Err(if self.context.cluster().is_watching() {
            HttpError::UnknownWorkspace(key.clone())
        } else {
            HttpError::NotYet
        })
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

/// The workspace that the path of a request names.
pub(super) struct WorkspacePath(pub(super) WorkspaceKey);

impl<S: Send + Sync> FromRequestParts<S> for WorkspacePath {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, HttpError> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((namespace, name)) = path.map_err(|error| HttpError::Malformed(error.body_text()))?;
        checked(namespace, name).map(Self)
    }
}

/// Returns the workspace of these names, if the API server would accept them.
pub(super) fn checked(namespace: String, name: String) -> Result<WorkspaceKey, HttpError> {
    WorkspaceKey::checked(namespace, name).map_err(|error| HttpError::Malformed(error.to_string()))
}

#[cfg(test)]
impl Endpoints {
    /// Returns the number of grants that are remembered.
    pub(super) fn remembered_grants(&self) -> usize {
        self.authorizer.remembered_grants()
    }

    /// Returns the number of requests whose body or token is not known yet.
    pub(super) fn requests_of_strangers(&self) -> usize {
        self.bodies.taken() + self.bodies.waiting() + self.authorizer.reviews()
    }

    /// Returns the number of places that are taken.
    pub(super) fn places_taken(&self) -> usize {
        self.places.taken()
    }

    /// Returns the number of bytes that are being sent.
    pub(super) fn bytes_to_send(&self) -> usize {
        (KIBIBYTES_TO_SEND - self.to_send.available_permits()) * 1024
    }
}
