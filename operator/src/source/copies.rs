//! Copies of snapshots on the other replicas, so that the loss of one process, with its disk, loses no published
//! content; and the handover of the leader's evidence when it ends.
//!
//! A replica that holds no Lease announces itself to the one that does ([`Copies::announced`]). The leader sends it
//! everything on its disk, and then each snapshot before its marker is written ([`Copies::copy`]). A copy is a cache
//! like the original: whoever lacks one can read it from git.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::CONTENT_TYPE;
use axum::http::request::Builder;
use axum::http::{Method, Request};
use futures::future::join_all;
use rototo_engine::Fingerprint;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::leader::peers::Peers;
use crate::source::snapshot_cache::SnapshotRequest;
use crate::source::snapshots::Snapshots;
use crate::workspace_key::WorkspaceKey;

/// The longest wait for a copy before a marker is written.
const WAITS: Duration = Duration::from_secs(1);
/// A replica that has not announced itself for this long is gone.
const GONE_AFTER: Duration = Duration::from_secs(6);
/// The longest time that sending one snapshot may take.
const SENT_WITHIN: Duration = Duration::from_secs(30);
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

    /// Takes the announcement of a replica. A new one is sent all that this process has on its disk.
    pub(crate) fn announced(self: &Arc<Self>, announcement: &ReplicaAnnouncement) -> AnnouncementAnswer {
        let now = Instant::now();
        self.lock().retain(|_, replica| replica.is_there(now));
        let known = self.update(announcement, |known| {
            known.announced = now;
            known.complete
        });
        if let Some(complete) = known {
            return AnnouncementAnswer { complete };
        }
        let announcement = announcement.clone();
        let replica =
            Replica { announcement: announcement.clone(), announced: now, holds: HashMap::new(), complete: false };
        self.lock().insert(announcement.identity.clone(), replica);
        let copies = self.clone();
        tokio::spawn(async move {
            let replica = &announcement.identity;
            match copies.send_all(&announcement).await {
                Ok(sent) => info!(replica, sent, "a replica has a copy of every snapshot"),
                Err(error) => {
                    warn!(replica, error, "a replica lacks snapshots, and is sent them again");
                    copies.forget(&announcement);
                }
            }
        });
        AnnouncementAnswer { complete: false }
    }

    /// Returns the number of snapshots that were sent.
    async fn send_all(&self, replica: &ReplicaAnnouncement) -> Result<usize, String> {
        let mut sent = 0;
        for (key, all) in self.snapshots.everything().await.map_err(|error| error.to_string())? {
            for fingerprint in &all {
                if !self.present().contains(replica) {
                    return Err("the replica no longer announces itself".to_owned());
                }
                let snapshot = SnapshotRequest { key: key.clone(), fingerprint: *fingerprint, base: None };
                match self.send(replica, snapshot, None).await {
                    Ok(()) => sent += 1,
                    // It may have been deleted since.
                    Err(_) if !self.snapshots.has(&key, fingerprint) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.update(replica, |replica| replica.complete = true);
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
                            copies.forget(&replica);
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

    /// Forgets a replica that lacks a copy. Its next announcement is that of a new replica, which is sent everything.
    fn forget(&self, replica: &ReplicaAnnouncement) {
        self.lock().retain(|_, known| known.announcement != *replica);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Replica>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replica {
    fn is_there(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.announced) < GONE_AFTER
    }

    fn has(&self, key: &WorkspaceKey, fingerprint: Fingerprint) -> bool {
        self.holds.get(key).is_some_and(|holds| holds.contains(&fingerprint))
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
