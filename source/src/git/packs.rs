//! The packs of a cached repository, and what stopped transfers have left between them.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the bytes of the packs of the repository at this path, finished or not.
pub(crate) fn bytes_of_packs(repository: &Path) -> u64 {
    PackFile::all(repository).iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
}

/// A file among the packs.
pub(super) struct PackFile {
    path: PathBuf,
    pub(super) bytes: u64,
}

impl PackFile {
    /// Returns the files of the repository at this path.
    pub(super) fn all(repository: &Path) -> Vec<Self> {
        let files = fs::read_dir(repository.join("objects/pack")).into_iter().flatten().flatten();
        files.map(|file| Self { path: file.path(), bytes: file.metadata().map_or(0, |data| data.len()) }).collect()
    }

    /// Returns the files that a git has not finished.
    pub(super) fn unfinished(repository: &Path) -> impl Iterator<Item = Self> {
        let is_unfinished =
            |file: &Self| file.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tmp_"));
        Self::all(repository).into_iter().filter(is_unfinished)
    }

    pub(super) fn is_pack(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "pack")
    }

    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "an unfinished pack could not be removed");
        }
    }
}
