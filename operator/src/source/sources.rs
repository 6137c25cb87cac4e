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
use crate::load::turns::{TurnLimits, Turns};
use crate::source::credentials::{credentials, signature_policy};
use crate::source::custom_rules::CustomRules;
use crate::source::disk::DiskShares;
use crate::source::poll::{LintVerdict, Poll, PollResult};
use crate::source::poll_error::PollError;
use crate::source::poll_turn::PollTurn;
use crate::source::record::DuePoll;
use crate::source::recovery::{at_revision, recover};
use crate::source::snapshots::Snapshots;
use crate::workspace_key::WorkspaceKey;

/// The way to all sources, and the content that was read from them.
pub(crate) struct Sources {
    client: Client,
    reader: Arc<Reader>,
    custom_rules: CustomRules,
    snapshots: Arc<Snapshots>,
    polls: Turns<String>,
    disk: Arc<DiskShares>,
    limits: PollLimits,
    load: LoadMetrics,
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
    /// The bytes of snapshots, repositories, and archives of one namespace on the disk.
    pub(crate) disk_bytes: u64,
}

impl Default for PollLimits {
    fn default() -> Self {
        Self { at_once: 16, per_namespace: 4, workspaces: 1_000, disk_bytes: 1 << 30 }
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
        let turns = TurnLimits {
            at_once: limits.at_once,
            per_key: limits.per_namespace,
            waiting: WAITING_POLLS,
            waiting_per_key: WAITING_POLLS,
        };
        // As many again may wait for a host that is slow: such a poll takes a process of git, and little else.
        let polls = Turns::with_lingering(turns, limits.at_once);
        let snapshots = Arc::new(snapshots);
        let disk = Arc::new(DiskShares::new(limits.disk_bytes, snapshots.clone()));
        Self { client, reader: Arc::new(reader), custom_rules, snapshots, polls, disk, limits, load }
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
            Err(error @ PollError::DiskFull(_)) => self.load.refused(error.code()),
            _ => {}
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
        // The turn is taken before anything is fetched, because a poll that waits later keeps its documents in memory.
        // The wait is no fault of the source, and spec.timeout begins after it.
        let turn = self.take_turn(key).await?;
        let (limit, began) = (spec.timeout(), Instant::now());
        let secrets = async {
            let signatures = signature_policy(&self.client, key, spec).await?;
            Ok::<_, PollError>((self.access(spec, source, key).await?, signatures))
        };
        let (access, signatures) = timeout(limit, secrets).await.map_err(|_| PollError::TimedOut(limit))??;
        self.make_room(&key.namespace).await;
        let (custom_rules, fail_on) = (self.custom_rules.clone(), spec.fail_on());
        let (disk, namespace) = (self.disk.clone(), key.namespace.clone());
        let poll =
            Poll { access, signatures, age, timeout: limit, began, fail_on, custom_rules, known, disk, namespace };
        let polled = poll.run(&self.reader, self.snapshots.store(key)?, turn);
        self.reader.charged_to(&key.namespace, Box::pin(polled)).await
    }

    /// Removes what is kept for a namespace beyond its share of the disk. The readings that are under way may exceed it:
    /// each by one transfer and one repository.
    async fn make_room(&self, namespace: &str) {
        let (disk, reader, load) = (self.disk.clone(), self.reader.clone(), self.load.clone());
        let namespace = namespace.to_owned();
        let made = tokio::task::spawn_blocking(move || disk.make_room(&namespace, &reader, &load));
        // Without room, the poll itself says what is wrong.
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
            let mut turn = self.take_turn(key).await?;
            let Some(source) = at_revision(&spec.source, revision) else { return Ok(false) };
            let access = self.access(spec, source, key).await?;
            let recovered = recover(access, fingerprint, &self.reader, self.snapshots.store(key)?);
            turn.reading(Box::pin(self.reader.charged_to(&key.namespace, recovered))).await
        };
        timeout(limit, recovered).await.unwrap_or(Err(PollError::TimedOut(limit)))
    }

    /// Waits until a source of this workspace's namespace may be read.
    async fn take_turn(&self, key: &WorkspaceKey) -> Result<PollTurn, PollError> {
        PollTurn::take(&self.polls, &key.namespace).await.map_err(|_| PollError::Crowded("polls"))
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
    use std::process::Command;

    use axum::http::{Request, Response};
    use kube::client::Body;
    use rototo_source::{FileSources, Limits, ReaderOptions};
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::source::poll::PollTimes;

    fn sources(folder: &std::path::Path, custom_rules: CustomRules) -> Arc<Sources> {
        limited_sources(folder, custom_rules, PollLimits::default())
    }

    fn limited_sources(folder: &std::path::Path, custom_rules: CustomRules, limits: PollLimits) -> Arc<Sources> {
        let unused = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
        let reader = ReaderOptions {
            cache_dir: Some(folder.join("git")),
            file_sources: FileSources::Allowed,
            ..ReaderOptions::default()
        };
        let client = Client::new(tower::service_fn(unused), "default");
        let snapshots = Snapshots::new(folder.join("snapshots"), Limits::default());
        let reader = Reader::new(reader).unwrap();
        Arc::new(Sources::new(client, reader, custom_rules, snapshots, limits, LoadMetrics::default()))
    }

    async fn poll(sources: &Sources, source: &str, key: &WorkspaceKey, timeout: &str) -> Result<PollResult, PollError> {
        let spec = serde_json::from_value(json!({ "source": source, "timeout": timeout })).unwrap();
        sources.poll(&spec, DuePoll { age: Duration::ZERO, known: None }, key).await
    }

    /// Writes a workspace to `folder`, with these files beside its manifest. Returns its source.
    fn write_workspace(folder: &std::path::Path, files: &[(&str, &str)]) -> String {
        for (path, text) in [("rototo-workspace.toml", "schema_version = 1\n")].iter().chain(files) {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        format!("file://{}", folder.display())
    }

    fn key(namespace: &str, number: usize) -> WorkspaceKey {
        WorkspaceKey { namespace: namespace.to_owned(), name: format!("config-{number}") }
    }

    /// Commits all files of a repository, and polls it as a workspace that runs its tests.
    async fn poll_commit(
        sources: &Sources,
        repository: &std::path::Path,
        known: Option<PollResult>,
        lint: serde_json::Value,
    ) -> PollResult {
        let git = |arguments: &[&str]| {
            let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
            let mut git = std::process::Command::new("git");
            assert!(git.current_dir(repository).args(identity).args(arguments).status().unwrap().success());
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--allow-empty", "-m", "a change"]);
        let source = format!("git+file://{}#main", repository.display());
        let spec = serde_json::from_value(json!({ "source": source, "lint": lint })).unwrap();
        sources.poll(&spec, DuePoll { age: Duration::ZERO, known }, &key("team", 0)).await.unwrap()
    }

    #[tokio::test]
    async fn a_test_that_fails_refuses_a_commit_with_its_line_and_without_values() {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(folder.path(), CustomRules::off());
        let repository = folder.path().join("repository");
        let variable =
            "schema_version = 1\ntype = \"int\"\nvalues = { small = 4711 }\nresolve = { default = \"small\" }\n";
        let test = "schema_version = 1\n[[case]]\nexpect = { limit = { value = 4712 } }\n";
        write_workspace(&repository, &[("variables/limit.toml", variable), ("tests/limits.toml", test)]);
        let on = json!({ "tests": true });

        let refused = poll_commit(&sources, &repository, None, on.clone()).await;
        let LintVerdict::Refused(refusal) = &refused.candidate.verdict else { panic!("{refused:?}") };
        let finding = serde_json::to_value(&refusal.findings).unwrap();
        let message = "the workspace decides otherwise than a test expects (at `limit`)";
        assert_eq!(
            (refusal.errors, finding),
            (1, json!([{"rule": "rototo/test-failed", "path": "tests/limits.toml", "line": 3, "message": message}]))
        );

        // Nothing but the test changes, and the content keeps its fingerprint.
        std::fs::write(repository.join("tests/limits.toml"), test.replace("4712", "4711")).unwrap();
        let accepted = poll_commit(&sources, &repository, Some(refused.clone()), on.clone()).await;
        assert_eq!(accepted.candidate.verdict, LintVerdict::Accepted);
        assert_eq!(accepted.candidate.fingerprint, refused.candidate.fingerprint);

        std::fs::write(repository.join("tests/limits.toml"), test).unwrap();
        let refused = poll_commit(&sources, &repository, Some(accepted), on).await;
        assert_ne!(refused.candidate.verdict, LintVerdict::Accepted);
        // The same commit, once the spec no longer asks for tests.
        let accepted = poll_commit(&sources, &repository, Some(refused), json!({})).await;
        assert_eq!(accepted.candidate.verdict, LintVerdict::Accepted);
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
        let local = write_workspace(&folder.path().join("workspace"), &[]);
        poll(&sources, &local, &key("other", 0), "1m").await.unwrap();
        polls.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_of_several_namespaces_that_drip_do_not_hold_up_others() {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(folder.path(), CustomRules::off());
        let host = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let source = format!("https://{}/config.tar.gz", host.local_addr().unwrap());
        let mut polls = Vec::new();
        for number in 0..16 {
            let (sources, source) = (sources.clone(), source.clone());
            let key = key(&format!("greedy-{}", number / 4), number);
            polls.push(tokio::spawn(async move { poll(&sources, &source, &key, "1h").await }));
        }
        while sources.polls.taken() < 16 {
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        let turn = sources.take_turn(&key("other", 0)).await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(11), "{:?}", began.elapsed());
        drop(turn);
        polls.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn workspaces_of_several_namespaces_that_wait_for_custom_rules_do_not_hold_up_others() {
        let folder = tempfile::tempdir().unwrap();
        let custom_rules = CustomRules::run_by("/nonexistent".into());
        let sources = sources(folder.path(), custom_rules.clone());
        let local = write_workspace(&folder.path().join("workspace"), &[("lint/rule.lua", "return {}\n")]);
        // Rules of four namespaces that run, and of each four workspaces that wait.
        let mut held = Vec::new();
        for number in 0..4 {
            let namespace = format!("greedy-{number}");
            held.push(custom_rules.turn(&namespace).await.unwrap());
            for _ in 0..4 {
                held.push(custom_rules.queue(&namespace).await.unwrap());
            }
        }
        let mut polls = Vec::new();
        for number in 0..32 {
            let (sources, local) = (sources.clone(), local.clone());
            let key = key(&format!("greedy-{}", number / 8), number);
            polls.push(tokio::spawn(async move { poll(&sources, &local, &key, "5m").await }));
        }
        while custom_rules.waiting() < 32 {
            tokio::task::yield_now().await;
        }
        assert_eq!(sources.polls.taken(), 0);
        let plain = write_workspace(&folder.path().join("plain"), &[]);
        poll(&sources, &plain, &key("other", 0), "1m").await.unwrap();
        // And those that waited are linted once it is their turn.
        drop(held);
        for poll in polls {
            poll.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_namespace_that_fills_its_share_of_the_disk_publishes_nothing_new_and_others_do() {
        let folder = tempfile::tempdir().unwrap();
        let limits = PollLimits { disk_bytes: 300_000, ..PollLimits::default() };
        let sources = limited_sources(folder.path(), CustomRules::off(), limits);
        let workspace = folder.path().join("workspace");
        let local = write_workspace(&workspace, &[]);
        let change = || {
            let noise: String = (0..100_000).map(|_| fastrand::alphanumeric()).collect();
            let variable = format!(
                "schema_version = 1\ntype = \"string\"\n[values]\na = \"{noise}\"\n[resolve]\ndefault = \"a\"\n"
            );
            write_workspace(&workspace, &[("variables/a.toml", &variable)]);
        };
        let mut refused = None;
        for number in 0..10 {
            change();
            match poll(&sources, &local, &key("greedy", number), "1m").await {
                Ok(polled) => assert_eq!(polled.candidate.verdict, LintVerdict::Accepted),
                Err(error) => refused = refused.or(Some((number, error))),
            }
        }
        let (number, error) = refused.unwrap();
        assert!((2..5).contains(&number) && matches!(error, PollError::DiskFull(_)), "{number} {error}");
        assert_eq!((error.reason(), error.is_transient()), ("LimitReached", true));
        assert!(sources.load.requests_refused("disk_of_namespace") > 0);
        poll(&sources, &local, &key("other", 0), "1m").await.unwrap();
        // What it has already is read as ever.
        assert!(sources.snapshots.bytes_of("greedy") < 300_000);
    }

    /// The time of a change counts from the first answer that names its commit, also if the fetch fails then.
    #[tokio::test]
    async fn a_change_is_detected_once_although_its_first_fetch_failed() {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(folder.path(), CustomRules::off());
        let repository = folder.path().join("repository");
        write_workspace(&repository, &[]);
        let git = |arguments: &[&str]| {
            let author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
            let output = Command::new("git").arg("-C").arg(&repository).args(author).args(arguments).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message=first"]);
        let blob = git(&["rev-parse", "HEAD:rototo-workspace.toml"]);
        let object = repository.join(".git/objects").join(&blob[..2]).join(&blob[2..]);
        let (lost, source) = (folder.path().join("lost"), format!("git+file://{}#main", repository.display()));
        std::fs::rename(&object, &lost).unwrap();
        poll(&sources, &source, &key("team", 0), "1m").await.unwrap_err();
        let failed = Instant::now().into_std();
        std::fs::rename(&lost, &object).unwrap();
        let found = poll(&sources, &source, &key("team", 0), "1m").await.unwrap();
        let PollTimes { detected, fetched, .. } = found.candidate.times;
        assert!(detected < failed && failed < fetched, "{:?}", found.candidate.times);
    }

    #[tokio::test]
    async fn the_wait_for_custom_rules_is_part_of_the_poll() {
        let folder = tempfile::tempdir().unwrap();
        let custom_rules = CustomRules::run_by("/nonexistent".into());
        let sources = sources(folder.path(), custom_rules.clone());
        let local = write_workspace(&folder.path().join("workspace"), &[("lint/rule.lua", "return {}\n")]);
        let _held = custom_rules.turn("greedy").await.unwrap();
        let waits = poll(&sources, &local, &key("greedy", 0), "1s").await;
        assert!(matches!(waits, Err(PollError::LintTimedOut(_))), "{waits:?}");
        assert_eq!(sources.polls.taken(), 0, "a poll that waits for custom rules has given its turn back");
        poll(&sources, &local, &key("other", 0), "1m").await.unwrap();
    }
}
