//! The disk cache: a copy of the last applied publish on the pod's disk, for a start at which neither the API server
//! nor the operator answers.
//!
//! The copy is no second authority. Its content is checked against its fingerprint like any other, and as soon as a
//! marker is observed, only the publish that it names counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak};
use std::time::Duration;
use std::{fs, io};

use rototo_engine::{Fingerprint, Tree};
use rototo_protocol::follower::ObservedMarker;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::{Marked, Publish};
use rototo_source::{SnapshotStore, StoreError};
use tokio::sync::OwnedMutexGuard;

use crate::kubernetes::cluster::watch_cache::observed_marker;

const MARKER: &str = "marker.json";

/// The directories that handles of this process use, by their canonical paths. A process reads and writes a directory
/// through one store, which removes the incomplete files of a crash once, before its first write. A directory is opened
/// under a lock of its own: a disk may hang.
static DIRECTORIES: Mutex<BTreeMap<PathBuf, Opened>> = Mutex::new(BTreeMap::new());

type Opened = Arc<Mutex<Weak<Directory>>>;

/// The number of the last turn that was given out in this process.
static LAST_TURN: AtomicU64 = AtomicU64::new(0);

/// The time limit of a read for a fetch.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// The disk cache of one workspace, in a directory of its own. `keep`, `last`, and `get` block on the disk, which may hang.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    workspace: String,
    directory: OnceLock<Arc<Directory>>,
    /// The last turn that this handle took.
    newest: AtomicU64,
    /// Set while a copy can't be read, so that this is logged once.
    unreadable: AtomicBool,
    /// The time after which a fetch goes on without the disk.
    pub(super) read_limit: Duration,
    /// Locked while the disk reads for a fetch.
    pub(super) reads: Arc<tokio::sync::Mutex<()>>,
    /// Locked while the disk takes a copy.
    writes: Arc<tokio::sync::Mutex<()>>,
    #[cfg(test)]
    pub(super) before_read: tests::Hook,
    #[cfg(test)]
    pub(super) before_keep: tests::Hook,
    #[cfg(test)]
    after_put: tests::Hook,
}

/// A place in the order in which the handles of this process ask for copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeepTurn(u64);

/// The directory of one workspace, as all handles of this process share it.
#[derive(Debug)]
struct Directory {
    store: SnapshotStore,
    /// The latest turn whose copy was written. Locked while the copy is replaced.
    latest: Mutex<KeepTurn>,
}

impl Cache {
    /// Makes the cache of a workspace below `directory`, which need not exist yet.
    pub(crate) fn new(directory: &Path, namespace: &str, workspace: &str) -> Self {
        Self {
            path: directory.join(namespace).join(workspace),
            workspace: workspace.to_owned(),
            directory: OnceLock::new(),
            newest: AtomicU64::new(0),
            unreadable: AtomicBool::new(false),
            read_limit: READ_LIMIT,
            reads: Arc::default(),
            writes: Arc::default(),
            #[cfg(test)]
            before_read: tests::Hook::default(),
            #[cfg(test)]
            before_keep: tests::Hook::default(),
            #[cfg(test)]
            after_put: tests::Hook::default(),
        }
    }

    /// Takes the turn of a copy. A copy that gets the disk after a later turn was taken is not written.
    pub(crate) fn next_turn(&self) -> KeepTurn {
        let turn = LAST_TURN.fetch_add(1, Ordering::Relaxed) + 1;
        self.newest.fetch_max(turn, Ordering::Relaxed);
        KeepTurn(turn)
    }

    /// Begins a read for a fetch, which ends when the guard is dropped. Returns nothing while an earlier one has not
    /// ended: a disk that hangs takes one thread, and the next fetches go on without it.
    pub(super) fn begin_read(&self) -> Option<OwnedMutexGuard<()>> {
        self.reads.clone().try_lock_owned().ok()
    }

    /// Begins a copy, which ends when the guard is dropped. Waits until an earlier copy has ended.
    pub(super) fn begin_copy(&self) -> impl Future<Output = OwnedMutexGuard<()>> + Send + use<> {
        self.writes.clone().lock_owned()
    }

    /// Writes a copy of `publish`, and removes every other. Does nothing if a later copy was written, or asked for by
    /// this handle.
    ///
    /// # Errors
    ///
    /// `cache_failed`: the disk refuses a write.
    pub(crate) fn keep(&self, turn: KeepTurn, publish: Publish, tree: &Tree) -> Result<(), Fault> {
        #[cfg(test)]
        self.before_keep.call();
        // Somebody may have removed the directory since the last copy.
        fs::create_dir_all(&self.path).map_err(|error| self.failed("keeping", &error))?;
        let directory = self.directory()?;
        let mut latest = directory.lock();
        if turn < *latest || self.has_later(turn) {
            return Ok(());
        }
        self.write(&directory.store, turn, publish, tree)?;
        // After a failure, the copy of another handle, which asked before, may be tried again.
        *latest = turn;
        Ok(())
    }

    fn write(&self, store: &SnapshotStore, turn: KeepTurn, publish: Publish, tree: &Tree) -> Result<(), Fault> {
        store.put(tree).map_err(|error| self.failed("keeping", &error))?;
        #[cfg(test)]
        self.after_put.call();
        // The disk may have taken long, and the publish may have been taken back in the meantime.
        if self.has_later(turn) {
            return Ok(());
        }
        // The content is written before the marker that names it: a crash in between leaves the publish before, or
        // none.
        let marker = Marked::from(publish).to_marker().to_json();
        store.put_file(MARKER, marker.as_bytes()).map_err(|error| self.failed("keeping", &error))?;
        self.unreadable.store(false, Ordering::Relaxed);
        store.retain(&BTreeSet::from([publish.fingerprint])).map_err(|error| self.failed("tidying", &error))
    }

    /// Returns the publish that was kept last, if it can still be read.
    pub(crate) fn last(&self) -> Option<(Publish, Tree)> {
        self.read_last().unwrap_or_else(|fault| self.log_unreadable(&fault))
    }

    /// Returns the content with this fingerprint, if it was kept.
    pub(crate) fn get(&self, fingerprint: Fingerprint) -> Option<Tree> {
        // Content that can't be read counts as not kept: it is fetched.
        self.read(fingerprint).unwrap_or_else(|fault| self.log_unreadable(&fault))
    }

    /// Logs that the disk has not answered within the time limit of a read.
    pub(super) fn read_timed_out(&self) {
        let reason = format!("the disk has not answered in {} s", self.read_limit.as_secs_f32());
        self.log_unreadable::<()>(&self.failed("reading", &reason));
    }

    fn read_last(&self) -> Result<Option<(Publish, Tree)>, Fault> {
        let directory = self.directory()?;
        let _alone = directory.lock();
        let marker = match fs::read_to_string(self.path.join(MARKER)) {
            Ok(marker) => marker,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("reading", &error)),
        };
        match observed_marker(&self.workspace, &marker) {
            ObservedMarker::Published(Marked { publish, .. }) => {
                let tree = directory.store.get(&publish.fingerprint).map_err(|error| self.failed("reading", &error))?;
                Ok(tree.map(|tree| (publish, tree)))
            }
            ObservedMarker::Unreadable(fault) => Err(self.failed("reading", &fault.message)),
            ObservedMarker::NoMap | ObservedMarker::NoMarker | ObservedMarker::Removed(_) => Ok(None),
        }
    }

    /// Reads content for a swap, which does not wait until the disk has taken the copy of another publish.
    fn read(&self, fingerprint: Fingerprint) -> Result<Option<Tree>, Fault> {
        #[cfg(test)]
        self.before_read.call();
        let directory = self.directory()?;
        let tree = match directory.try_lock() {
            Some(_alone) => directory.store.get(&fingerprint),
            None => directory.store.read(&fingerprint),
        };
        tree.map_err(|error| self.failed("reading", &error))
    }

    fn has_later(&self, turn: KeepTurn) -> bool {
        turn < KeepTurn(self.newest.load(Ordering::Relaxed))
    }

    fn directory(&self) -> Result<&Arc<Directory>, Fault> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let directory = Directory::shared(&self.path, |path| SnapshotStore::open(path))
            .map_err(|error| self.failed("opening", &error))?;
        Ok(self.directory.get_or_init(|| directory))
    }

    fn log_unreadable<T>(&self, fault: &Fault) -> Option<T> {
        if !self.unreadable.swap(true, Ordering::Relaxed) {
            tracing::warn!(code = fault.code, "{}", fault.message);
        }
        None
    }

    fn failed(&self, operation: &str, reason: &dyn std::fmt::Display) -> Fault {
        let directory = self.path.display();
        Fault::transient(
            "cache_failed",
            format!("{operation} the copy of the workspace in {directory} failed: {reason}"),
        )
    }
}

impl Directory {
    /// Returns the directory at `path`, which is made if it does not exist. Nobody waits for `open` but those who need the
    /// same directory.
    fn shared(
        path: &Path,
        open: impl FnOnce(&Path) -> Result<SnapshotStore, StoreError>,
    ) -> Result<Arc<Self>, Box<dyn std::error::Error>> {
        fs::create_dir_all(path)?;
        let path = fs::canonicalize(path)?;
        let opened = Self::opened(&path);
        let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = opened.upgrade() {
            return Ok(directory);
        }
        let directory = Arc::new(Self { store: open(&path)?, latest: Mutex::new(KeepTurn(0)) });
        *opened = Arc::downgrade(&directory);
        Ok(directory)
    }

    /// Returns the place of the directory at `path`, which is empty until it is opened.
    fn opened(path: &Path) -> Opened {
        let mut directories = DIRECTORIES.lock().unwrap_or_else(PoisonError::into_inner);
        // A place that somebody has got from here stays.
        let is_used = |opened: &Weak<Self>| opened.strong_count() > 0;
        directories.retain(|_, opened| {
            Arc::get_mut(opened).is_none_or(|opened| opened.get_mut().is_ok_and(|opened| is_used(opened)))
        });
        directories.entry(path.to_owned()).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, KeepTurn> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns nothing while another thread holds the lock.
    fn try_lock(&self) -> Option<MutexGuard<'_, KeepTurn>> {
        match self.latest.try_lock() {
            Ok(latest) => Some(latest),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
