//! Keeps trees on the disk, each under its fingerprint. A tree that `put` has stored survives a crash, and a tree from
//! `get` has been checked. Every operation blocks on the disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rototo_engine::{Fingerprint, Tree};

use crate::limits::Limits;
use crate::snapshot;
use crate::snapshot::SnapshotError;

const ENDING: &str = ".tar.zst";
const UNFINISHED: &str = ".unfinished-";

/// A directory of snapshots. Only one process writes to it.
///
/// ```
/// use rototo_engine::Tree;
/// use rototo_source::SnapshotStore;
///
/// let directory = tempfile::tempdir().unwrap();
/// let store = SnapshotStore::open(directory.path()).unwrap();
/// let tree: Tree = [("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec())].into_iter().collect();
/// let fingerprint = store.put(&tree).unwrap();
/// assert_eq!(store.get(&fingerprint).unwrap().unwrap().fingerprint(), fingerprint);
/// ```
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    directory: PathBuf,
    limits: Limits,
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operation on a file failed. Trying again helps once the disk works.
    #[error("{operation} {path} failed: {error}", path = path.display())]
    Disk {
        /// The operation.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The message of the operating system.
        #[source]
        error: io::Error,
    },
    /// A tree could not be packed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl SnapshotStore {
    /// Opens the store in `directory`, which is made if it does not exist. Removes incomplete files that a crash left,
    /// so a store that is open must not be opened again while it writes.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { directory: directory.into(), limits: Limits::default() };
        fs::create_dir_all(&store.directory).map_err(|error| disk("making", &store.directory, error))?;
        for (name, path) in store.entries()? {
            // An incomplete file that can't be removed, as on a volume that can only be read, does no harm.
            if name.starts_with(UNFINISHED)
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "an incomplete file of the store can't be removed");
            }
        }
        Ok(store)
    }

    /// Stores `tree` under its fingerprint; returns after the disk has it. Replaces a file that can't be opened.
    pub fn put(&self, tree: &Tree) -> Result<Fingerprint, StoreError> {
        let fingerprint = tree.fingerprint();
        let path = self.path(&fingerprint);
        if can_be_opened(&path) {
            return Ok(fingerprint);
        }
        let bytes = snapshot::pack(tree, None)?;
        self.write(&path, &bytes).map_err(|error| disk("writing", &path, error))?;
        Ok(fingerprint)
    }

    /// Writes a file with a name of the caller's own beside the snapshots, or replaces it; returns after the disk has it.
    pub fn put_file(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.directory.join(name);
        self.write(&path, bytes).map_err(|error| disk("writing", &path, error))
    }

    /// Writes a file, whose name appears only when the whole content is on the disk.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        // A file replaces any other, but not a directory. One that is not empty is left, and `persist` fails.
        drop(fs::remove_dir(path));
        file.persist(path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// Returns the tree of this fingerprint, if it is stored and whole. Removes a damaged one, so that it is fetched
    /// again.
    pub fn get(&self, fingerprint: &Fingerprint) -> Result<Option<Tree>, StoreError> {
        match self.read(fingerprint) {
            Err(StoreError::Snapshot(error)) if !matches!(error, SnapshotError::EngineTooOld(_)) => {
                let path = self.path(fingerprint);
                tracing::warn!(%fingerprint, %error, "a stored snapshot is damaged and is removed");
                fs::remove_file(&path).map_err(|error| disk("removing", &path, error))?;
                Ok(None)
            }
            read => read,
        }
    }

    /// Returns the tree of this fingerprint, if it is stored. Fails for a damaged one, and leaves it where it is: nothing
    /// is removed while another thread writes.
    pub fn read(&self, fingerprint: &Fingerprint) -> Result<Option<Tree>, StoreError> {
        let path = self.path(fingerprint);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk("reading", &path, error)),
        };
        Ok(Some(snapshot::unpack(&bytes, *fingerprint, None, &self.limits)?))
    }

    /// Returns whether a snapshot of this fingerprint is stored, without checking it.
    #[must_use]
    pub fn contains(&self, fingerprint: &Fingerprint) -> bool {
        self.path(fingerprint).exists()
    }

    /// Returns all stored fingerprints.
    pub fn list(&self) -> Result<BTreeSet<Fingerprint>, StoreError> {
        Ok(self.entries()?.iter().filter_map(|(name, _)| fingerprint_of(name)).collect())
    }

    /// Removes all snapshots but `kept` that are older than `age`.
    pub fn retain_younger(&self, kept: &BTreeSet<Fingerprint>, age: Duration) -> Result<(), StoreError> {
        let is_old = |path: &Path| {
            let written = fs::metadata(path).and_then(|data| data.modified());
            written.is_ok_and(|written| written.elapsed().is_ok_and(|elapsed| elapsed > age))
        };
        let young = self.entries()?.into_iter().filter(|(_, path)| !is_old(path));
        let young = young.filter_map(|(name, _)| fingerprint_of(&name));
        self.retain(&kept.iter().copied().chain(young).collect())
    }

    /// Removes all snapshots but `kept`.
    pub fn retain(&self, kept: &BTreeSet<Fingerprint>) -> Result<(), StoreError> {
        for (name, path) in self.entries()? {
            if fingerprint_of(&name).is_some_and(|fingerprint| !kept.contains(&fingerprint)) {
                fs::remove_file(&path).map_err(|error| disk("removing", &path, error))?;
            }
        }
        Ok(())
    }

    fn path(&self, fingerprint: &Fingerprint) -> PathBuf {
        let digits = fingerprint.to_string();
        let digits = digits.trim_start_matches("sha256:");
        self.directory.join(format!("{digits}{ENDING}"))
    }

    fn entries(&self) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let failed = |error| disk("listing", &self.directory, error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            entries.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
        Ok(entries)
    }
}

/// Returns whether `path` is a file that this process may read. A pipe, which would wait for a writer, is not opened.
fn can_be_opened(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file()) && File::open(path).is_ok()
}

fn fingerprint_of(name: &str) -> Option<Fingerprint> {
    format!("sha256:{}", name.strip_suffix(ENDING)?).parse().ok()
}

fn disk(operation: &'static str, path: &Path, error: io::Error) -> StoreError {
    StoreError::Disk { operation, path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        [("rototo-workspace.toml".to_owned(), text.as_bytes().to_vec())].into_iter().collect()
    }

    fn store() -> (tempfile::TempDir, SnapshotStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(directory.path()).unwrap();
        (directory, store)
    }

    #[test]
    fn a_stored_tree_survives_a_restart() {
        let (directory, store) = store();
        let fingerprint = store.put(&tree("a")).unwrap();
        assert_eq!(store.put(&tree("a")).unwrap(), fingerprint);
        let again = SnapshotStore::open(directory.path()).unwrap();
        assert_eq!(again.list().unwrap(), BTreeSet::from([fingerprint]));
        assert_eq!(again.get(&fingerprint).unwrap().unwrap().fingerprint(), fingerprint);
    }

    #[test]
    fn retain_removes_all_others() {
        let (_directory, store) = store();
        let [kept, gone] = ["a", "b"].map(|text| store.put(&tree(text)).unwrap());
        store.retain(&BTreeSet::from([kept])).unwrap();
        assert!(store.contains(&kept) && !store.contains(&gone));
        assert!(store.get(&gone).unwrap().is_none());
    }

    #[test]
    fn what_was_written_lately_is_retained_with_what_is_kept() {
        let (_directory, store) = store();
        let [kept, old, young] = ["a", "b", "c"].map(|text| store.put(&tree(text)).unwrap());
        let file = File::options().write(true).open(store.path(&old)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(120)).unwrap();
        store.retain_younger(&BTreeSet::from([kept]), Duration::from_secs(60)).unwrap();
        assert!(store.contains(&kept) && store.contains(&young) && !store.contains(&old));
    }

    #[test]
    fn a_damaged_snapshot_is_as_good_as_none() {
        let (_directory, store) = store();
        let fingerprint = store.put(&tree("a")).unwrap();
        fs::write(store.path(&fingerprint), b"damaged").unwrap();
        assert!(store.get(&fingerprint).unwrap().is_none());
        assert!(!store.contains(&fingerprint));
    }

    #[test]
    fn unfinished_files_of_a_crash_are_removed_and_foreign_ones_are_left() {
        let (directory, _) = store();
        let unfinished = directory.path().join(format!("{UNFINISHED}x"));
        let foreign = directory.path().join("lost+found");
        fs::write(&unfinished, b"").unwrap();
        fs::write(&foreign, b"").unwrap();
        let store = SnapshotStore::open(directory.path()).unwrap();
        assert!(!unfinished.exists() && foreign.exists());
        assert!(store.list().unwrap().is_empty());
    }

    #[test]
    fn a_copy_that_cannot_be_opened_is_replaced() {
        let (_directory, store) = store();
        let fingerprint = tree("a").fingerprint();
        let path = store.path(&fingerprint);
        fs::create_dir(&path).unwrap();
        assert!(matches!(store.get(&fingerprint), Err(StoreError::Disk { operation: "reading", .. })));
        store.put(&tree("a")).unwrap();
        assert_eq!(store.get(&fingerprint).unwrap().unwrap().fingerprint(), fingerprint);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        store.put(&tree("a")).unwrap();
        assert_eq!(store.get(&fingerprint).unwrap().unwrap().fingerprint(), fingerprint);
    }

    #[test]
    fn an_unfinished_file_that_cannot_be_removed_hides_nothing() {
        let (directory, store) = store();
        let fingerprint = store.put(&tree("a")).unwrap();
        // Like on a volume that can only be read, `remove_file` fails on a directory.
        fs::create_dir(directory.path().join(format!("{UNFINISHED}x"))).unwrap();
        let again = SnapshotStore::open(directory.path()).unwrap();
        assert_eq!(again.get(&fingerprint).unwrap().unwrap().fingerprint(), fingerprint);
    }

    #[test]
    fn reading_leaves_a_damaged_snapshot_where_it_is() {
        let (_directory, store) = store();
        let fingerprint = store.put(&tree("a")).unwrap();
        fs::write(store.path(&fingerprint), b"damaged").unwrap();
        assert!(matches!(store.read(&fingerprint), Err(StoreError::Snapshot(_))));
        assert!(store.contains(&fingerprint));
    }

    #[test]
    fn a_file_beside_the_snapshots_is_replaced_and_stays_when_they_are_removed() {
        let (directory, store) = store();
        store.put(&tree("a")).unwrap();
        for text in ["1", "2"] {
            store.put_file("marker.json", text.as_bytes()).unwrap();
        }
        store.retain(&BTreeSet::new()).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("marker.json")).unwrap(), "2");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
