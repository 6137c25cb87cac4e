//! Tests of followers with a double of the operator's endpoint and a doorbell that shows the watch cache of the test:
//! they compare what each handle resolves with what it reports.

#[path = "../../../tests/support/requests.rs"]
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;
use rototo_api::fleet::{Pid, PreparationState, ProcessState, Report, ReportResponse, SiblingState};
use rototo_api::marker::Stage;
use rototo_api::names;
use rototo_connection::{Address, Trust};
use rototo_engine::Tree;
use rototo_protocol::follower::{ContentSource, FollowerEvent};
use rototo_protocol::stage::WHOLE;
use rototo_protocol::{Marked, Publish};
use rototo_source::snapshot;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::current::Current;
use crate::current::refresh_request::{RefreshOutcome, RefreshRequest};
use crate::error::Result;
use crate::kubernetes::cluster::doorbell::Doorbell;
use crate::kubernetes::cluster::endpoint::Endpoint;
use crate::kubernetes::cluster::endpoint_overrides::EndpointOverrides;
use crate::kubernetes::cluster::watch_cache::WatchCache;
use crate::kubernetes::cluster::{Cluster, NamespaceWatch};
use crate::kubernetes::following::Follower;
use crate::kubernetes::following::snapshots::{LoadError, SnapshotLoader};
use crate::kubernetes::following::target::FollowTarget;
use crate::kubernetes::reporting::handles::HandleRegistration;
use crate::kubernetes::reporting::process::PROCESS;
use crate::workspace::checks::Checks;

const PATIENCE: Duration = Duration::from_secs(20);

/// Returns the tree of a content name, such as `a`.
fn tree(content: &str) -> Tree {
    let file = format!("schema_version = 1\n# {content}\n");
    [("rototo-workspace.toml".to_owned(), file.into_bytes())].into_iter().collect()
}

/// Returns the publish that a name such as `a@1` means: content a, published at second 1.
fn publish(text: &str) -> Publish {
    let (content, second) = text.split_once('@').unwrap();
    let updated_at = format!("2026-11-20T18:40:0{second}.000000Z").parse().unwrap();
    Publish { fingerprint: tree(content).fingerprint(), updated_at }
}

fn named(report: &Report) -> String {
    let publishes =
        ["a", "b", "c"].into_iter().flat_map(|content| (0..10).map(move |second| format!("{content}@{second}")));
    let is_named = |text: &String| {
        let publish = publish(text);
        report.fingerprint == Some(publish.fingerprint.to_string()) && report.updated_at == Some(publish.updated_at)
    };
    let publish = publishes.into_iter().find(is_named).unwrap_or_default();
    format!("{} {publish} of {}", report.state.name(), report.handles.unwrap())
}

/// A double of the operator, the namespace in which it publishes, and the reports that it receives.
struct TestCluster {
    url: String,
    doorbell: Arc<Doorbell>,
    showing: watch::Sender<WatchCache>,
    answer: Arc<Mutex<ReportResponse>>,
    reports: mpsc::UnboundedReceiver<Report>,
    received: Vec<u64>,
    /// The contents that were requested.
    fetched: Arc<Mutex<Vec<&'static str>>>,
    token: tempfile::NamedTempFile,
    /// The application's own `staleAfter`.
    stale_after: Option<Duration>,
}

impl TestCluster {
    async fn publishing(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (showing, watch_cache) = watch::channel(WatchCache::default());
        let (report_sender, reports) = mpsc::unbounded_channel();
        let answer = Arc::new(Mutex::new(answer(text)));
        let fetched = Arc::default();
        tokio::spawn(serve(listener, report_sender, answer.clone(), Arc::clone(&fetched)));
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "token").unwrap();
        let doorbell = Arc::new(Doorbell::showing(watch_cache, Arc::new(Notify::new())));
        let received = Vec::new();
        let cluster = Self { url, doorbell, showing, answer, reports, received, fetched, token, stale_after: None };
        cluster.publish(text);
        cluster
    }

    /// Writes the marker, which notifies the followers.
    fn publish(&self, text: &str) {
        self.announce(text, None);
    }

    /// Writes the marker with an announced publish.
    fn announce(&self, text: &str, next: Option<&str>) {
        let next = next.map(publish);
        *self.answer.lock().unwrap() = ReportResponse { next: next.map(Publish::to_next), ..answer(text) };
        self.write_marker(Marked { next, ..publish(text).into() });
    }

    /// Writes the marker with an announced publish that every pod runs already.
    fn stage(&self, text: &str, next: &str) {
        let stage = Stage { step: 0, since: "2026-11-20T18:40:00Z".parse().unwrap(), below: WHOLE };
        let announced = publish(next);
        *self.answer.lock().unwrap() = ReportResponse { next: Some(announced.to_next()), ..answer(next) };
        self.write_marker(Marked { next: Some(announced), stage: Some(stage), ..publish(text).into() });
    }

    fn write_marker(&self, marked: Marked) {
        let marker = marked.to_marker().to_json();
        let annotations = BTreeMap::from([(names::ANNOTATION_SNAPSHOTS.to_owned(), self.url.clone())]);
        let map = ConfigMap {
            metadata: ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([("policy".to_owned(), marker)])),
            ..ConfigMap::default()
        };
        self.showing.send_modify(|watch_cache| match watch_cache.hydrates() {
            0 => watch_cache.listed(Some(map)),
            _ => watch_cache.show(Some(map)),
        });
    }

    fn handle(&self, checks: Checks) -> TestHandle {
        let (follower, current, registration, refresh_requests) = self.follower(checks);
        let stop = CancellationToken::new();
        let task = tokio::spawn(follower.follow(stop.clone()));
        TestHandle { current, registration, refresh_requests, stop, task }
    }

    fn follower(
        &self,
        checks: Checks,
    ) -> (Follower, Arc<Current>, Arc<HandleRegistration>, mpsc::Sender<RefreshRequest>) {
        let current = Arc::new(Current::new("kubernetes://prod/policy".to_owned()));
        let registration = Arc::new(HandleRegistration::default());
        let target = FollowTarget {
            // Each handle has a cluster object of its own, as in an application.
            cluster: Cluster::with_config(kube::Config::new(self.url.parse().unwrap())),
            namespace: None,
            workspace: "policy".to_owned(),
            source: "kubernetes://prod/policy".to_owned(),
            endpoint_overrides: EndpointOverrides::default(),
            token_file: self.token.path().to_owned(),
            cache_dir: None,
            stale_after: self.stale_after,
            prepares: true,
            checks,
            direct: None,
            registration: registration.clone(),
        };
        let joined =
            NamespaceWatch { cluster: self.url.clone(), namespace: "prod".to_owned(), doorbell: self.doorbell.clone() };
        let (refresh_requests, requested) = mpsc::channel(1);
        (Follower::new(target, joined, current.clone(), requested), current, registration, refresh_requests)
    }

    /// Takes reports until one is the expected one, and returns it.
    async fn receives_report(&mut self, expected: &str) -> Report {
        let mut last = "nothing".to_owned();
        let receiving = timeout(PATIENCE, async {
            loop {
                let report = self.reports.recv().await.unwrap();
                self.received.push(report.sequence.unwrap());
                last = named(&report);
                if last == expected {
                    return report;
                }
            }
        });
        let received = receiving.await;
        received.unwrap_or_else(|_| panic!("{expected} was not reported; the last was {last}"))
    }
}

struct TestHandle {
    current: Arc<Current>,
    registration: Arc<HandleRegistration>,
    refresh_requests: mpsc::Sender<RefreshRequest>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl TestHandle {
    fn resolves(&self, text: &str) -> bool {
        let publish = publish(text);
        let workspace = self.current.workspace().ok();
        workspace
            .is_some_and(|it| it.fingerprint() == publish.fingerprint && it.updated_at() == Some(publish.updated_at))
    }

    async fn refresh(&self) -> RefreshOutcome {
        self.try_to_refresh().await.unwrap()
    }

    async fn try_to_refresh(&self) -> Result<RefreshOutcome> {
        let (done, outcome) = oneshot::channel();
        self.refresh_requests.send(RefreshRequest { done }).await.unwrap();
        timeout(PATIENCE, outcome).await.unwrap().unwrap()
    }

    /// Returns the age of the last confirmation, in seconds.
    fn verified_seconds_ago(&self) -> i64 {
        Timestamp::now().duration_since(self.current.status().last_success.unwrap()).as_secs()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn answer(text: &str) -> ReportResponse {
    let publish = publish(text);
    ReportResponse {
        fingerprint: Some(publish.fingerprint.to_string()),
        updated_at: Some(publish.updated_at),
        revision: None,
        verified_ms_ago: Some(0),
        stale_after_ms: 300_000,
        next_report_in_ms: 15_000,
        report_applied_within_ms: 0,
        siblings: Vec::new(),
        next: None,
    }
}

async fn serve(
    listener: TcpListener,
    report_sender: mpsc::UnboundedSender<Report>,
    answer: Arc<Mutex<ReportResponse>>,
    fetched: Arc<Mutex<Vec<&'static str>>>,
) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (report_sender, answer, fetched) = (report_sender.clone(), answer.clone(), fetched.clone());
        tokio::spawn(async move {
            let (target, body) = requests::request(&mut stream).await;
            let path = target.split('?').next().unwrap();
            let answer = if path.ends_with("/fleet") {
                let answer = serde_json::to_vec(&*answer.lock().unwrap()).unwrap();
                drop(report_sender.send(serde_json::from_slice(&body).unwrap()));
                answer
            } else {
                let asked = |content: &&str| path.contains(&tree(content).fingerprint().to_string());
                let found = ["a", "b", "c"].into_iter().find(asked).unwrap();
                fetched.lock().unwrap().push(found);
                snapshot::pack(&tree(found), None).unwrap()
            };
            let header = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            drop(stream.write_all(&[header.into_bytes(), answer].concat()).await);
        });
    }
}

/// Returns checks that refuse content b while the flag is set.
fn refusing_b(refuses: &Arc<AtomicBool>) -> Checks {
    let (mut checks, refuses, b) = (Checks::default(), refuses.clone(), tree("b").fingerprint());
    checks.add(move |workspace| match refuses.load(Ordering::SeqCst) && workspace.fingerprint() == b {
        true => Err("a dependency is down".to_owned()),
        false => Ok(()),
    });
    checks
}

#[tokio::test]
async fn a_refusal_of_one_handle_is_reported_by_all_until_that_handle_ends() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let refusing = cluster.handle(refusing_b(&Arc::new(AtomicBool::new(true))));
    let taking = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 2").await;
    cluster.publish("b@2");
    cluster.receives_report("rejected b@2 of 2").await;
    taking.refresh().await;
    let report = cluster.receives_report("rejected b@2 of 2").await;
    assert_eq!((report.reason.as_deref(), report.applied_ms_ago), (Some("check_failed"), None));
    assert!(refusing.resolves("a@1") && taking.resolves("b@2"));
    refusing.end().await;
    let report = cluster.receives_report("applied b@2 of 1").await;
    assert!(report.applied_ms_ago.is_some());
    taking.end().await;
}

#[tokio::test]
async fn the_last_handle_drains_the_process_once() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let (first, second) = (cluster.handle(Checks::default()), cluster.handle(Checks::default()));
    cluster.receives_report("applied a@1 of 2").await;
    let current = first.current.clone();
    first.end().await;
    assert!(current.workspace().is_err(), "a handle that has drained does not resolve again");
    cluster.receives_report("applied a@1 of 1").await;
    second.end().await;
    cluster.receives_report("draining  of 0").await;
    assert!(cluster.reports.is_empty(), "the process drains once");
    let numbers: BTreeSet<u64> = cluster.received.iter().copied().collect();
    assert_eq!((numbers.len(), numbers.last()), (cluster.received.len(), cluster.received.last()));
}

#[tokio::test]
async fn a_process_that_has_drained_and_lives_on_repeats_it_until_it_follows_again() {
    // An operator that was restarted must learn of it.
    let mut cluster = TestCluster::publishing("a@1").await;
    cluster.answer.lock().unwrap().next_report_in_ms = 1_000;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    handle.end().await;
    cluster.receives_report("draining  of 0").await;
    cluster.receives_report("draining  of 0").await;
    cluster.receives_report("draining  of 0").await;
    let again = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    cluster.receives_report("applied a@1 of 1").await;
    again.end().await;
}

#[tokio::test]
async fn a_handle_whose_follower_is_gone_counts_with_what_it_resolves() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let (dead, living) = (cluster.handle(Checks::default()), cluster.handle(Checks::default()));
    cluster.receives_report("applied a@1 of 2").await;
    // The follower ends as in a panic, or with its runtime.
    dead.task.abort();
    cluster.publish("b@2");
    cluster.receives_report("pending a@1 of 2").await;
    assert!(living.resolves("b@2"));
    drop(dead.registration);
    living.refresh().await;
    cluster.receives_report("applied b@2 of 1").await;
    living.end().await;
}

#[tokio::test]
async fn a_marker_that_is_put_back_is_resolved_and_reported() {
    let mut cluster = TestCluster::publishing("b@2").await;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied b@2 of 1").await;
    cluster.publish("a@9");
    cluster.receives_report("applied a@9 of 1").await;
    cluster.publish("b@2");
    cluster.receives_report("applied b@2 of 1").await;
    assert!(handle.resolves("b@2"));
    handle.end().await;
}

#[tokio::test]
async fn announced_content_is_held_across_a_swap_and_needs_no_second_request() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    cluster.announce("a@1", Some("b@4"));
    let report = cluster.receives_report("applied a@1 of 1").await;
    let next = report.next.expect("the announced publish should be reported");
    assert_eq!((report.prepares, next.state), (true, PreparationState::Prepared));
    assert_eq!(next.fingerprint, publish("b@4").fingerprint.to_string());
    assert!(handle.resolves("a@1"));
    // Another publish overtakes it, and it is still announced.
    cluster.announce("c@3", Some("b@4"));
    cluster.receives_report("applied c@3 of 1").await;
    cluster.publish("b@4");
    cluster.receives_report("applied b@4 of 1").await;
    assert!(handle.resolves("b@4"));
    assert_eq!(*cluster.fetched.lock().unwrap(), ["a", "b", "c"]);
    handle.end().await;
}

#[tokio::test]
async fn what_a_check_refuses_beforehand_is_reported_and_changes_nothing() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let refuses = Arc::new(AtomicBool::new(true));
    let handle = cluster.handle(refusing_b(&refuses));
    cluster.receives_report("applied a@1 of 1").await;
    cluster.announce("a@1", Some("b@2"));
    let next = cluster.receives_report("applied a@1 of 1").await.next.unwrap();
    assert_eq!((next.state, next.reason.as_deref()), (PreparationState::Refused, Some("check_failed")));
    assert!(handle.resolves("a@1"));
    assert_eq!(handle.current.status().last_error, None);
    handle.end().await;
}

/// Returns checks that panic at content b.
fn panicking_at_b() -> Checks {
    let (mut checks, b) = (Checks::default(), tree("b").fingerprint());
    checks.add(move |workspace| {
        assert_ne!(workspace.fingerprint(), b, "the panic holds a value");
        Ok(())
    });
    checks
}

#[tokio::test]
async fn a_check_that_panics_refuses_the_content_beforehand_and_when_it_is_published() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle(panicking_at_b());
    cluster.receives_report("applied a@1 of 1").await;
    cluster.announce("a@1", Some("b@2"));
    let next = cluster.receives_report("applied a@1 of 1").await.next.unwrap();
    assert_eq!((next.state, next.reason.as_deref()), (PreparationState::Refused, Some("check_failed")));
    cluster.publish("b@2");
    let report = cluster.receives_report("rejected b@2 of 1").await;
    assert_eq!(report.reason.as_deref(), Some("check_failed"));
    let error = handle.current.status().last_error.unwrap();
    assert!(error.ends_with("a check panicked"), "{error}");
    handle.end().await;
}

#[tokio::test]
async fn content_at_which_loading_panics_is_refused() {
    let loader = SnapshotLoader {
        namespace: "prod".to_owned(),
        workspace: "policy".to_owned(),
        source: "kubernetes://prod/policy".to_owned(),
        checks: Checks::default(),
        cache: None,
        direct: None,
    };
    let load = |_: &SnapshotLoader| panic!("the panic holds a value");
    let Err(LoadError::Refused(fault)) = Arc::new(loader).load_blocking(tree("a").fingerprint(), load).await else {
        panic!("the content should be refused");
    };
    assert_eq!(fault.code, "not_compiled");
    assert!(!fault.message.contains("value"), "{}", fault.message);
}

#[tokio::test]
async fn a_handle_whose_follower_is_gone_becomes_stale() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    handle.refresh().await;
    // The follower ends as in a panic.
    handle.task.abort();
    handle.task.await.unwrap_err();
    let state = || (handle.current.status().state, handle.current.status().stale, handle.current.is_stale(None));
    assert_eq!(state(), (ProcessState::Applied, false, false));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(state(), (ProcessState::Stale, true, true));
    handle.current.close();
    assert_eq!(handle.current.status().state, ProcessState::Draining);
}

#[test]
fn a_handle_becomes_stale_while_nothing_drives_its_runtime_and_when_the_runtime_is_gone() {
    for drops in [false, true] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.block_on(async {
            let mut cluster = TestCluster::publishing("a@1").await;
            cluster.stale_after = Some(Duration::from_millis(500));
            let handle = cluster.handle(Checks::default());
            cluster.receives_report("applied a@1 of 1").await;
            handle
        });
        let driven = (!drops).then_some(runtime);
        let end = std::time::Instant::now() + PATIENCE;
        while !handle.current.is_stale(None) {
            assert!(std::time::Instant::now() < end, "it never becomes stale");
            std::thread::yield_now();
        }
        assert!(handle.current.status().stale && handle.resolves("a@1"));
        drop(driven);
    }
}

#[tokio::test]
async fn a_refresh_repeats_a_check_that_failed() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let refuses = Arc::new(AtomicBool::new(true));
    let handle = cluster.handle(refusing_b(&refuses));
    cluster.receives_report("applied a@1 of 1").await;
    cluster.publish("b@2");
    cluster.receives_report("rejected b@2 of 1").await;
    refuses.store(false, Ordering::SeqCst);
    assert_eq!(handle.refresh().await, RefreshOutcome::Refreshed);
    assert!(handle.resolves("b@2"));
    cluster.receives_report("applied b@2 of 1").await;
    handle.end().await;
}

#[tokio::test]
async fn content_that_is_lost_before_the_swap_is_never_reported_as_applied() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let (mut follower, current, _registration, _requests) = cluster.follower(Checks::default());
    let marker = cluster.showing.borrow().marker("policy");
    follower.take(FollowerEvent::Hydrated(marker));
    // The event says that content is loaded, and none is.
    follower.take(FollowerEvent::Loaded(publish("a@1").fingerprint, ContentSource::Current));
    assert!(current.workspace().is_err());
    let stop = CancellationToken::new();
    let task = tokio::spawn(follower.follow(stop.clone()));
    let report = cluster.reports.recv().await.unwrap();
    assert_eq!((named(&report).as_str(), report.reason.as_deref()), ("pending  of 1", Some("not_swapped")));
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn only_an_answer_that_names_what_runs_confirms_it_as_of_the_last_poll_of_the_source() {
    const THREE_HOURS: i64 = 3 * 60 * 60;
    let patience = i64::try_from(PATIENCE.as_secs()).unwrap();
    let mut cluster = TestCluster::publishing("a@1").await;
    let old = Some(u64::try_from(THREE_HOURS).unwrap() * 1000);
    *cluster.answer.lock().unwrap() = ReportResponse { verified_ms_ago: old, ..answer("a@1") };
    let handle = cluster.handle(Checks::default());
    cluster.receives_report("applied a@1 of 1").await;
    handle.refresh().await;
    let age = handle.verified_seconds_ago();
    assert!((THREE_HOURS..THREE_HOURS + patience).contains(&age), "the source was last confirmed {age} s ago");
    let confirmed = handle.current.status().last_success;
    let confirms_nothing = [
        answer("b@2"),
        answer("a@2"),
        ReportResponse { fingerprint: None, updated_at: None, ..answer("a@1") },
        ReportResponse { verified_ms_ago: None, ..answer("a@1") },
    ];
    for answer in confirms_nothing {
        *cluster.answer.lock().unwrap() = answer.clone();
        handle.refresh().await;
        assert_eq!(handle.current.status().last_success, confirmed, "{answer:?}");
    }
    *cluster.answer.lock().unwrap() = answer("a@1");
    handle.refresh().await;
    let age = handle.verified_seconds_ago();
    assert!((0..patience).contains(&age), "the source was last confirmed {age} s ago");
    *cluster.answer.lock().unwrap() = ReportResponse { verified_ms_ago: Some(u64::MAX), ..answer("a@1") };
    handle.refresh().await;
    assert_eq!(handle.current.status().last_success, Some(Timestamp::UNIX_EPOCH));
    handle.end().await;
}

#[tokio::test]
async fn a_process_whose_token_is_written_after_it_joined_is_in_its_stage() {
    let mut cluster = TestCluster::publishing("a@1").await;
    std::fs::remove_file(cluster.token.path()).unwrap();
    cluster.stage("a@1", "b@4");
    let handle = cluster.handle(Checks::default());
    let error = handle.try_to_refresh().await.unwrap_err().to_string();
    assert!(error.contains("reading the token file"), "{error}");
    let claims = r#"{"kubernetes.io":{"namespace":"prod","pod":{"name":"app-7","uid":"6a0f"}}}"#;
    let token = format!("e30.{}.c2lnbmF0dXJl\n", URL_SAFE_NO_PAD.encode(claims));
    std::fs::write(cluster.token.path(), token).unwrap();
    handle.refresh().await;
    cluster.receives_report("applied b@4 of 1").await;
    assert!(handle.resolves("b@4"));
    handle.end().await;
}

#[tokio::test]
async fn a_process_that_is_asked_about_a_sibling_testifies_soon() {
    let mut cluster = TestCluster::publishing("a@1").await;
    let own = PROCESS.pid.unwrap();
    // A process that had the PID of this one, and has ended.
    let gone = Pid { started: own.started + 1, ..own };
    cluster.answer.lock().unwrap().siblings = vec![gone, Pid { namespace: 0, ..own }];
    let handle = cluster.handle(Checks::default());
    let first = cluster.receives_report("applied a@1 of 1").await;
    assert!(first.siblings.is_empty() && first.pid == Some(own) && first.started_ms_ago.is_some());
    let second = cluster.receives_report("applied a@1 of 1").await;
    let testimony: Vec<_> = second.siblings.iter().map(|testimony| (testimony.pid, testimony.fate)).collect();
    assert_eq!(testimony, [(gone, SiblingState::Gone)]);
    handle.end().await;
}

/// Starts an operator that accepts connections, sends `answer`, and then falls silent.
async fn hanging(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(answer).await.unwrap();
            held.push(stream);
        }
    });
    url
}

#[tokio::test]
async fn an_answer_that_never_comes_or_never_ends_reaches_its_time_limit() {
    let token = tempfile::NamedTempFile::new().unwrap();
    for answer in [b"" as &[u8], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"] {
        let address = Address { url: hanging(answer).await, ca: Trust::System };
        let endpoint = Endpoint::open(&address, token.path().to_owned()).unwrap();
        let asked = endpoint.send("asking", Request::get("/"), Vec::new(), Duration::from_millis(50));
        let fault = timeout(PATIENCE, asked).await.unwrap().unwrap_err();
        assert_eq!(fault.code, "operator_unreachable");
    }
}
