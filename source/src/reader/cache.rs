//! The directory of cached repositories and downloads, which may be removed at any time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::error::{Operation, SourceError, SourceFault};

/// The age after which files of an earlier process are removed.
const LEFT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

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
        remove_old(&path, SystemTime::now()).map_err(|error| failed(&path, &error))?;
        Ok(Self::Given(path))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// Removes cached repositories without a recent write. Other files in the directory are not ours.
fn remove_old(directory: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // Every fetch writes this file.
        let written = path.join("config").metadata().and_then(|config| config.modified());
        let is_old = written.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age > LEFT_FOR));
        if is_old && path.extension().is_some_and(|extension| extension == "git") {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_repositories_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.git", "foreign"] {
            fs::create_dir(directory.path().join(name)).unwrap();
            fs::write(directory.path().join(name).join("config"), "").unwrap();
        }
        let left = |age: Duration| {
            remove_old(directory.path(), SystemTime::now() + age).unwrap();
            directory.path().join("a.git").exists()
        };
        assert!(left(LEFT_FOR / 2));
        assert!(!left(LEFT_FOR * 2));
        assert!(directory.path().join("foreign").exists());
    }
}
