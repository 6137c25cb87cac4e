//! The directory of cached repositories and downloads, which may be removed at any time.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rototo_engine::Digest;
use tempfile::TempDir;

use crate::error::{Operation, SourceError, SourceFault};
use crate::git::{RemovedRepository, bytes_of_packs};

/// The time after which a repository of an earlier process that nobody asked for is removed. It is the time after which the
/// reader forgets what nobody asked for.
const LEFT_FOR: Duration = Duration::from_secs(3600);

/// A directory for one process at a time.
pub(crate) enum CacheDirectory {
    Given(PathBuf),
    Temporary(TempDir),
}

impl CacheDirectory {
    /// Makes the directory if it does not exist; without a path, a temporary one, which is removed with the process.
    pub(crate) fn open(given: Option<PathBuf>) -> Result<Self, SourceError> {
        let failed = |path: &Path, error: &io::Error| {
            let path = path.display().to_string();
            SourceError::new(
                Operation::Prepare,
                &path,
                SourceFault::Disk { path: path.clone(), error: error.to_string() },
            )
        };
        let Some(path) = given else {
            let made = TempDir::with_prefix("rototo-");
            return made.map(Self::Temporary).map_err(|error| failed(&std::env::temp_dir(), &error));
        };
        fs::create_dir_all(&path).map_err(|error| failed(&path, &error))?;
        Ok(Self::Given(path))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// Returns the directory of the cached repository with this name.
pub(crate) fn repository(directory: &Path, name: &Digest) -> PathBuf {
    directory.join(format!("{name}.git"))
}

/// The repositories that an earlier process has left, until somebody asks for them. They have no owner, and with new
/// credentials nobody asks for them again.
pub(crate) struct Leftovers {
    directory: PathBuf,
    /// The time of the first request for any repository: an operator that does not lead makes none.
    since: OnceLock<Instant>,
    left: Mutex<Left>,
}

/// The lock of these is held for no longer than it takes to give a directory another name: requests wait for it.
struct Left {
    /// The bytes of each repository.
    repositories: HashMap<Digest, u64>,
    /// The repositories that the earlier process has removed, and whose files are still there.
    removed: Vec<RemovedRepository>,
}

impl Leftovers {
    /// Finds them. Other files in the directory are not ours.
    pub(crate) fn find(directory: &Path) -> Self {
        let paths = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let named = paths.filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".git")?.parse().ok()?;
            Some((name, bytes_of_packs(&path)))
        });
        let repositories = named.collect();
        let removed = RemovedRepository::left_in(directory, |name| name.parse::<Digest>().is_ok());
        Self {
            directory: directory.to_owned(),
            since: OnceLock::new(),
            left: Mutex::new(Left { repositories, removed }),
        }
    }

    /// Returns the bytes of all.
    pub(crate) fn bytes(&self) -> u64 {
        self.all().repositories.values().sum()
    }

    /// Leaves a repository to somebody who asks for it.
    pub(crate) fn take(&self, name: &Digest) {
        self.all().repositories.remove(name);
    }

    /// Removes repositories until at most `bytes` are left. Returns their number, and what is yet to be deleted.
    pub(crate) fn evict(&self, bytes: u64) -> (usize, Vec<RemovedRepository>) {
        let Left { repositories, removed } = &mut *self.all();
        let (before, mut left) = (repositories.len(), repositories.values().sum::<u64>());
        // Nobody takes one while it is removed.
        repositories.retain(|name, own| {
            let stays = left <= bytes || !self.remove(name, removed);
            left -= if stays { 0 } else { *own };
            stays
        });
        (before - repositories.len(), std::mem::take(removed))
    }

    /// Notes a request, and removes all if there have been requests for others for an hour. Returns what is yet to be
    /// deleted.
    pub(crate) fn forget(&self, now: Instant) -> Vec<RemovedRepository> {
        let is_over = now.saturating_duration_since(*self.since.get_or_init(|| now)) >= LEFT_FOR;
        let Left { repositories, removed } = &mut *self.all();
        if is_over {
            repositories.drain().for_each(|(name, _)| {
                self.remove(&name, removed);
            });
        }
        std::mem::take(removed)
    }

    fn remove(&self, name: &Digest, removed: &mut Vec<RemovedRepository>) -> bool {
        match RemovedRepository::take(&repository(&self.directory, name)) {
            Ok(taken) => {
                removed.extend(taken);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "a repository of an earlier process could not be removed");
                false
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deletes the files of removed repositories. No request waits for that.
pub(crate) fn delete_beside(removed: Vec<RemovedRepository>) {
    if !removed.is_empty() {
        tokio::task::spawn_blocking(|| removed.into_iter().for_each(RemovedRepository::delete));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_of_an_earlier_process_are_removed_if_nobody_asks_for_them() {
        let directory = tempfile::tempdir().unwrap();
        let [used, unused] = ["used", "unused"].map(|name| Digest::of(name.as_bytes()));
        let ours = [used, unused].map(|name| repository(directory.path(), &name));
        let others = ["foreign", "foreign.git", &unused.to_string()].map(|name| directory.path().join(name));
        for path in ours.iter().chain(&others) {
            fs::create_dir(path).unwrap();
        }
        let start = Instant::now();
        let left = Leftovers::find(directory.path());
        left.take(&used);
        for request in [start, start + LEFT_FOR / 2] {
            assert!(left.forget(request).is_empty());
        }
        assert!(ours[1].exists());
        let removed = left.forget(start + LEFT_FOR);
        assert!(ours[0].exists() && !ours[1].exists());
        // What this process does not live to delete, the next one finds.
        assert_eq!(removed.len(), 1);
        let next = Leftovers::find(directory.path());
        next.forget(start).into_iter().for_each(RemovedRepository::delete);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1 + others.len());
        assert!(others.iter().all(|path| path.exists()));
    }

    #[test]
    fn nobody_waits_until_the_files_of_a_leftover_are_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let name = Digest::of(b"left");
        let place = repository(directory.path(), &name);
        let pack = place.join("objects/pack/a.pack");
        fs::create_dir_all(pack.parent().unwrap()).unwrap();
        fs::write(&pack, "bytes").unwrap();
        let left = Leftovers::find(directory.path());
        let (number, removed) = left.evict(0);
        assert_eq!((number, removed.len(), left.bytes(), place.exists()), (1, 1, 0, false));
        // It can be made anew at its place before its files are gone, and stays when they go.
        left.take(&name);
        fs::create_dir(&place).unwrap();
        removed.into_iter().for_each(RemovedRepository::delete);
        assert!(place.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
