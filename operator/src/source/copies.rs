//! Copies of snapshots on the other replicas, so that the loss of one process, with its disk, loses no published
//! content; and the handover of the leader's evidence when it ends.
//!
//! A replica that holds no Lease announces itself to the one that does ([`Copies::announced`]). The leader sends it
//! everything on its disk, and then each snapshot before its marker is written ([`Copies::copy`]). What a replica did not
//! take is sent again, ever more rarely. A copy is a cache like the original: whoever lacks one can read it from git.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::CONTENT_TYPE;
use axum::http::request::Builder;
use axum::http::{Method, Request};
use futures::future::join_all;
use rototo_engine::Fingerprint;
use rototo_protocol::backoff::Backoff;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::leader::peers::Peers;
use crate::load::owned_task::OwnedTask;
use crate::source::snapshot_cache::SnapshotRequest;
use crate::source::snapshots::Snapshots;
use crate::workspace_key::WorkspaceKey;

/// The longest wait for a copy before a marker is written.
const WAITS: Duration = Duration::from_secs(1);
/// A replica that has not announced itself for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(6);
/// The longest time that sending one snapshot may take.
const SENT_WITHIN: Duration = Duration::from_secs(30);
/// The wait before a replica is sent again what it lacks.
const SENT_AGAIN: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(60) };
/// The longest time that a handover may take.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(1);

/// A replica's announcement to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplicaAnnouncement {
    /// The replica's identity on the Lease.
    pub(crate) identity: String,
    /// A number that a replica draws at its start: one that was started again may have lost its disk.
    pub(crate) start: u64,
    /// The URL at which the leader reaches it.
    pub(crate) url: String,
}

/// The announcement that a replica sends to the leader each second.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReplicaMessage {
    /// The name of the replica.
    #[serde(flatten)]
    pub(crate) announcement: ReplicaAnnouncement,
    /// The number of milliseconds since it last turned away a report, if it ever did. Clocks of two pods may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) turned_away_ms_ago: Option<u64>,
}

/// The leader's answer to an announcement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AnnouncementAnswer {
    /// The replica has a copy of everything that the leader had on its disk when the replica announced itself first.
    pub(crate) complete: bool,
}

/// The snapshots of one workspace that must not be deleted.
pub(crate) type KeptSnapshots = BTreeSet<Fingerprint>;

/// The replicas that this process, as the leader, knows, and whether this process, as a replica, is complete.
pub(crate) struct Copies {
    peers: Peers,
    snapshots: Arc<Snapshots>,
    replicas: Mutex<HashMap<String, Replica>>,
    complete: AtomicBool,
}

struct Replica {
    announcement: ReplicaAnnouncement,
    /// The time of the last announcement.
    announced: Instant,
    holds: HashMap<WorkspaceKey, KeptSnapshots>,
    complete: bool,
    /// A copy has failed since `sending` listed what the replica lacks.
    lacks_more: bool,
    /// Sends the replica what it lacks, until it is complete.
    sending: OwnedTask,
}

impl Copies {
    /// Sends copies of `snapshots` to `peers`.
    pub(crate) fn new(peers: Peers, snapshots: Arc<Snapshots>) -> Self {
        Self { peers, snapshots, replicas: Mutex::default(), complete: AtomicBool::new(false) }
    }

    /// Returns the way to the other replicas.
    pub(crate) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// Notes that this process has a copy of everything, by the leader's word.
    pub(crate) fn completed(&self) {
        if !self.complete.swap(true, Ordering::Relaxed) {
            info!("this replica has a copy of every snapshot");
        }
    }

    /// Returns whether this process has had a copy of everything since it started.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// Returns the number of other replicas that run.
    pub(crate) fn replicas(&self) -> usize {
        let now = Instant::now();
        self.lock().values().filter(|replica| replica.is_there(now)).count()
    }

    /// Takes the announcement of a replica. One that lacks snapshots is sent them, by one task at a time.
    pub(crate) fn announced(self: &Arc<Self>, announcement: &ReplicaAnnouncement) -> AnnouncementAnswer {
        let now = Instant::now();
        let mut replicas = self.lock();
        // One that was started again may have lost its disk.
        let is_same = |known: &ReplicaAnnouncement| known.identity != announcement.identity || known == announcement;
        replicas.retain(|_, replica| replica.is_there(now) && is_same(&replica.announcement));
        let new = || Replica::new(announcement.clone(), now);
        let replica = replicas.entry(announcement.identity.clone()).or_insert_with(new);
        replica.announced = now;
        if !replica.complete && !replica.sending.runs() {
            replica.sending.replace(tokio::spawn(self.clone().complete_replica(announcement.clone())));
        }
        AnnouncementAnswer { complete: replica.complete }
    }

    /// Sends a replica what it lacks until it has everything, or no longer announces itself.
    async fn complete_replica(self: Arc<Self>, announcement: ReplicaAnnouncement) {
        let (replica, mut failures) = (&announcement.identity, 0);
        while self.present().contains(&announcement) {
            let error = match self.send_missing(&announcement).await {
                Ok(sent) => return info!(replica, sent, "a replica has a copy of every snapshot"),
                Err(error) => error,
            };
            failures += 1;
            let wait = SENT_AGAIN.delay(failures, fastrand::f64());
            warn!(replica, error, ?wait, "a replica lacks snapshots, and is sent them again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a replica each snapshot that it lacks. One that fails holds up no other. Returns the number of snapshots
    /// that were sent, or the last error.
    async fn send_missing(&self, replica: &ReplicaAnnouncement) -> Result<usize, String> {
        self.update(replica, |replica| replica.lacks_more = false);
        let (mut sent, mut failed) = (0, None);
        for (key, all) in self.snapshots.everything().await.map_err(|error| error.to_string())? {
            for fingerprint in &all {
                if !self.present().contains(replica) {
                    return Err("the replica no longer announces itself".to_owned());
                }
                if self.update(replica, |replica| replica.has(&key, *fingerprint)) == Some(true) {
                    continue;
                }
                let snapshot = SnapshotRequest { key: key.clone(), fingerprint: *fingerprint, base: None };
                match self.send(replica, snapshot, None).await {
                    Ok(()) => sent += 1,
                    // It may have been deleted since.
                    Err(_) if !self.snapshots.has(&key, fingerprint) => {}
                    Err(error) => failed = Some(format!("{fingerprint}: {error}")),
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let complete = |replica: &mut Replica| {
            replica.complete = !replica.lacks_more;
            replica.complete
        };
        self.update(replica, complete).filter(|complete| *complete).ok_or("a copy of a newer snapshot failed")?;
        Ok(sent)
    }

    /// Sends a snapshot to every replica, and waits a second at most until one has it. Returns whether one has.
    pub(crate) async fn copy(
        self: &Arc<Self>,
        key: &WorkspaceKey,
        fingerprint: Fingerprint,
        base: Option<Fingerprint>,
        kept: KeptSnapshots,
    ) -> bool {
        if self.is_copied(key, fingerprint) {
            return true;
        }
        let (done, mut outcomes) = mpsc::unbounded_channel();
        for replica in self.present() {
            let (copies, done, kept) = (self.clone(), done.clone(), kept.clone());
            let base = base.filter(|base| copies.update(&replica, |replica| replica.has(key, *base)) == Some(true));
            let snapshot = SnapshotRequest { key: key.clone(), fingerprint, base };
            tokio::spawn(async move {
                match copies.send(&replica, snapshot.clone(), Some(&kept)).await {
                    Ok(()) => drop(done.send(())),
                    Err(error) => {
                        warn!(replica = replica.identity, error, "a replica did not take a snapshot");
                        if copies.snapshots.has(&snapshot.key, &snapshot.fingerprint) {
                            copies.update(&replica, |replica| replica.lacks(&snapshot.key));
                        }
                    }
                }
            });
        }
        drop(done);
        matches!(tokio::time::timeout(WAITS, outcomes.recv()).await, Ok(Some(())))
    }

    /// Returns whether a replica that runs has this snapshot.
    pub(crate) fn is_copied(&self, key: &WorkspaceKey, fingerprint: Fingerprint) -> bool {
        let now = Instant::now();
        self.lock().values().any(|replica| replica.is_there(now) && replica.has(key, fingerprint))
    }

    /// Sends `handover` to every replica that runs, and waits for their answers.
    pub(crate) async fn hand_over(&self, handover: &impl Serialize) {
        let Ok(body) = serde_json::to_vec(handover) else { return };
        let sent = self.present().into_iter().map(|ReplicaAnnouncement { identity: replica, url, .. }| {
            let body = body.clone();
            async move {
                let request = Request::builder().method(Method::POST).uri("/v1/replicas/handover");
                let request = request.header(CONTENT_TYPE, "application/json");
                match self.peers.ask(&url, request, body, HANDED_OVER_WITHIN).await {
                    Ok(_) => info!(replica, "handed over to a replica"),
                    Err(error) => warn!(replica, error, "a replica did not accept the handover"),
                }
            }
        });
        join_all(sent).await;
    }

    async fn send(
        &self,
        replica: &ReplicaAnnouncement,
        snapshot: SnapshotRequest,
        kept: Option<&KeptSnapshots>,
    ) -> Result<(), String> {
        let packed = self.snapshots.packed(&snapshot).await.map_err(|error| error.to_string())?;
        let packed = packed.ok_or("the snapshot is gone")?;
        // Reports may name content that never existed, and the header of a request is short.
        let is_here = |fingerprint: &Fingerprint| self.snapshots.has(&snapshot.key, fingerprint);
        let kept = kept.map(|kept| kept.iter().filter(|kept| is_here(kept)).copied().collect::<KeptSnapshots>());
        self.peers.ask(&replica.url, request(&snapshot, kept.as_ref()), packed.to_vec(), SENT_WITHIN).await?;
        self.update(replica, |replica| {
            let holds = replica.holds.entry(snapshot.key.clone()).or_default();
            holds.retain(is_here);
            holds.insert(snapshot.fingerprint);
        });
        Ok(())
    }

    /// Returns the replicas that run.
    fn present(&self) -> Vec<ReplicaAnnouncement> {
        let now = Instant::now();
        let replicas = self.lock();
        replicas.values().filter(|replica| replica.is_there(now)).map(|replica| replica.announcement.clone()).collect()
    }

    /// Changes what is known of a replica. `None` if it is not known, or was started again.
    fn update<R>(&self, replica: &ReplicaAnnouncement, change: impl FnOnce(&mut Replica) -> R) -> Option<R> {
        self.lock().get_mut(&replica.identity).filter(|known| known.announcement == *replica).map(change)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Replica>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replica {
    fn new(announcement: ReplicaAnnouncement, announced: Instant) -> Self {
        Self {
            announcement,
            announced,
            holds: HashMap::new(),
            complete: false,
            lacks_more: false,
            sending: OwnedTask::default(),
        }
    }

    fn is_there(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.announced) < GONE_AFTER
    }

    fn has(&self, key: &WorkspaceKey, fingerprint: Fingerprint) -> bool {
        self.holds.get(key).is_some_and(|holds| holds.contains(&fingerprint))
    }

    /// Notes that a copy failed. The cause may be that the base is damaged there, so the replica is sent again all that
    /// this process has of the workspace.
    fn lacks(&mut self, key: &WorkspaceKey) {
        self.holds.remove(key);
        (self.complete, self.lacks_more) = (false, true);
    }
}

/// Returns the request that carries a snapshot to a replica. With `kept`, the replica deletes what is not in it.
fn request(SnapshotRequest { key, fingerprint, base }: &SnapshotRequest, kept: Option<&KeptSnapshots>) -> Builder {
    let kept = kept.map(|kept| {
        let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
        format!("kept={}", kept.join(","))
    });
    let base = base.map(|base| format!("base={base}"));
    let query: Vec<String> = kept.into_iter().chain(base).collect();
    let WorkspaceKey { namespace, name } = key;
    let path = format!("/v1/replicas/snapshots/{namespace}/{name}/{fingerprint}?{}", query.join("&"));
    Request::builder().method(Method::PUT).uri(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::http::{StatusCode, Uri};
    use rototo_engine::Tree;
    use rototo_source::Limits;
    use tempfile::TempDir;
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use super::*;
    use crate::leader::peers::PeerProofs;

    /// A leader, and a replica that takes everything but the snapshots of which a test says so.
    struct Install {
        copies: Arc<Copies>,
        snapshots: Arc<Snapshots>,
        announcement: ReplicaAnnouncement,
        replica: Arc<watch::Sender<TestReplica>>,
        _folder: TempDir,
        /// Time stands still unless a test moves it, because a task runs for as long as this exists.
        _no_time_passes: std::sync::mpsc::Sender<()>,
    }

    #[derive(Default)]
    struct TestReplica {
        /// The times at which a snapshot arrived, by its fingerprint.
        sent: BTreeMap<String, Vec<tokio::time::Instant>>,
        refuses: BTreeSet<String>,
        /// The answers to these come only when they are no longer named here.
        holds_back: BTreeSet<String>,
    }

    async fn take_copy(replica: Arc<watch::Sender<TestReplica>>, uri: Uri) -> StatusCode {
        let fingerprint = uri.path().rsplit('/').next().unwrap();
        let sent_at = tokio::time::Instant::now();
        replica.send_modify(|replica| replica.sent.entry(fingerprint.to_owned()).or_default().push(sent_at));
        let mut changes = replica.subscribe();
        let replica = changes.wait_for(|replica| !replica.holds_back.contains(fingerprint)).await.unwrap();
        if replica.refuses.contains(fingerprint) { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::NO_CONTENT }
    }

    impl Install {
        async fn new() -> Self {
            let (no_time_passes, end) = std::sync::mpsc::channel();
            tokio::task::spawn_blocking(move || end.recv());
            let folder = tempfile::tempdir().unwrap();
            let snapshots = Arc::new(Snapshots::new(folder.path().to_owned(), Limits::default()));
            let replica = Arc::new(watch::Sender::new(TestReplica::default()));
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let state = replica.clone();
            let router = axum::Router::new().fallback(move |uri: Uri| take_copy(state.clone(), uri));
            tokio::spawn(async move { axum::serve(listener, router).await });
            // Plain connections use no certificate, but one has to be there.
            let certified = rcgen::generate_simple_self_signed(vec!["operator".to_owned()]).unwrap();
            let proofs = PeerProofs { authorities: certified.cert.pem(), keys: vec!["key".to_owned()] };
            let copies = Copies::new(Peers::new("operator".to_owned(), proofs), snapshots.clone());
            let announcement = ReplicaAnnouncement { identity: "replica".to_owned(), start: 1, url };
            Self {
                copies: Arc::new(copies),
                snapshots,
                announcement,
                replica,
                _folder: folder,
                _no_time_passes: no_time_passes,
            }
        }

        /// Stores a snapshot that the replica does not have.
        fn store(&self, workspace: &str, number: usize) -> (WorkspaceKey, Fingerprint) {
            let key = WorkspaceKey { namespace: "prod".to_owned(), name: workspace.to_owned() };
            let text = format!("schema_version = 1 # {workspace} {number}\n");
            let tree: Tree = [("rototo-workspace.toml".to_owned(), text.into_bytes())].into_iter().collect();
            let fingerprint = self.snapshots.store(&key).unwrap().put(&tree).unwrap();
            (key, fingerprint)
        }

        /// Returns how often a snapshot was sent.
        fn sent(&self, fingerprint: Fingerprint) -> usize {
            self.replica.borrow().sent.get(&fingerprint.to_string()).map_or(0, Vec::len)
        }

        /// Waits until a snapshot was sent. No time passes meanwhile.
        async fn first_sent(&self, fingerprint: Fingerprint) {
            let is_sent = |replica: &TestReplica| replica.sent.contains_key(&fingerprint.to_string());
            self.replica.subscribe().wait_for(is_sent).await.unwrap();
        }

        /// Lets time pass, in which the replica announces itself, until `ends` returns `true`. It gets the leader's answer.
        async fn announce_until(&self, ends: impl Fn(bool) -> bool) {
            while !ends(self.copies.announced(&self.announcement).complete) {
                // Short enough for a request to be answered long before its time is over.
                tokio::time::advance(Duration::from_millis(10)).await;
                tokio::task::yield_now().await;
            }
        }

        fn change(&self, change: impl FnOnce(&mut TestReplica)) {
            self.replica.send_modify(change);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_a_replica_can_not_take_is_sent_again_alone_and_ever_more_rarely() {
        let install = Install::new().await;
        let mut all: Vec<Fingerprint> = (0..10).map(|number| install.store("config", number).1).collect();
        // It is sent last, so that the others have arrived before time passes.
        all.sort();
        let refused = all.pop().unwrap();
        install.change(|replica| replica.refuses = [refused.to_string()].into());
        assert!(!install.copies.announced(&install.announcement).complete);
        install.first_sent(refused).await;
        install.announce_until(|complete| complete || install.sent(refused) >= 6).await;
        let times = install.replica.borrow().sent[&refused.to_string()].clone();
        for (failures, times) in times.windows(2).enumerate() {
            // At least half of a wait that doubles.
            assert!(
                times[1] - times[0] >= Duration::from_millis(500 << failures),
                "after {failures} failures: {times:?}"
            );
        }
        install.change(|replica| replica.refuses.clear());
        install.announce_until(|complete| complete).await;
        for fingerprint in all {
            assert_eq!(install.sent(fingerprint), 1, "{fingerprint}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_did_not_take_a_copy_is_sent_that_workspace_again_by_one_task() {
        let install = Install::new().await;
        let others: Vec<_> = (0..5).map(|number| install.store("a", number)).collect();
        let held_back = install.store("b", 0);
        install.change(|replica| replica.holds_back = [held_back.1.to_string()].into());
        assert!(!install.copies.announced(&install.announcement).complete);
        install.first_sent(held_back.1).await;
        // A copy fails while the replica is sent everything.
        let (key, refused) = install.store("c", 0);
        install.change(|replica| replica.refuses = [refused.to_string()].into());
        assert!(!install.copies.copy(&key, refused, None, KeptSnapshots::new()).await);
        for _ in 0..10 {
            assert!(!install.copies.announced(&install.announcement).complete);
            tokio::task::yield_now().await;
        }
        install.change(|replica| {
            replica.refuses.clear();
            replica.holds_back.clear();
        });
        let once: Vec<_> = others.into_iter().chain([held_back]).collect();
        while !once.iter().all(|(key, fingerprint)| install.copies.is_copied(key, *fingerprint)) {
            tokio::task::yield_now().await;
        }
        install.announce_until(|complete| complete).await;
        for (_, fingerprint) in once {
            assert_eq!(install.sent(fingerprint), 1, "{fingerprint}");
        }
        assert!(install.copies.is_copied(&key, refused));
    }
}
