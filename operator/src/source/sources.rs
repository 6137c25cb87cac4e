//! Reads sources over the network: polls them, and reads published content again that the disk has lost.
//!
//! [`Sources`] alone has what that needs: the reader, the Secrets, the sandbox of custom rules, and the snapshots.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use rototo_api::workspace::RototoWorkspaceSpec;
use rototo_engine::Fingerprint;
use rototo_source::{Access, Reader, Source};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use crate::load::metrics::LoadMetrics;
use crate::load::turns::{Turn, TurnLimits, Turns};
use crate::source::credentials::{credentials, signature_policy};
use crate::source::custom_rules::CustomRules;
use crate::source::poll::{LintVerdict, Poll, PollError, PollResult};
use crate::source::record::DuePoll;
use crate::source::recovery::{at_revision, recover};
use crate::source::snapshots::Snapshots;
use crate::workspace_key::WorkspaceKey;

/// The way to all sources, and the content that was read from them.
pub(crate) struct Sources {
    client: Client,
    reader: Reader,
    custom_rules: CustomRules,
    snapshots: Arc<Snapshots>,
    polls: Turns<String>,
    load: LoadMetrics,
}

/// The number of polls at once: in all, and of one namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollLimits {
    /// In all.
    pub(crate) at_once: usize,
    /// Of one namespace.
    pub(crate) per_namespace: usize,
}

impl Default for PollLimits {
    fn default() -> Self {
        Self { at_once: 16, per_namespace: 4 }
    }
}

/// The number of polls that may wait for a turn. Each workspace has one poll at a time, so this is no limit for an
/// install of ordinary size; a waiting poll takes a few hundred bytes.
const WAITING_POLLS: usize = 65_536;

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
        let polls = Turns::new(TurnLimits {
            at_once: limits.at_once,
            per_key: limits.per_namespace,
            waiting: WAITING_POLLS,
            waiting_per_key: WAITING_POLLS,
        });
        Self { client, reader, custom_rules, snapshots: Arc::new(snapshots), polls, load }
    }

    /// Counts what is refused because of a limit.
    pub(crate) fn load(&self) -> &LoadMetrics {
        &self.load
    }

    /// The content on disk.
    pub(crate) fn snapshots(&self) -> &Arc<Snapshots> {
        &self.snapshots
    }

    /// The reader, which counts its requests to git hosts.
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
        if matches!(result, Err(PollError::Crowded(_))) {
            self.load.refused("polls");
        }
        log(&result);
        result
    }

    async fn run(
        &self,
        spec: &RototoWorkspaceSpec,
        DuePoll { age, known }: DuePoll,
        key: &WorkspaceKey,
    ) -> Result<PollResult, PollError> {
        let source = spec.source.parse().map_err(PollError::Invalid)?;
        // Before anything is fetched: what waits for a turn afterwards is in memory. The wait is no fault of the
        // source, and spec.timeout begins after it.
        let turn = self.take_turn(key).await?;
        let (limit, began) = (spec.timeout(), Instant::now());
        let secrets = async {
            let signatures = signature_policy(&self.client, key, spec).await?;
            Ok::<_, PollError>((self.access(spec, source, key).await?, signatures))
        };
        let (access, signatures) = timeout(limit, secrets).await.map_err(|_| PollError::TimedOut(limit))??;
        let custom_rules = self.custom_rules.clone();
        let fail_on = spec.fail_on();
        let poll = Poll { access, signatures, age, timeout: limit, began, fail_on, custom_rules, known };
        poll.run(&self.reader, self.snapshots.store(key)?, &key.namespace, turn).await
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
            let _turn = self.take_turn(key).await?;
            let Some(source) = at_revision(&spec.source, revision) else { return Ok(false) };
            let access = self.access(spec, source, key).await?;
            recover(access, fingerprint, &self.reader, self.snapshots.store(key)?).await
        };
        timeout(limit, recovered).await.unwrap_or(Err(PollError::TimedOut(limit)))
    }

    /// Waits until a source of this workspace's namespace may be read.
    async fn take_turn(&self, key: &WorkspaceKey) -> Result<Turn<String>, PollError> {
        self.polls.take(&key.namespace).await.map_err(|_| PollError::Crowded("polls"))
    }

    /// Returns `source` with the credentials that open it for this workspace.
    async fn access(
        &self,
        spec: &RototoWorkspaceSpec,
        source: Source,
        key: &WorkspaceKey,
    ) -> Result<Access, PollError> {
        let credentials = credentials(&self.client, key, spec, &source).await?;
        Ok(Access::new(source, credentials))
    }
}

fn log(result: &Result<PollResult, PollError>) {
    match result {
        Ok(PollResult { candidate, .. }) => {
            let revision = candidate.revision.as_ref().map(ToString::to_string);
            let accepted = candidate.verdict == LintVerdict::Accepted;
            debug!(revision, fingerprint = %candidate.fingerprint, accepted, "polled the source");
        }
        Err(error) => warn!(code = error.code(), %error, "the source could not be read"),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::{Request, Response};
    use kube::client::Body;
    use rototo_source::{FileSources, ReaderOptions};
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;

    fn sources(folder: &std::path::Path, custom_rules: CustomRules) -> Arc<Sources> {
        let unused = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
        let reader = ReaderOptions {
            cache_dir: Some(folder.join("git")),
            file_sources: FileSources::Allowed,
            ..ReaderOptions::default()
        };
        let client = Client::new(tower::service_fn(unused), "default");
        let snapshots = Snapshots::new(folder.join("snapshots"));
        let reader = Reader::new(reader).unwrap();
        let (limits, load) = (PollLimits::default(), LoadMetrics::default());
        Arc::new(Sources::new(client, reader, custom_rules, snapshots, limits, load))
    }

    async fn poll(sources: &Sources, source: &str, key: &WorkspaceKey, timeout: &str) -> Result<PollResult, PollError> {
        let spec = serde_json::from_value(json!({ "source": source, "timeout": timeout })).unwrap();
        sources.poll(&spec, DuePoll { age: Duration::ZERO, known: None }, key).await
    }

    fn key(namespace: &str, number: usize) -> WorkspaceKey {
        WorkspaceKey { namespace: namespace.to_owned(), name: format!("config-{number}") }
    }

    #[tokio::test]
    async fn polls_of_one_namespace_that_hang_do_not_hold_up_another() {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(folder.path(), CustomRules::off());
        // A host that accepts connections and never answers.
        let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = format!("https://{}/config.tar.gz", host.local_addr().unwrap());
        let mut polls = Vec::new();
        for number in 0..50 {
            let (sources, source) = (sources.clone(), source.clone());
            polls.push(tokio::spawn(async move { poll(&sources, &source, &key("greedy", number), "5m").await }));
        }
        while sources.polls.waiting() < 46 {
            tokio::task::yield_now().await;
        }
        assert_eq!(sources.polls.taken(), 4);
        let workspace = folder.path().join("workspace");
        std::fs::create_dir_all(&workspace).unwrap();
        std::fs::write(workspace.join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
        let local = format!("file://{}", workspace.display());
        poll(&sources, &local, &key("other", 0), "1m").await.unwrap();
        polls.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn the_wait_for_custom_rules_is_part_of_the_poll() {
        let folder = tempfile::tempdir().unwrap();
        let custom_rules = CustomRules::run_by("/nonexistent".into());
        let sources = sources(folder.path(), custom_rules.clone());
        let workspace = folder.path().join("workspace");
        std::fs::create_dir_all(workspace.join("lint")).unwrap();
        std::fs::write(workspace.join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
        std::fs::write(workspace.join("lint/rule.lua"), "return {}\n").unwrap();
        let local = format!("file://{}", workspace.display());
        let _held = custom_rules.turn("greedy").await.unwrap();
        let waits = poll(&sources, &local, &key("greedy", 0), "1s").await;
        assert!(matches!(waits, Err(PollError::LintTimedOut(_))), "{waits:?}");
        assert_eq!(sources.polls.taken(), 0, "a poll that waits for custom rules has given its turn back");
        poll(&sources, &local, &key("other", 0), "1m").await.unwrap();
    }
}
