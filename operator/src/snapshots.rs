//! Content by fingerprint, as the processes ask for it: stores on disk, one per workspace, and packed answers in memory.
//!
//! A derived cache and no second truth: all of it can be had from git again.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rototo_engine::{Fingerprint, Tree};
use rototo_source::{SnapshotStore, StoreError, snapshot};
use tokio::sync::OnceCell;

use crate::context::Key;

/// How many packed answers stay in memory. A change is asked for by a whole fleet at once, and mostly on one base.
const PACKED: usize = 64;

/// The snapshots of all workspaces.
pub struct Snapshots {
    folder: PathBuf,
    stores: Mutex<HashMap<Key, Arc<SnapshotStore>>>,
    packed: Mutex<Vec<(Wanted, Packed)>>,
}

/// An answer that one request packs while the others wait for it.
type Packed = Arc<OnceCell<Option<Arc<[u8]>>>>;

/// What a process asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whose content.
    pub key: Key,
    /// Which content.
    pub fingerprint: Fingerprint,
    /// What the process has already.
    pub base: Option<Fingerprint>,
}

/// Why a snapshot could not be served.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be packed.
    #[error(transparent)]
    Pack(#[from] snapshot::SnapshotError),
    /// The work was ended from outside.
    #[error("packing was interrupted")]
    Interrupted,
}

impl Snapshots {
    /// Snapshots below `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, stores: Mutex::default(), packed: Mutex::default() }
    }

    /// The store of one workspace.
    pub fn store(&self, key: &Key) -> Result<Arc<SnapshotStore>, StoreError> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(key) {
            return Ok(store.clone());
        }
        // Names of namespaces and objects hold neither `/` nor a leading dot.
        let store = Arc::new(SnapshotStore::open(self.folder.join(&key.namespace).join(&key.name))?);
        stores.insert(key.clone(), store.clone());
        Ok(store)
    }

    /// Whether the disk has this content of a workspace.
    #[must_use]
    pub fn has(&self, key: &Key, fingerprint: &str) -> bool {
        let fingerprint = fingerprint.parse::<Fingerprint>();
        fingerprint.is_ok_and(|fingerprint| self.store(key).is_ok_and(|store| store.contains(&fingerprint)))
    }

    /// The packed answer, or `None` where the workspace has no such content.
    pub async fn packed(&self, wanted: &Wanted) -> Result<Option<Arc<[u8]>>, SnapshotError> {
        let cell = self.cell(wanted);
        let packed = cell.get_or_try_init(|| self.pack(wanted)).await.cloned();
        if !matches!(packed, Ok(Some(_))) {
            // What is unknown now may be known in a moment.
            self.packed.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| other != wanted);
        }
        packed
    }

    fn cell(&self, wanted: &Wanted) -> Packed {
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = packed.iter().find(|(other, _)| other == wanted) {
            return cell.clone();
        }
        if packed.len() == PACKED {
            packed.remove(0);
        }
        let cell = Packed::default();
        packed.push((wanted.clone(), cell.clone()));
        cell
    }

    async fn pack(&self, wanted: &Wanted) -> Result<Option<Arc<[u8]>>, SnapshotError> {
        let store = self.store(&wanted.key)?;
        let Wanted { fingerprint, base, .. } = wanted.clone();
        let pack = move || {
            let Some(tree) = store.get(&fingerprint)? else { return Ok(None) };
            // A base that is not here any more costs the process a larger answer, nothing else.
            let base: Option<Tree> = base.map(|base| store.get(&base)).transpose()?.flatten();
            Ok(Some(snapshot::pack(&tree, base.as_ref())?.into()))
        };
        tokio::task::spawn_blocking(pack).await.map_err(|_| SnapshotError::Interrupted)?
    }

    /// Forgets all content of a workspace but this.
    pub async fn retain(&self, key: &Key, kept: BTreeSet<Fingerprint>) -> Result<(), SnapshotError> {
        let store = self.store(key)?;
        let retain = move || store.retain(&kept);
        Ok(tokio::task::spawn_blocking(retain).await.map_err(|_| SnapshotError::Interrupted)??)
    }
}
