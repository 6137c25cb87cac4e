//! A double of the operator's endpoint and of the doorbell, and handles that follow them.

#[path = "../../../../tests/support/requests.rs"]
mod requests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;
use rototo_api::fleet::{Report, ReportResponse};
use rototo_api::marker::Stage;
use rototo_api::names;
use rototo_engine::Tree;
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
use crate::kubernetes::cluster::endpoint_overrides::EndpointOverrides;
use crate::kubernetes::cluster::watch_cache::WatchCache;
use crate::kubernetes::cluster::{Cluster, NamespaceWatch};
use crate::kubernetes::following::Follower;
use crate::kubernetes::following::cache::Cache;
use crate::kubernetes::following::target::FollowTarget;
use crate::kubernetes::reporting::handles::HandleRegistration;
use crate::workspace::checks::Checks;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Returns the tree of a content name, such as `a`.
pub(super) fn tree(content: &str) -> Tree {
    let file = format!("schema_version = 1\n# {content}\n");
    [("rototo-workspace.toml".to_owned(), file.into_bytes())].into_iter().collect()
}

/// Returns the publish that a name such as `a@1` means: content a, published at second 1.
pub(super) fn publish(text: &str) -> Publish {
    let (content, second) = text.split_once('@').unwrap();
    let updated_at = format!("2026-11-20T18:40:0{second}.000000Z").parse().unwrap();
    Publish { fingerprint: tree(content).fingerprint(), updated_at }
}

pub(super) fn named(report: &Report) -> String {
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
pub(super) struct TestCluster {
    pub(super) url: String,
    pub(super) doorbell: Arc<Doorbell>,
    pub(super) showing: watch::Sender<WatchCache>,
    pub(super) answer: Arc<Mutex<ReportResponse>>,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    pub(super) received: Vec<u64>,
    /// The contents that were requested.
    pub(super) fetched: Arc<Mutex<Vec<&'static str>>>,
    pub(super) token: tempfile::NamedTempFile,
    /// The application's own `staleAfter`.
    pub(super) stale_after: Option<Duration>,
}

impl TestCluster {
    pub(super) async fn publishing(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (showing, watch_cache) = watch::channel(WatchCache::default());
        let (report_sender, reports) = mpsc::unbounded_channel();
        let answer = Arc::new(Mutex::new(answer(text)));
        let fetched = Arc::default();
        tokio::spawn(serve(listener, report_sender, answer.clone(), Arc::clone(&fetched)));
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "token").unwrap();
        let doubt = Arc::new(Notify::new());
        let doorbell = Arc::new(Doorbell::showing(watch_cache, doubt.clone()));
        let (lists, showing) = (showing.clone(), showing);
        tokio::spawn(async move {
            loop {
                doubt.notified().await;
                lists.send_modify(WatchCache::listed_again);
            }
        });
        let received = Vec::new();
        let cluster = Self { url, doorbell, showing, answer, reports, received, fetched, token, stale_after: None };
        cluster.publish(text);
        cluster
    }

    /// Writes the marker, which notifies the followers.
    pub(super) fn publish(&self, text: &str) {
        self.announce(text, None);
    }

    /// Writes the marker with an announced publish.
    pub(super) fn announce(&self, text: &str, next: Option<&str>) {
        let next = next.map(publish);
        *self.answer.lock().unwrap() = ReportResponse { next: next.map(Publish::to_next), ..answer(text) };
        self.write_marker(Marked { next, ..publish(text).into() });
    }

    /// Writes the marker with an announced publish that every pod runs already.
    pub(super) fn stage(&self, text: &str, next: &str) {
        let stage = Stage { step: 0, since: "2026-11-20T18:40:00Z".parse().unwrap(), below: WHOLE };
        let announced = publish(next);
        *self.answer.lock().unwrap() = ReportResponse { next: Some(announced.to_next()), ..answer(next) };
        self.write_marker(Marked { next: Some(announced), stage: Some(stage), ..publish(text).into() });
    }

    pub(super) fn write_marker(&self, marked: Marked) {
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

    pub(super) fn handle(&self, checks: Checks) -> TestHandle {
        Self::run(self.follower(checks))
    }

    /// Starts a handle with a disk cache in `directory`, which `change` changes before.
    pub(super) fn handle_with_cache(&self, directory: &Path, change: impl FnOnce(&mut Cache)) -> TestHandle {
        let (mut follower, current, registration, refresh_requests) = self.follower(Checks::default());
        let loader = Arc::get_mut(&mut follower.loader).unwrap();
        change(loader.cache.insert(Cache::new(directory, "prod", "policy")));
        Self::run((follower, current, registration, refresh_requests))
    }

    fn run((follower, current, registration, refresh_requests): TestFollower) -> TestHandle {
        let stop = CancellationToken::new();
        let task = tokio::spawn(follower.follow(stop.clone()));
        TestHandle { current, registration, refresh_requests, stop, task }
    }

    pub(super) fn follower(&self, checks: Checks) -> TestFollower {
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
    pub(super) async fn receives_report(&mut self, expected: &str) -> Report {
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

type TestFollower = (Follower, Arc<Current>, Arc<HandleRegistration>, mpsc::Sender<RefreshRequest>);

pub(super) struct TestHandle {
    pub(super) current: Arc<Current>,
    pub(super) registration: Arc<HandleRegistration>,
    pub(super) refresh_requests: mpsc::Sender<RefreshRequest>,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl TestHandle {
    pub(super) fn resolves(&self, text: &str) -> bool {
        let publish = publish(text);
        let workspace = self.current.workspace().ok();
        workspace
            .is_some_and(|it| it.fingerprint() == publish.fingerprint && it.updated_at() == Some(publish.updated_at))
    }

    pub(super) async fn refresh(&self) -> RefreshOutcome {
        self.try_to_refresh().await.unwrap()
    }

    pub(super) async fn try_to_refresh(&self) -> Result<RefreshOutcome> {
        let (done, outcome) = oneshot::channel();
        self.refresh_requests.send(RefreshRequest { done }).await.unwrap();
        timeout(PATIENCE, outcome).await.unwrap().unwrap()
    }

    /// Returns the age of the last confirmation, in seconds.
    pub(super) fn verified_seconds_ago(&self) -> i64 {
        Timestamp::now().duration_since(self.current.status().last_success.unwrap()).as_secs()
    }

    pub(super) async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

pub(super) fn answer(text: &str) -> ReportResponse {
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

pub(super) async fn serve(
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
