//! Removes cached repositories: a repository leaves its place at once, by a new name, and its files are deleted later.
//!
//! The deletion of a large one may take as long as the disk likes. Nobody who needs its place, or another repository, waits
//! for that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The last part of the name of a repository that has left its place.
const EXTENSION: &str = "removed";
/// The number of removals of one repository whose files may still be there.
const NUMBERS: u32 = 1_000;

/// A repository that has left its place, and whose files are yet to be deleted.
#[derive(Debug)]
#[must_use = "its files stay on the disk"]
pub(crate) struct RemovedRepository(PathBuf);

impl RemovedRepository {
    /// Takes the repository at this path from its place. Returns `None` if there is none.
    pub(crate) fn take(repository: &Path) -> io::Result<Option<Self>> {
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for number in 0..NUMBERS {
            let removed = repository.with_extension(format!("{number}.{EXTENSION}"));
            match fs::rename(repository, &removed) {
                Ok(()) => return Ok(Some(Self(removed))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                // An earlier removal has this name.
                Err(error) if removed.exists() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Finds the repositories in a directory of repositories whose files an earlier process has not deleted. `is_ours`
    /// says which names the directory gives to repositories; other files are not ours.
    pub(crate) fn left_in(directory: &Path, is_ours: impl Fn(&str) -> bool) -> Vec<Self> {
        let paths = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_removed = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(EXTENSION));
            let name = name.and_then(|name| name.strip_suffix('.')?.rsplit_once('.'));
            name.is_some_and(|(name, number)| number.parse::<u32>().is_ok() && is_ours(name))
        };
        paths.filter(is_removed).map(Self).collect()
    }

    /// Deletes the files. Blocks on the disk. A failure is only logged: the next process tries again.
    pub(crate) fn delete(self) {
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %self.0.display(), "a removed repository could not be deleted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(path: &Path) {
        fs::create_dir_all(path.join("objects/pack")).unwrap();
    }

    #[test]
    fn a_removed_repository_leaves_its_place_before_its_files_go() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("sha256:00.git");
        assert!(RemovedRepository::take(&place).unwrap().is_none());
        repository(&place);
        let first = RemovedRepository::take(&place).unwrap().unwrap();
        assert!(!place.exists() && first.0.join("objects").exists());
        // The next one there is removed before the files of the first are gone.
        repository(&place);
        let second = RemovedRepository::take(&place).unwrap().unwrap();
        repository(&place);
        for removed in [first, second] {
            removed.delete();
        }
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names, [place]);
    }

    #[test]
    fn what_an_earlier_process_has_not_deleted_is_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        repository(&directory.path().join("ours.git"));
        let taken = RemovedRepository::take(&directory.path().join("ours.git")).unwrap().unwrap();
        for other in ["ours.git", "theirs.0.removed", "ours.x.removed", "ours.removed", "ours0removed"] {
            repository(&directory.path().join(other));
        }
        let left: Vec<_> = RemovedRepository::left_in(directory.path(), |name| name == "ours");
        assert_eq!(left.iter().map(|removed| &removed.0).collect::<Vec<_>>(), [&taken.0]);
    }
}
