//! Followers against a double of the operator's endpoint, below a doorbell that shows what a test says: what is resolved,
//! and what is reported of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use rototo_api::fleet::{Answer, Fate, Pid, Report};
use rototo_api::marker::Marker;
use rototo_connection::{Address, Trust};
use rototo_engine::Tree;
use rototo_protocol::Publish;
use rototo_protocol::follower::{Event, Supply};
use rototo_source::snapshot;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, Joined};
use super::doorbell::Doorbell;
use super::endpoint::Endpoint;
use super::follower::Follower;
use super::presence::Presence;
use super::process::PROCESS;
use super::sight::Sight;
use super::target::{Pins, Target};
use crate::checks::Checks;
use crate::current::Current;
use crate::refreshing::{RefreshAsked, RefreshOutcome};
use crate::status::RefreshStatus;

const PATIENCE: Duration = Duration::from_secs(20);

/// The content of that name.
fn tree(content: &str) -> Tree {
    let file = format!("schema_version = 1\n# {content}\n");
    [("rototo-workspace.toml".to_owned(), file.into_bytes())].into_iter().collect()
}

/// `a@1`: content a, published at second 1.
fn publish(text: &str) -> Publish {
    let (content, second) = text.split_once('@').unwrap();
    let updated_at = format!("2026-11-20T18:40:0{second}.000000Z").parse().unwrap();
    Publish { fingerprint: tree(content).fingerprint(), updated_at }
}

fn named(report: &Report) -> String {
    let publishes = ["a", "b"].into_iter().flat_map(|content| (0..10).map(move |second| format!("{content}@{second}")));
    let is_named = |text: &String| {
        let publish = publish(text);
        report.fingerprint == Some(publish.fingerprint.to_string()) && report.updated_at == Some(publish.updated_at)
    };
    let publish = publishes.into_iter().find(is_named).unwrap_or_default();
    format!("{} {publish} of {}", report.state.name(), report.handles.unwrap())
}

/// An operator that publishes what the doorbell shows, a namespace where it does, and the handles that follow there.
struct World {
    url: String,
    doorbell: Arc<Doorbell>,
    showing: watch::Sender<Sight>,
    answer: Arc<Mutex<Answer>>,
    reports: mpsc::UnboundedReceiver<Report>,
    heard: Vec<u64>,
    token: tempfile::NamedTempFile,
}

impl World {
    async fn publishing(text: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (showing, sight) = watch::channel(Sight::default());
        let (telling, reports) = mpsc::unbounded_channel();
        let answer = Arc::new(Mutex::new(answer(text)));
        tokio::spawn(serve(listener, telling, answer.clone()));
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "token").unwrap();
        let doorbell = Arc::new(Doorbell::showing(sight, Arc::new(Notify::new())));
        let world = Self { url, doorbell, showing, answer, reports, heard: Vec::new(), token };
        world.publish(text);
        world
    }

    /// Writes the marker. The doorbell rings.
    fn publish(&self, text: &str) {
        let Publish { fingerprint, updated_at } = publish(text);
        let marker = Marker::Published { fingerprint: fingerprint.to_string(), updated_at }.to_json();
        *self.answer.lock().unwrap() = answer(text);
        let address = Address { url: self.url.clone(), ca: Trust::System };
        self.showing.send_modify(|sight| {
            sight.hydrates = 1;
            sight.address = Some(Arc::new(address));
            sight.markers = Some(Arc::new(BTreeMap::from([("policy".to_owned(), marker)])));
        });
    }

    fn handle(&self, checks: Checks) -> Handle {
        let (follower, current, presence, asks) = self.follower(checks);
        let stop = CancellationToken::new();
        let task = tokio::spawn(follower.follow(stop.clone()));
        Handle { current, presence, asks, stop, task }
    }

    fn follower(&self, checks: Checks) -> (Follower, Arc<Current>, Arc<Presence>, mpsc::Sender<RefreshAsked>) {
        let current = Arc::new(Current::new(RefreshStatus::starting("kubernetes://prod/policy".to_owned())));
        let presence = Arc::new(Presence::default());
        let target = Target {
            // Each handle has one of its own, as an application may.
            cluster: Cluster::with_config(kube::Config::new(self.url.parse().unwrap())),
            namespace: None,
            workspace: "policy".to_owned(),
            source: "kubernetes://prod/policy".to_owned(),
            pins: Pins::default(),
            token_file: self.token.path().to_owned(),
            cache_dir: None,
            stale_after: None,
            checks,
            direct: None,
            presence: presence.clone(),
        };
        let joined =
            Joined { cluster: self.url.clone(), namespace: "prod".to_owned(), doorbell: self.doorbell.clone() };
        let (asks, asked) = mpsc::channel(1);
        (Follower::new(target, joined, current.clone(), asked), current, presence, asks)
    }

    /// Takes reports until one says this, and gives it.
    async fn hears(&mut self, expected: &str) -> Report {
        let mut last = "nothing".to_owned();
        let hearing = timeout(PATIENCE, async {
            loop {
                let report = self.reports.recv().await.unwrap();
                self.heard.push(report.sequence.unwrap());
                last = named(&report);
                if last == expected {
                    return report;
                }
            }
        });
        let heard = hearing.await;
        heard.unwrap_or_else(|_| panic!("{expected} was not reported; the last was {last}"))
    }
}

struct Handle {
    current: Arc<Current>,
    presence: Arc<Presence>,
    asks: mpsc::Sender<RefreshAsked>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Handle {
    fn resolves(&self, text: &str) -> bool {
        let publish = publish(text);
        let workspace = self.current.workspace().ok();
        workspace
            .is_some_and(|it| it.fingerprint() == publish.fingerprint && it.updated_at() == Some(publish.updated_at))
    }

    async fn refresh(&self) -> RefreshOutcome {
        let (done, outcome) = oneshot::channel();
        self.asks.send(RefreshAsked { done }).await.unwrap();
        timeout(PATIENCE, outcome).await.unwrap().unwrap().unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn answer(text: &str) -> Answer {
    let publish = publish(text);
    Answer {
        fingerprint: Some(publish.fingerprint.to_string()),
        updated_at: Some(publish.updated_at),
        revision: None,
        verified_ms_ago: Some(0),
        stale_after_ms: 300_000,
        next_report_in_ms: 15_000,
        report_applied_within_ms: 0,
        siblings: Vec::new(),
    }
}

async fn serve(listener: TcpListener, telling: mpsc::UnboundedSender<Report>, answer: Arc<Mutex<Answer>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (telling, answer) = (telling.clone(), answer.clone());
        tokio::spawn(async move {
            let (path, body) = request(&mut stream).await;
            let answer = if path.ends_with("/fleet") {
                let answer = serde_json::to_vec(&*answer.lock().unwrap()).unwrap();
                drop(telling.send(serde_json::from_slice(&body).unwrap()));
                answer
            } else {
                let asked = |content: &&str| path.contains(&tree(content).fingerprint().to_string());
                let found = ["a", "b"].iter().find(|content| asked(content)).unwrap();
                snapshot::pack(&tree(found), None).unwrap()
            };
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            drop(stream.write_all(&[head.into_bytes(), answer].concat()).await);
        });
    }
}

/// The path of a request, without its query, and its body.
async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < length.unwrap_or(0) {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    let path = head.split_whitespace().nth(1).unwrap();
    (path.split('?').next().unwrap().to_owned(), bytes)
}

/// Checks that refuse content b while the flag says so.
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
    // History F13.
    let mut world = World::publishing("a@1").await;
    let refusing = world.handle(refusing_b(&Arc::new(AtomicBool::new(true))));
    let taking = world.handle(Checks::default());
    world.hears("applied a@1 of 2").await;
    world.publish("b@2");
    world.hears("rejected b@2 of 2").await;
    taking.refresh().await;
    let report = world.hears("rejected b@2 of 2").await;
    assert_eq!((report.reason.as_deref(), report.applied_ms_ago), (Some("check_failed"), None));
    assert!(refusing.resolves("a@1") && taking.resolves("b@2"));
    refusing.end().await;
    let report = world.hears("applied b@2 of 1").await;
    assert!(report.applied_ms_ago.is_some());
    taking.end().await;
}

#[tokio::test]
async fn the_last_handle_drains_the_process_once() {
    // History F14.
    let mut world = World::publishing("a@1").await;
    let (first, second) = (world.handle(Checks::default()), world.handle(Checks::default()));
    world.hears("applied a@1 of 2").await;
    let current = first.current.clone();
    first.end().await;
    assert!(current.workspace().is_err(), "what has drained does not resolve again");
    world.hears("applied a@1 of 1").await;
    second.end().await;
    world.hears("draining  of 0").await;
    assert!(world.reports.is_empty(), "the process drains once");
    let numbers: BTreeSet<u64> = world.heard.iter().copied().collect();
    assert_eq!((numbers.len(), numbers.last()), (world.heard.len(), world.heard.last()));
}

#[tokio::test]
async fn a_process_that_has_drained_and_lives_on_says_so_until_it_follows_again() {
    // History S3: an operator that was restarted must learn of it.
    let mut world = World::publishing("a@1").await;
    world.answer.lock().unwrap().next_report_in_ms = 1_000;
    let handle = world.handle(Checks::default());
    world.hears("applied a@1 of 1").await;
    handle.end().await;
    world.hears("draining  of 0").await;
    world.hears("draining  of 0").await;
    world.hears("draining  of 0").await;
    let again = world.handle(Checks::default());
    world.hears("applied a@1 of 1").await;
    world.hears("applied a@1 of 1").await;
    again.end().await;
}

#[tokio::test]
async fn a_handle_whose_follower_is_gone_counts_with_what_it_resolves() {
    let mut world = World::publishing("a@1").await;
    let (dead, living) = (world.handle(Checks::default()), world.handle(Checks::default()));
    world.hears("applied a@1 of 2").await;
    // As by a panic, or the end of its runtime.
    dead.task.abort();
    world.publish("b@2");
    world.hears("pending a@1 of 2").await;
    assert!(living.resolves("b@2"));
    drop(dead.presence);
    living.refresh().await;
    world.hears("applied b@2 of 1").await;
    living.end().await;
}

#[tokio::test]
async fn a_marker_that_is_put_back_is_resolved_and_reported() {
    // History F9.
    let mut world = World::publishing("b@2").await;
    let handle = world.handle(Checks::default());
    world.hears("applied b@2 of 1").await;
    world.publish("a@9");
    world.hears("applied a@9 of 1").await;
    world.publish("b@2");
    world.hears("applied b@2 of 1").await;
    assert!(handle.resolves("b@2"));
    handle.end().await;
}

#[tokio::test]
async fn a_check_that_failed_once_is_asked_again_by_a_refresh() {
    // History S9.
    let mut world = World::publishing("a@1").await;
    let refuses = Arc::new(AtomicBool::new(true));
    let handle = world.handle(refusing_b(&refuses));
    world.hears("applied a@1 of 1").await;
    world.publish("b@2");
    world.hears("rejected b@2 of 1").await;
    refuses.store(false, Ordering::SeqCst);
    assert_eq!(handle.refresh().await, RefreshOutcome::Refreshed);
    assert!(handle.resolves("b@2"));
    world.hears("applied b@2 of 1").await;
    handle.end().await;
}

#[tokio::test]
async fn content_that_is_lost_before_the_swap_is_never_reported_as_applied() {
    let mut world = World::publishing("a@1").await;
    let (mut follower, current, _presence, _asks) = world.follower(Checks::default());
    let bell = world.showing.borrow().bell("policy");
    follower.take(Event::Hydrated(bell));
    // Loaded, says the event, and there is nothing.
    follower.take(Event::Loaded(publish("a@1").fingerprint, Supply::Living));
    assert!(current.workspace().is_err());
    let stop = CancellationToken::new();
    let task = tokio::spawn(follower.follow(stop.clone()));
    let report = world.reports.recv().await.unwrap();
    assert_eq!((named(&report).as_str(), report.reason.as_deref()), ("pending  of 1", Some("not_swapped")));
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_process_that_is_asked_about_a_sibling_says_soon_what_it_sees() {
    let mut world = World::publishing("a@1").await;
    let own = PROCESS.pid.unwrap();
    // It had the PID of this process, and has ended.
    let gone = Pid { started: own.started + 1, ..own };
    world.answer.lock().unwrap().siblings = vec![gone, Pid { namespace: 0, ..own }];
    let handle = world.handle(Checks::default());
    let first = world.hears("applied a@1 of 1").await;
    assert!(first.siblings.is_empty() && first.pid == Some(own) && first.started_ms_ago.is_some());
    let second = world.hears("applied a@1 of 1").await;
    let testimony: Vec<_> = second.siblings.iter().map(|testimony| (testimony.pid, testimony.fate)).collect();
    assert_eq!(testimony, [(gone, Fate::Gone)]);
    handle.end().await;
}

/// An operator that accepts connections, says `answer`, and then nothing any more.
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
async fn an_answer_that_never_comes_or_never_ends_is_given_up() {
    // History S1.
    let token = tempfile::NamedTempFile::new().unwrap();
    for answer in [b"" as &[u8], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"] {
        let address = Address { url: hanging(answer).await, ca: Trust::System };
        let endpoint = Endpoint::open(&address, token.path().to_owned()).unwrap();
        let asked = endpoint.send("asking", Request::get("/"), Vec::new(), Duration::from_millis(50));
        let fault = timeout(PATIENCE, asked).await.unwrap().unwrap_err();
        assert_eq!(fault.code, "operator_unreachable");
    }
}
