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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Announcement {
    /// The replica's identity on the Lease.
    pub(crate) identity: String,
    /// A number that a replica draws at its start: one that was started again may have lost its disk.
    pub(crate) start: u64,
    /// The URL at which the leader reaches it.
    pub(crate) url: String,
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
    peers: Arc<Peers>,
    snapshots: Arc<Snapshots>,
    replicas: Mutex<HashMap<String, Replica>>,
    complete: AtomicBool,
}

struct Replica {
    start: u64,
    url: String,
    announced: Instant,
    holds: HashMap<WorkspaceKey, KeptSnapshots>,
    complete: bool,
}

impl Copies {
    /// Sends copies of `snapshots` to `peers`.
    pub(crate) fn new(peers: Arc<Peers>, snapshots: Arc<Snapshots>) -> Self {
        Self { peers, snapshots, replicas: Mutex::default(), complete: AtomicBool::new(false) }
    }

    /// The way to the other replicas.
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
    pub(crate) fn announced(self: &Arc<Self>, announcement: &Announcement) -> AnnouncementAnswer {
        let Announcement { identity, start, url } = announcement;
        let now = Instant::now();
        let mut replicas = self.lock();
        replicas.retain(|_, replica| replica.is_there(now));
        if let Some(known) = replicas.get_mut(identity).filter(|known| known.start == *start) {
            known.announced = now;
            known.url.clone_from(url);
            return AnnouncementAnswer { complete: known.complete };
        }
        let (url, holds) = (url.clone(), HashMap::new());
        replicas.insert(identity.clone(), Replica { start: *start, url, announced: now, holds, complete: false });
        drop(replicas);
        let (copies, identity, start) = (self.clone(), identity.clone(), *start);
        tokio::spawn(async move {
            match copies.send_all(&identity, start).await {
                Ok(sent) => info!(replica = identity, sent, "a replica has a copy of every snapshot"),
                Err(error) => {
                    warn!(replica = identity, error, "a replica lacks snapshots, and is sent them again");
                    // Its next announcement is that of a new replica.
                    copies.lock().retain(|name, known| *name != identity || known.start != start);
                }
            }
        });
        AnnouncementAnswer { complete: false }
    }

    /// Returns the number of snapshots that were sent.
    async fn send_all(&self, identity: &str, start: u64) -> Result<usize, String> {
        let mut sent = 0;
        for (key, kept) in self.snapshots.everything().await.map_err(|error| error.to_string())? {
            for fingerprint in &kept {
                let replica = self.find(identity, start).ok_or("it no longer announces itself")?;
                let snapshot = SnapshotRequest { key: key.clone(), fingerprint: *fingerprint, base: None };
                match self.send(&replica, snapshot, &kept).await {
                    Ok(()) => sent += 1,
                    // It may have been deleted since.
                    Err(_) if !self.snapshots.has(&key, fingerprint) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        if let Some(replica) = self.lock().get_mut(identity).filter(|replica| replica.start == start) {
            replica.complete = true;
        }
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
            let base = base.filter(|base| copies.holds(&replica.0, key, *base));
            let snapshot = SnapshotRequest { key: key.clone(), fingerprint, base };
            tokio::spawn(async move {
                match copies.send(&replica, snapshot, &kept).await {
                    Ok(()) => drop(done.send(())),
                    Err(error) => warn!(replica = replica.0, %error, "a replica did not take a snapshot"),
                }
            });
        }
        drop(done);
        matches!(tokio::time::timeout(WAITS, outcomes.recv()).await, Ok(Some(())))
    }

    /// Returns whether a replica that runs has this snapshot.
    pub(crate) fn is_copied(&self, key: &WorkspaceKey, fingerprint: Fingerprint) -> bool {
        let now = Instant::now();
        self.lock().values().any(|replica| {
            replica.is_there(now) && replica.holds.get(key).is_some_and(|holds| holds.contains(&fingerprint))
        })
    }

    /// Sends `handover` to every replica that runs, and waits for their answers.
    pub(crate) async fn hand_over(&self, handover: &impl Serialize) {
        let Ok(body) = serde_json::to_vec(handover) else { return };
        let sent = self.present().into_iter().map(|(identity, _, url)| {
            let body = body.clone();
            async move {
                let request = Request::builder().method(Method::POST).uri("/v1/replicas/handover");
                let request = request.header(CONTENT_TYPE, "application/json");
                match self.peers.send(&url, request, body, HANDED_OVER_WITHIN).await {
                    Ok(answer) if answer.status().is_success() => info!(replica = identity, "handed over to a replica"),
                    Ok(answer) => warn!(replica = identity, status = %answer.status(), "a replica took no handover"),
                    Err(error) => warn!(replica = identity, error, "a replica took no handover"),
                }
            }
        });
        join_all(sent).await;
    }

    async fn send(
        &self,
        (identity, start, url): &(String, u64, String),
        snapshot: SnapshotRequest,
        kept: &KeptSnapshots,
    ) -> Result<(), String> {
        let packed = self.snapshots.packed(&snapshot).await.map_err(|error| error.to_string())?;
        let packed = packed.ok_or("the snapshot is gone")?;
        let answer = self.peers.send(url, request(&snapshot, kept), packed.to_vec(), SENT_WITHIN).await?;
        if !answer.status().is_success() {
            return Err(format!("{}: {}", answer.status(), rototo_connection::error_message(answer.body())));
        }
        let mut replicas = self.lock();
        let replica = replicas.get_mut(identity).filter(|replica| replica.start == *start);
        if let Some(replica) = replica {
            let holds = replica.holds.entry(snapshot.key).or_default();
            holds.retain(|held| kept.contains(held));
            holds.insert(snapshot.fingerprint);
        }
        Ok(())
    }

    fn present(&self) -> Vec<(String, u64, String)> {
        let now = Instant::now();
        let replicas = self.lock();
        let present = replicas.iter().filter(|(_, replica)| replica.is_there(now));
        present.map(|(identity, replica)| (identity.clone(), replica.start, replica.url.clone())).collect()
    }

    fn find(&self, identity: &str, start: u64) -> Option<(String, u64, String)> {
        self.present().into_iter().find(|(name, number, _)| name == identity && *number == start)
    }

    fn holds(&self, identity: &str, key: &WorkspaceKey, fingerprint: Fingerprint) -> bool {
        let replicas = self.lock();
        let held = replicas.get(identity).and_then(|replica| replica.holds.get(key));
        held.is_some_and(|held| held.contains(&fingerprint))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Replica>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replica {
    fn is_there(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.announced) < GONE_AFTER
    }
}

/// Returns the request that carries a snapshot to a replica.
fn request(SnapshotRequest { key, fingerprint, base }: &SnapshotRequest, kept: &KeptSnapshots) -> Builder {
    let kept: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let base = base.map(|base| format!("&base={base}")).unwrap_or_default();
    let WorkspaceKey { namespace, name } = key;
    let path = format!("/v1/replicas/snapshots/{namespace}/{name}/{fingerprint}?kept={}{base}", kept.join(","));
    Request::builder().method(Method::PUT).uri(path)
}
