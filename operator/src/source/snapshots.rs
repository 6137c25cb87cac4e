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
    packed: Mutex<SnapshotCache>,
    pack_turns: Semaphore,
    packs: AtomicUsize,
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

impl Snapshots {
    /// Keeps snapshots below `folder`, and takes copies of what is within `limits`.
    #[must_use]
    pub fn new(folder: PathBuf, limits: Limits) -> Self {
        Self {
            folder,
            limits,
            stores: Mutex::default(),
            packed: Mutex::default(),
            pack_turns: Semaphore::new(PACKS_AT_ONCE),
            packs: AtomicUsize::new(0),
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
    pub async fn packed(&self, request: &SnapshotRequest) -> Result<Option<Arc<[u8]>>, ServeSnapshotError> {
        let request = &self.with_known_base(request)?;
        let answers = || self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = answers().entry(request);
        if let Some(packed) = cell.get() {
            return Ok(packed.clone());
        }
        let packed = cell.get_or_try_init(|| self.pack(request)).await.cloned();
        match packed {
            Ok(Some(_)) => answers().evict(request),
            // Content that is unknown now may be known in a moment.
            _ => answers().forget(request),
        }
        packed
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

    async fn pack(&self, request: &SnapshotRequest) -> Result<Option<Arc<[u8]>>, ServeSnapshotError> {
        let store = self.store(&request.key)?;
        let SnapshotRequest { fingerprint, base, .. } = request.clone();
        let _turn = self.pack_turns.acquire().await.map_err(|_| ServeSnapshotError::Interrupted)?;
        self.packs.fetch_add(1, Ordering::Relaxed);
        let pack = move || {
            let Some(tree) = store.get(&fingerprint)? else { return Ok(None) };
            let base: Option<Tree> = base.map(|base| store.get(&base)).transpose()?.flatten();
            Ok(Some(snapshot::pack(&tree, base.as_ref())?.into()))
        };
        tokio::task::spawn_blocking(pack).await.map_err(|_| ServeSnapshotError::Interrupted)?
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
    async fn a_copy_that_is_larger_than_this_operator_allows_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { unpacked_bytes: 1 << 20, ..Limits::default() };
        let snapshots = Snapshots::new(folder.path().to_owned(), limits);
        let key = WorkspaceKey { namespace: "prod".to_owned(), name: "config".to_owned() };
        let copy = async |bytes: usize| {
            let manifest = ("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec());
            let tree: Tree = [manifest, ("variables/a.toml".to_owned(), vec![b'#'; bytes])].into_iter().collect();
            let request = SnapshotRequest { key: key.clone(), fingerprint: tree.fingerprint(), base: None };
            let packed = snapshot::pack(&tree, None).unwrap();
            assert!(packed.len() < 1 << 20, "it is small while it is packed");
            (snapshots.take_copy(request, packed.into(), None).await, tree.fingerprint())
        };
        let (taken, fingerprint) = copy(1 << 19).await;
        taken.unwrap();
        assert!(snapshots.has(&key, &fingerprint));
        let (refused, fingerprint) = copy(3 << 20).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("1048576 bytes"), "{error}");
        assert!(!snapshots.has(&key, &fingerprint));
    }
}
