//! Reads sources over the network: polls them, and reads published content again that the disk has lost.
//!
//! [`Sources`] alone has what that needs: the reader, the Secrets, the sandbox of custom rules, and the snapshots.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use kube::Client;
use rototo_api::workspace::RototoWorkspaceSpec;
use rototo_engine::Fingerprint;
use rototo_source::{Access, Reader, Source};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::load::lasting::Lasting;
use crate::load::metrics::LoadMetrics;
use crate::source::candidate::LintVerdict;
use crate::source::credentials::{credentials, signature_policy};
use crate::source::custom_rules::CustomRules;
use crate::source::disk::{DiskLimits, DiskShares};
use crate::source::memory::DocumentMemory;
use crate::source::poll::{Poll, PollResult};
use crate::source::poll_error::PollError;
use crate::source::poll_turn::{PollTurn, PollTurns};
use crate::source::record::DuePoll;
use crate::source::recovery::{at_revision, recover};
use crate::source::snapshot_cache::SnapshotRequest;
use crate::source::snapshots::{ServeSnapshotError, Snapshots};
use crate::workspace_key::WorkspaceKey;

/// The way to all sources, and the content that was read from them.
pub(crate) struct Sources {
    client: Client,
    reader: Arc<Reader>,
    custom_rules: CustomRules,
    snapshots: Arc<Snapshots>,
    polls: PollTurns,
    disk: Arc<DiskShares>,
    memory: Arc<DocumentMemory>,
    limits: PollLimits,
    load: LoadMetrics,
    /// The workspaces whose polls fail.
    failing: Lasting<WorkspaceKey>,
}

/// The number of polls at once, in all and of one namespace, and what a namespace may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollLimits {
    /// In all.
    pub(crate) at_once: usize,
    /// Of one namespace.
    pub(crate) per_namespace: usize,
    /// The workspaces of one namespace that are polled. Younger ones are not.
    pub(crate) workspaces: usize,
    /// The bytes of snapshots, repositories, and archives on the disk.
    pub(crate) disk: DiskLimits,
    /// The bytes of the documents of one workspace.
    pub(crate) documents: u64,
    /// The bytes of the documents of all workspaces that stay parsed.
    pub(crate) parsed: u64,
}

impl Default for PollLimits {
    fn default() -> Self {
        let disk = DiskLimits { total: 8 << 30, per_namespace: 1 << 30 };
        Self { at_once: 16, per_namespace: 4, workspaces: 1_000, disk, documents: 8 << 20, parsed: 4 << 20 }
    }
}

impl Sources {
    /// Reads sources with `reader`, their Secrets with `client`, and keeps snapshots in `snapshots`.
    /// `limits` are those of polls; refused ones are counted in `load`.
    pub(crate) fn new(
        client: Client,
        reader: Reader,
        custom_rules: CustomRules,
        snapshots: Snapshots,
        limits: PollLimits,
        load: LoadMetrics,
    ) -> Self {
        let polls = PollTurns::new(limits.at_once, limits.per_namespace);
        let snapshots = Arc::new(snapshots);
        let disk = Arc::new(DiskShares::new(limits.disk, snapshots.clone(), load.clone()));
        let memory = Arc::new(DocumentMemory::new(limits.documents, limits.parsed));
        let (reader, failing) = (Arc::new(reader), Lasting::default());
        Self { client, reader, custom_rules, snapshots, polls, disk, memory, limits, load, failing }
    }

    /// Counts what is refused because of a limit.
    pub(crate) fn load(&self) -> &LoadMetrics {
        &self.load
    }

    /// Returns the number of workspaces of one namespace that are polled.
    pub(crate) fn workspaces_per_namespace(&self) -> usize {
        self.limits.workspaces
    }

    /// Returns the content on disk.
    pub(crate) fn snapshots(&self) -> &Arc<Snapshots> {
        &self.snapshots
    }

    /// Returns the reader, which counts its requests to git hosts.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Polls the source of `spec`, and keeps what lint accepts.
    pub(crate) async fn poll(
        &self,
        spec: &RototoWorkspaceSpec,
        due: DuePoll,
        key: &WorkspaceKey,
    ) -> Result<PollResult, PollError> {
        let result = self.run(spec, due, key).await;
        match &result {
            Err(PollError::Crowded(_)) => self.load.refused("polls"),
            Err(error @ (PollError::DiskFull(_) | PollError::Displaced(_))) => self.load.refused(error.code()),
            _ => {}
        }
        self.log(&result, key);
        result
    }

    async fn run(
        &self,
        spec: &RototoWorkspaceSpec,
        DuePoll { fresh_since, known }: DuePoll,
        key: &WorkspaceKey,
    ) -> Result<PollResult, PollError> {
        let source = spec.source.parse().map_err(PollError::Invalid)?;
        // The turn is taken before anything is fetched, because a poll that waits later keeps its documents in memory.
        // The wait is no fault of the source, and spec.timeout begins after it.
        let turn = self.take_turn(key, &spec.source).await?;
        let (limit, began) = (spec.timeout(), Instant::now());
        let secrets = async {
            let signatures = signature_policy(&self.client, key, spec).await?;
            Ok::<_, PollError>((self.access(spec, source, key).await?, signatures))
        };
        let (access, signatures) =
            tokio::time::timeout(limit, secrets).await.map_err(|_| PollError::TimedOut(limit))??;
        self.make_room(&key.namespace).await;
        let (custom_rules, fail_on) = (self.custom_rules.clone(), spec.fail_on());
        let policy = signatures.clone();
        let (disk, memory, namespace) = (self.disk.clone(), self.memory.clone(), key.namespace.clone());
        let poll = Poll {
            access,
            signatures,
            fresh_since,
            timeout: limit,
            began,
            fail_on,
            custom_rules,
            known,
            disk,
            memory,
            namespace,
        };
        let polled = poll.run(&self.reader, self.snapshots.store(key)?, turn);
        let polled = self.reader.charged_to(&key.namespace, Box::pin(polled)).await;
        polled.map_err(|error| error.verified_by(policy.as_ref()))
    }

    /// Keeps the copy of a snapshot that another replica has sent, as [`Snapshots::take_copy`] says. A process that does not
    /// lead reads no sources: without room, what an earlier process has left of them goes here.
    pub(crate) async fn take_copy(
        &self,
        request: SnapshotRequest,
        packed: Bytes,
        kept: Option<BTreeSet<Fingerprint>>,
    ) -> Result<(), ServeSnapshotError> {
        self.make_room(&request.key.namespace).await;
        self.snapshots.take_copy(request, packed, kept).await
    }

    /// Removes what is kept for a namespace, and for all, beyond their shares of the disk. The readings that are under way
    /// may exceed them: each by one transfer and one repository.
    async fn make_room(&self, namespace: &str) {
        let (disk, reader, namespace) = (self.disk.clone(), self.reader.clone(), namespace.to_owned());
        let made = tokio::task::spawn_blocking(move || disk.make_room(&namespace, &reader));
        // Without room, the poll or the copy itself says what is wrong.
        let _ = made.await;
    }

    /// Reads the source of `spec` at `revision`, and keeps its content if that is the content of `fingerprint`. Returns
    /// whether it is.
    pub(crate) async fn recover(
        &self,
        spec: &RototoWorkspaceSpec,
        revision: &str,
        fingerprint: Fingerprint,
        key: &WorkspaceKey,
    ) -> Result<bool, PollError> {
        let limit: Duration = spec.timeout();
        let recovered = async {
            // After the loss of a disk every workspace reads its source again.
            let mut turn = self.take_turn(key, &spec.source).await?;
            let Some(source) = at_revision(&spec.source, revision) else { return Ok(false) };
            let access = self.access(spec, source, key).await?;
            let recovered = recover(access, fingerprint, &self.reader, self.snapshots.store(key)?);
            turn.reading(Box::pin(self.reader.charged_to(&key.namespace, recovered))).await?
        };
        tokio::time::timeout(limit, recovered).await.unwrap_or(Err(PollError::TimedOut(limit)))
    }

    /// Waits until the source of this workspace may be read.
    async fn take_turn(&self, key: &WorkspaceKey, source: &str) -> Result<PollTurn, PollError> {
        self.polls.take(&key.namespace, source).await.map_err(|_| PollError::Crowded("polls"))
    }

    /// Returns `source` with the credentials that open it for this workspace.
    async fn access(
        &self,
        spec: &RototoWorkspaceSpec,
        source: Source,
        key: &WorkspaceKey,
    ) -> Result<Access, PollError> {
        let credentials = credentials(&self.client, key, spec, &source).await?;
        let access = Access::new(source, credentials);
        Ok(if spec.runs_tests() { access.with_tests() } else { access })
    }

    /// Forgets that a source could not be read: another process reads it from now on, or it is gone.
    pub(crate) fn forget_failure(&self, key: &WorkspaceKey) {
        self.failing.has_ended(key);
    }

    /// Logs a failure once, however many polls have it, and its end.
    fn log(&self, result: &Result<PollResult, PollError>, key: &WorkspaceKey) {
        match result {
            Ok(PollResult { candidate, .. }) => {
                let revision = candidate.revision.as_ref().map(ToString::to_string);
                let accepted = candidate.verdict == LintVerdict::Accepted;
                debug!(revision, fingerprint = %candidate.fingerprint, accepted, "polled the source");
                if self.failing.has_ended(key) {
                    info!(revision, "the source is read again");
                }
            }
            Err(error) if self.failing.is_new(key, &format!("{} {error}", error.code())) => {
                warn!(code = error.code(), %error, "the source could not be read");
            }
            Err(error) => debug!(code = error.code(), %error, "the source could still not be read"),
        }
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
