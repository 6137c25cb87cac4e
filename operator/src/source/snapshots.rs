//! Keeps content by fingerprint, as processes ask for it: stores on disk, one per workspace, and packed snapshots in
//! memory.
//!
//! [`Snapshots`] is a derived cache and no second truth: all of it can be read from git again.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use rototo_engine::{Fingerprint, Tree};
use rototo_source::{Limits, SnapshotStore, StoreError, snapshot};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::source::snapshot_cache::{SnapshotCache, SnapshotRequest};
use crate::workspace_key::WorkspaceKey;

/// The number of snapshots that are packed at once. Packing takes a processor, and some times the size of the content.
const PACKS_AT_ONCE: usize = 2;
/// The age from which a copy may be deleted: longer than another copy may be under way.
const LATELY: Duration = Duration::from_secs(60);

/// The snapshots of all workspaces.
#[derive(Debug)]
pub struct Snapshots {
    folder: PathBuf,
    /// The limits of what another replica sends.
    limits: Limits,
    stores: Mutex<HashMap<WorkspaceKey, Arc<SnapshotStore>>>,
    packed: Arc<Mutex<SnapshotCache>>,
    pack_turns: Arc<Semaphore>,
    packs: Arc<AtomicUsize>,
}

/// The reason why a snapshot could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeSnapshotError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of all stores could not be read.
    #[error("the folder of the snapshots could not be read: {0}")]
    Folder(#[from] io::Error),
    /// The content could not be packed.
    #[error(transparent)]
    Pack(#[from] snapshot::SnapshotError),
    /// The work was ended from outside, as when the process ends.
    #[error("packing was interrupted")]
    Interrupted,
}

/// A packed snapshot, `None` where the workspace has no such content, or the reason why it could not be packed.
type PackOutcome = Result<Option<Arc<[u8]>>, ServeSnapshotError>;

impl Snapshots {
    /// Keeps snapshots below `folder`, and takes copies of what is within `limits`. Copies may have as many bytes of
    /// documents as the format allows: what a leader with a larger limit has published must not be lost with it.
    #[must_use]
    pub fn new(folder: PathBuf, limits: Limits) -> Self {
        let limits = Limits { unpacked_bytes: Limits::default().unpacked_bytes, ..limits };
        Self {
            folder,
            limits,
            stores: Mutex::default(),
            packed: Arc::default(),
            pack_turns: Arc::new(Semaphore::new(PACKS_AT_ONCE)),
            packs: Arc::default(),
        }
    }

    /// Returns the store of one workspace.
    pub fn store(&self, key: &WorkspaceKey) -> Result<Arc<SnapshotStore>, StoreError> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(key) {
            return Ok(store.clone());
        }
        // Names of namespaces and objects hold neither `/` nor a leading dot.
        let store = Arc::new(SnapshotStore::open(self.folder.join(&key.namespace).join(&key.name))?);
        stores.insert(key.clone(), store.clone());
        Ok(store)
    }

    /// Returns whether the disk has this content of a workspace.
    #[must_use]
    pub fn has(&self, key: &WorkspaceKey, fingerprint: &Fingerprint) -> bool {
        self.store(key).is_ok_and(|store| store.contains(fingerprint))
    }

    /// Returns the packed snapshot, or `None` where the workspace has no such content.
    ///
    /// A request that is dropped gives up its place among those that wait to pack. Packing that has begun goes on, and
    /// the next request gets what it has packed.
    pub async fn packed(&self, request: &SnapshotRequest) -> Result<Option<Arc<[u8]>>, ServeSnapshotError> {
        let request = self.with_known_base(request)?;
        let cell = self.packed.lock().unwrap_or_else(PoisonError::into_inner).entry(&request);
        if let Some(packed) = cell.get() {
            return Ok(packed.clone());
        }
        let dropped = CancellationToken::new();
        let _drops = dropped.clone().drop_guard();
        let (pack, cache) = (self.pack(&request, dropped)?, self.packed.clone());
        let packing = async move {
            let packed = cell.get_or_try_init(|| pack).await.cloned();
            let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            match packed {
                Ok(Some(_)) => cache.evict(&request),
                // Others may wait for the same snapshot.
                Err(ServeSnapshotError::Interrupted) => {}
                // Content that is unknown now may be known in a moment.
                _ => cache.forget(&request),
            }
            packed
        };
        tokio::spawn(packing).await.map_err(|_| ServeSnapshotError::Interrupted)?
    }

    /// Returns the request without a base that the disk does not have: however many such bases there are, the answer is
    /// one. A base that is gone costs the process a larger answer, nothing else.
    fn with_known_base(&self, request: &SnapshotRequest) -> Result<SnapshotRequest, ServeSnapshotError> {
        let store = self.store(&request.key)?;
        let base = request.base.filter(|base| *base != request.fingerprint && store.contains(base));
        Ok(SnapshotRequest { base, ..request.clone() })
    }

    /// Returns the number of snapshots that were packed.
    #[cfg(test)]
    pub(crate) fn packs(&self) -> usize {
        self.packs.load(Ordering::Relaxed)
    }

    /// Returns the work of packing a snapshot. It ends without a result if the request is `dropped` before its turn.
    fn pack(
        &self,
        request: &SnapshotRequest,
        dropped: CancellationToken,
    ) -> Result<impl Future<Output = PackOutcome> + use<>, ServeSnapshotError> {
        let (store, turns, packs) = (self.store(&request.key)?, self.pack_turns.clone(), self.packs.clone());
        let SnapshotRequest { fingerprint, base, .. } = request.clone();
        Ok(async move {
            let turn = dropped.run_until_cancelled(turns.acquire_owned()).await;
            let turn = turn.and_then(Result::ok).ok_or(ServeSnapshotError::Interrupted)?;
            packs.fetch_add(1, Ordering::Relaxed);
            let pack = move || {
                let _turn = turn;
                let Some(tree) = store.get(&fingerprint)? else { return Ok(None) };
                let base: Option<Tree> = base.map(|base| store.get(&base)).transpose()?.flatten();
                Ok(Some(snapshot::pack(&tree, base.as_ref())?.into()))
            };
            tokio::task::spawn_blocking(pack).await.map_err(|_| ServeSnapshotError::Interrupted)?
        })
    }

    /// Keeps the copy of a snapshot that another replica has sent, packed. With `kept`, it deletes the other content of the
    /// workspace but that. Copies may overtake each other, so what was written lately is not deleted.
    pub async fn take_copy(
        &self,
        request: SnapshotRequest,
        packed: Bytes,
        kept: Option<BTreeSet<Fingerprint>>,
    ) -> Result<(), ServeSnapshotError> {
        let (store, limits) = (self.store(&request.key)?, self.limits.clone());
        let take = move || {
            let base: Option<Tree> = request.base.map(|base| store.get(&base)).transpose()?.flatten();
            let tree = snapshot::unpack(&packed, request.fingerprint, base.as_ref(), &limits)?;
            let taken = store.put(&tree)?;
            let Some(mut kept) = kept else { return Ok(()) };
            kept.insert(taken);
            Ok(store.retain_younger(&kept, LATELY)?)
        };
        tokio::task::spawn_blocking(take).await.map_err(|_| ServeSnapshotError::Interrupted)?
    }

    /// Returns the bytes on the disk of all content, by namespace. Blocks on the disk.
    #[must_use]
    pub fn bytes_by_namespace(&self) -> HashMap<String, u64> {
        let mut bytes = HashMap::new();
        for key in self.keys_now().unwrap_or_default() {
            let files = fs::read_dir(self.folder.join(&key.namespace).join(&key.name)).into_iter().flatten().flatten();
            let own: u64 = files.map(|file| file.metadata().map_or(0, |data| data.len())).sum();
            *bytes.entry(key.namespace).or_default() += own;
        }
        bytes
    }

    /// Returns the workspaces that have a folder on the disk.
    pub async fn keys(self: &Arc<Self>) -> io::Result<Vec<WorkspaceKey>> {
        let snapshots = self.clone();
        tokio::task::spawn_blocking(move || snapshots.keys_now()).await.map_err(io::Error::other)?
    }

    /// Returns all content on the disk, by workspace.
    pub async fn everything(
        self: &Arc<Self>,
    ) -> Result<Vec<(WorkspaceKey, BTreeSet<Fingerprint>)>, ServeSnapshotError> {
        let snapshots = self.clone();
        let list = move || {
            let with_content = |key: WorkspaceKey| Ok((key.clone(), snapshots.store(&key)?.list()?));
            snapshots.keys_now()?.into_iter().map(with_content).collect()
        };
        tokio::task::spawn_blocking(list).await.map_err(|_| ServeSnapshotError::Interrupted)?
    }

    fn keys_now(&self) -> io::Result<Vec<WorkspaceKey>> {
        let mut keys = Vec::new();
        for namespace in folders(&self.folder)? {
            let names = folders(&self.folder.join(&namespace))?;
            keys.extend(names.into_iter().map(|name| WorkspaceKey { namespace: namespace.clone(), name }));
        }
        Ok(keys)
    }

    /// Deletes all content of the workspaces for which `gone` returns `true`.
    pub async fn forget(self: &Arc<Self>, gone: impl Fn(&WorkspaceKey) -> bool + Send + 'static) -> io::Result<()> {
        let snapshots = self.clone();
        let forget = move || snapshots.forget_now(&gone);
        tokio::task::spawn_blocking(forget).await.map_err(io::Error::other)?
    }

    fn forget_now(&self, gone: &impl Fn(&WorkspaceKey) -> bool) -> io::Result<()> {
        for key in self.keys_now()? {
            // The lock is held meanwhile, so that nobody opens a store that is about to go.
            let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
            if gone(&key) {
                stores.remove(&key);
                self.packed.lock().unwrap_or_else(PoisonError::into_inner).forget_all_of(&key);
                fs::remove_dir_all(self.folder.join(&key.namespace).join(&key.name))?;
            }
            // Only an empty folder can be removed.
            let _ = fs::remove_dir(self.folder.join(&key.namespace));
        }
        Ok(())
    }

    /// Deletes all content of a workspace but `kept`.
    pub async fn retain(&self, key: &WorkspaceKey, kept: BTreeSet<Fingerprint>) -> Result<(), ServeSnapshotError> {
        let store = self.store(key)?;
        let retain = move || store.retain(&kept);
        Ok(tokio::task::spawn_blocking(retain).await.map_err(|_| ServeSnapshotError::Interrupted)??)
    }
}

fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.extend(entry.file_name().into_string());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_content_of_workspaces_that_are_gone_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Arc::new(Snapshots::new(folder.path().to_owned(), Limits::default()));
        let tree: Tree = [("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec())].into_iter().collect();
        let key = |namespace: &str, name: &str| WorkspaceKey { namespace: namespace.to_owned(), name: name.to_owned() };
        let (alive, gone, alone) = (key("prod", "alive"), key("prod", "gone"), key("deleted", "with-its-namespace"));
        for key in [&alive, &gone, &alone] {
            snapshots.store(key).unwrap().put(&tree).unwrap();
        }
        snapshots.forget(|key| key.name != "alive").await.unwrap();
        let has = |key| snapshots.has(key, &tree.fingerprint());
        assert!(has(&alive));
        assert!(!folder.path().join("deleted").exists() && !folder.path().join("prod/gone").exists());
        let request = SnapshotRequest { key: gone.clone(), fingerprint: tree.fingerprint(), base: None };
        assert!(snapshots.packed(&request).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_copy_that_arrives_late_deletes_no_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(folder.path().to_owned(), Limits::default());
        let key = WorkspaceKey { namespace: "prod".to_owned(), name: "config".to_owned() };
        let copy = async |text: &str, kept: bool| {
            let manifest = ("rototo-workspace.toml".to_owned(), format!("schema_version = 1 # {text}\n").into_bytes());
            let tree: Tree = [manifest].into_iter().collect();
            let fingerprint = tree.fingerprint();
            let request = SnapshotRequest { key: key.clone(), fingerprint, base: None };
            let packed = snapshot::pack(&tree, None).unwrap();
            snapshots.take_copy(request, packed.into(), kept.then(|| BTreeSet::from([fingerprint]))).await.unwrap();
            fingerprint
        };
        let newer = copy("newer", true).await;
        let late = copy("late", true).await;
        assert!(snapshots.has(&key, &newer) && snapshots.has(&key, &late));
        copy("one of all that the leader has", false).await;
        assert!(snapshots.has(&key, &newer) && snapshots.has(&key, &late));
    }

    #[tokio::test]
    async fn a_copy_of_what_a_leader_with_a_larger_limit_has_published_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { unpacked_bytes: 1 << 20, entries: 2, ..Limits::default() };
        let snapshots = Snapshots::new(folder.path().to_owned(), limits);
        let key = WorkspaceKey { namespace: "prod".to_owned(), name: "config".to_owned() };
        let copy = async |variables: &[&str]| {
            let manifest = ("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec());
            let large = |name: &&str| (format!("variables/{name}.toml"), vec![b'#'; 3 << 20]);
            let tree: Tree = std::iter::once(manifest).chain(variables.iter().map(large)).collect();
            let request = SnapshotRequest { key: key.clone(), fingerprint: tree.fingerprint(), base: None };
            let packed = snapshot::pack(&tree, None).unwrap();
            (snapshots.take_copy(request, packed.into(), None).await, tree.fingerprint())
        };
        let (taken, fingerprint) = copy(&["a"]).await;
        taken.unwrap();
        assert!(snapshots.has(&key, &fingerprint));
        let (refused, fingerprint) = copy(&["a", "b"]).await;
        assert!(refused.is_err() && !snapshots.has(&key, &fingerprint), "other limits hold");
    }

    /// Runs a test in a process whose only thread for work on the disk is taken until the test drops what it is given.
    fn while_the_disk_is_busy(test: impl AsyncFnOnce(std::sync::mpsc::Sender<()>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (busy, freed) = std::sync::mpsc::channel();
            tokio::task::spawn_blocking(move || freed.recv());
            test(busy).await
        });
    }

    /// Returns snapshots on the disk, and the requests for them.
    fn stored(folder: &Path, number: usize) -> (Snapshots, Vec<SnapshotRequest>) {
        let snapshots = Snapshots::new(folder.to_owned(), Limits::default());
        let key = WorkspaceKey { namespace: "prod".to_owned(), name: "config".to_owned() };
        let store = snapshots.store(&key).unwrap();
        let request = |number| {
            let text = format!("schema_version = 1 # {number}\n");
            let tree: Tree = [("rototo-workspace.toml".to_owned(), text.into_bytes())].into_iter().collect();
            SnapshotRequest { key: key.clone(), fingerprint: store.put(&tree).unwrap(), base: None }
        };
        let requests = (0..number).map(request).collect();
        (snapshots, requests)
    }

    /// Sends a request that is dropped as soon as it can do nothing but wait.
    async fn drop_request(snapshots: &Snapshots, request: &SnapshotRequest) {
        let mut packed = Box::pin(snapshots.packed(request));
        for _ in 0..10 {
            assert!(futures::poll!(&mut packed).is_pending());
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn what_dropped_requests_have_begun_to_pack_is_packed_once() {
        let folder = tempfile::tempdir().unwrap();
        let (snapshots, requests) = stored(folder.path(), 1);
        while_the_disk_is_busy(async |busy| {
            for _ in 0..20 {
                drop_request(&snapshots, &requests[0]).await;
            }
            assert_eq!(snapshots.packs(), 1);
            drop(busy);
            let packed = snapshots.packed(&requests[0]).await.unwrap().unwrap();
            assert!(snapshot::unpack(&packed, requests[0].fingerprint, None, &Limits::default()).is_ok());
            assert_eq!(snapshots.packs(), 1);
        });
    }

    #[test]
    fn dropped_requests_for_many_snapshots_pack_two_at_once_and_give_up_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let (snapshots, requests) = stored(folder.path(), 20);
        while_the_disk_is_busy(async |busy| {
            for request in &requests {
                drop_request(&snapshots, request).await;
            }
            assert_eq!(snapshots.packs(), PACKS_AT_ONCE);
            drop(busy);
            assert!(snapshots.packed(&requests[19]).await.unwrap().is_some());
            assert_eq!(snapshots.packs(), PACKS_AT_ONCE + 1);
        });
    }
}
