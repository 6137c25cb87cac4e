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
use crate::git::bytes_of_packs;

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
    /// The bytes of each.
    repositories: Mutex<HashMap<Digest, u64>>,
}

impl Leftovers {
    /// Finds them. Other files in the directory are not ours.
    pub(crate) fn find(directory: &Path) -> Self {
        let paths = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let named = paths.filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".git")?.parse().ok()?;
            Some((name, bytes_of_packs(&path)))
        });
        Self { directory: directory.to_owned(), since: OnceLock::new(), repositories: Mutex::new(named.collect()) }
    }

    /// Returns the bytes of all.
    pub(crate) fn bytes(&self) -> u64 {
        self.all().values().sum()
    }

    /// Leaves a repository to somebody who asks for it.
    pub(crate) fn take(&self, name: &Digest) {
        self.all().remove(name);
    }

    /// Removes repositories until at most `bytes` are left. Returns their number.
    pub(crate) fn evict(&self, bytes: u64) -> usize {
        let mut repositories = self.all();
        let (before, mut left) = (repositories.len(), repositories.values().sum::<u64>());
        // Nobody takes one while it is removed.
        repositories.retain(|name, own| {
            let stays = left <= bytes || !self.remove(name);
            left -= if stays { 0 } else { *own };
            stays
        });
        before - repositories.len()
    }

    /// Notes a request, and removes all if there have been requests for others for an hour.
    pub(crate) fn forget(&self, now: Instant) {
        if now.saturating_duration_since(*self.since.get_or_init(|| now)) >= LEFT_FOR {
            self.all().drain().for_each(|(name, _)| {
                self.remove(&name);
            });
        }
    }

    fn remove(&self, name: &Digest) -> bool {
        let removed = fs::remove_dir_all(repository(&self.directory, name));
        if let Err(error) = &removed {
            tracing::warn!(%error, "a repository of an earlier process could not be removed");
        }
        removed.is_ok()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Digest, u64>> {
        self.repositories.lock().unwrap_or_else(PoisonError::into_inner)
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
        left.forget(start);
        left.forget(start + LEFT_FOR / 2);
        assert!(ours[1].exists());
        left.forget(start + LEFT_FOR);
        assert!(ours[0].exists() && !ours[1].exists());
        assert!(others.iter().all(|path| path.exists()));
    }
}
