//! Reads the documents of a directory on this machine.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rototo_engine::Tree;
use rustix::fs::OFlags;

use crate::error::{ContentFault, SourceFault};
use crate::limits::layout::{PathEntry, ReadScope, Visit, is_peeked_last, join, visit};
use crate::limits::{HINT_ENTRIES, Limits, ReadBudget};

/// The most readings of a directory that changes meanwhile, or whose name leads elsewhere.
const MAX_READINGS: usize = 3;

/// Reads the documents of a directory alone, without the layers that its manifest names. Blocks on the disk.
///
/// ```no_run
/// use rototo_source::{Limits, read_directory};
///
/// let tree = read_directory("examples/degradation-config".as_ref(), &Limits::default())?;
/// # Ok::<(), rototo_source::SourceFault>(())
/// ```
///
/// # Errors
/// When the directory or a document in it can't be read, or exceeds a limit.
pub fn read_directory(root: &Path, limits: &Limits) -> Result<Tree, SourceFault> {
    read(root, ReadScope::Documents, limits)
}

/// Reads the documents of a directory as [`read_directory`] does, and the [tests](Tree::tests) beside them. Blocks on the disk.
///
/// # Errors
/// When the directory, a document, or a test can't be read, or exceeds a limit. The directory `tests` may belong to other
/// software, so a caller that can do without tests reads the documents alone then.
pub fn read_directory_with_tests(root: &Path, limits: &Limits) -> Result<Tree, SourceFault> {
    read(root, ReadScope::WithTests, limits)
}

/// Reads one document or test of a directory; `None` if there is no plain file at `path`. Blocks on the disk.
///
/// # Errors
/// When the file can't be read, or exceeds a limit.
pub fn read_document(root: &Path, path: &str, limits: &Limits) -> Result<Option<Vec<u8>>, SourceFault> {
    let Ok(root) = place_of(root) else { return Ok(None) };
    let absolute = root.join(path);
    match std::fs::symlink_metadata(&absolute) {
        Ok(metadata) if metadata.is_file() => {}
        _ => return Ok(None),
    }
    read_file(&absolute, path, &mut ReadBudget::new(limits)).map(|(bytes, _)| Some(bytes))
}

/// Returns the files of the workspace at `root`. Blocks on the disk.
pub(crate) fn read(root: &Path, scope: ReadScope, limits: &Limits) -> Result<Tree, SourceFault> {
    read_unchanged(root, |place, read_files| read_place(place, scope, limits, read_files))
}

/// Reads until nothing has changed meanwhile. A file that is being written may look whole, because many beginnings of a
/// document are documents.
fn read_unchanged(
    root: &Path,
    mut read: impl FnMut(&Path, &mut Vec<ReadFile>) -> Result<Tree, SourceFault>,
) -> Result<Tree, SourceFault> {
    let mut place = place_of(root)?;
    let mut what = "";
    for _ in 0..MAX_READINGS {
        let mut read_files = Vec::new();
        let read = read(&place, &mut read_files);
        // A link that leads elsewhere meanwhile must not mix the files of two directories, and the files behind the old
        // one may be gone in part.
        let now = place_of(root)?;
        if now == place && (read.is_err() || read_files.iter().all(ReadFile::is_unchanged)) {
            return read;
        }
        what = if now == place { "its files changed" } else { "it led to another directory" };
        place = now;
    }
    Err(SourceFault::Disk { path: root.display().to_string(), error: format!("{what} during each reading") })
}

/// A file that was read, as it was before.
struct ReadFile {
    path: PathBuf,
    state: FileState,
}

/// The inode of a file, its length, and the time of its last change in seconds and nanoseconds.
type FileState = (u64, u64, i64, i64);

impl ReadFile {
    fn is_unchanged(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|metadata| state_of(&metadata) == self.state)
    }
}

fn state_of(metadata: &Metadata) -> FileState {
    (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Returns the directory that holds the files of the workspace at `root`: without links on the way, and behind the link
/// that a volume of Kubernetes has.
fn place_of(root: &Path) -> Result<PathBuf, SourceFault> {
    if !root.is_dir() {
        let what = if root.exists() { "is not a directory" } else { "does not exist" };
        return Err(ContentFault::NoLocalDirectory { path: root.display().to_string(), what }.into());
    }
    let place = root.canonicalize().map_err(|error| disk(root, &error))?;
    Ok(data_of_volume(&place).unwrap_or(place))
}

/// Returns the directory of the files of a ConfigMap, a Secret, or a projected volume. The kubelet writes each version into
/// a directory of its own inside of the volume, and the link `..data` leads to the newest one. All other entries are links
/// through it.
fn data_of_volume(place: &Path) -> Option<PathBuf> {
    let link = place.join("..data");
    let is_link = std::fs::symlink_metadata(&link).is_ok_and(|metadata| metadata.is_symlink());
    let data = link.canonicalize().ok().filter(|data| is_link && data.is_dir())?;
    (data.parent() == Some(place)).then_some(data)
}

/// Returns the files of the workspace in `root`, which has no links on the way.
fn read_place(
    root: &Path,
    scope: ReadScope,
    limits: &Limits,
    read_files: &mut Vec<ReadFile>,
) -> Result<Tree, SourceFault> {
    let mut tree = Tree::default();
    let mut budget = ReadBudget::new(limits);
    let mut alike = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let absolute = root.join(&directory);
        for entry in std::fs::read_dir(&absolute).map_err(|error| disk(&absolute, &error))? {
            let entry = entry.map_err(|error| disk(&absolute, &error))?;
            budget.entry()?;
            let kind = entry.file_type().map_err(|error| disk(&entry.path(), &error))?;
            let path = join(&directory, &entry.file_name().to_string_lossy());
            match visit(&path, kind_of(kind), scope)? {
                Visit::Read | Visit::Descend if entry.file_name().to_str().is_none() => {
                    return Err(ContentFault::NotUtf8 { path }.into());
                }
                Visit::Read => {
                    let (bytes, state) = read_file(&entry.path(), &path, &mut budget)?;
                    read_files.push(ReadFile { path: entry.path(), state });
                    tree.insert(path, bytes);
                }
                Visit::Descend => directories.push(path),
                Visit::Peek => alike.push((entry.path(), path)),
                Visit::Skip => tree.notice(&path, kind_of(kind).kind()),
            }
        }
    }
    alike.sort_by_key(|(_, path)| is_peeked_last(path));
    let mut hints = HINT_ENTRIES;
    for (absolute, directory) in alike {
        peek(&absolute, &directory, &mut tree, &mut hints);
    }
    Ok(tree)
}

/// Takes note of the entries of a directory that only resembles one of documents, until an error or the end of `left`.
fn peek(absolute: &Path, directory: &str, tree: &mut Tree, left: &mut u64) {
    *left = left.saturating_sub(1);
    let Ok(entries) = std::fs::read_dir(absolute) else { return };
    for entry in entries.map_while(Result::ok) {
        let (Some(rest), Ok(kind)) = (left.checked_sub(1), entry.file_type()) else { return };
        *left = rest;
        tree.notice(&join(directory, &entry.file_name().to_string_lossy()), kind_of(kind).kind());
    }
}

fn kind_of(kind: FileType) -> PathEntry {
    if kind.is_symlink() {
        PathEntry::Link
    } else if kind.is_dir() {
        PathEntry::Directory
    } else if kind.is_file() {
        PathEntry::File
    } else {
        PathEntry::Special
    }
}

/// Reads a file that was a plain file a moment ago. A link that has replaced it is not followed, and a pipe does not
/// block. Returns its state before too.
fn read_file(absolute: &Path, path: &str, budget: &mut ReadBudget<'_>) -> Result<(Vec<u8>, FileState), SourceFault> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let open = || -> io::Result<(File, Metadata)> {
        let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(absolute)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    let (file, metadata) = open().map_err(|error| disk(absolute, &error))?;
    if !metadata.is_file() {
        return Err(ContentFault::NotAFile { path: path.to_owned(), what: "no plain file" }.into());
    }
    budget.bytes(metadata.len())?;
    let mut bytes = Vec::new();
    // A file that grows meanwhile is cut at its measured size.
    file.take(metadata.len()).read_to_end(&mut bytes).map_err(|error| disk(absolute, &error))?;
    Ok((bytes, state_of(&metadata)))
}

fn disk(path: &Path, error: &io::Error) -> SourceFault {
    SourceFault::Disk { path: path.display().to_string(), error: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Reads a workspace with one variable, into which `write` writes after each reading.
    fn read_while(write: impl Fn(&Path, usize)) -> (usize, Result<Vec<u8>, SourceFault>) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("variables")).unwrap();
        let variable = directory.path().join("variables/a.toml");
        std::fs::write(&variable, "a = 1\n").unwrap();
        let mut readings = 0;
        let read = read_unchanged(directory.path(), |place, read_files| {
            let read = read_place(place, ReadScope::Documents, &Limits::default(), read_files);
            readings += 1;
            write(&variable, readings);
            read
        });
        (readings, read.map(|tree| tree.get("variables/a.toml").unwrap().bytes.to_vec()))
    }

    #[test]
    fn many_tests_hide_no_directory_with_a_slip_in_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let slips = ["Variables", "qualifer", "variabels"];
        for name in ["tests", "Tests"].into_iter().chain(slips) {
            std::fs::create_dir(directory.path().join(name)).unwrap();
            std::fs::write(directory.path().join(name).join("a.toml"), "").unwrap();
        }
        for number in 0..=HINT_ENTRIES {
            std::fs::write(directory.path().join(format!("tests/{number}.txt")), "").unwrap();
        }
        let tree = read_place(directory.path(), ReadScope::Documents, &Limits::default(), &mut Vec::new()).unwrap();
        let findings = rototo_engine::lint::lint(&rototo_engine::parse::parse(tree)).diagnostics;
        for slip in slips {
            let named = format!("`{slip}`");
            assert!(findings.iter().any(|finding| finding.message.contains(&named)), "{slip}: {findings:?}");
        }
    }

    fn append(path: &Path, text: &str) {
        OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_file_that_was_written_meanwhile_is_read_again() {
        let (readings, text) = read_while(|_, _| {});
        assert_eq!((readings, text.unwrap()), (1, b"a = 1\n".to_vec()));
        let (readings, text) = read_while(|path, reading| {
            if reading == 1 {
                append(path, "b = 2\n")
            }
        });
        assert_eq!((readings, text.unwrap()), (2, b"a = 1\nb = 2\n".to_vec()));
        let replaced = |path: &Path, reading| {
            if reading == 1 {
                let new = path.with_extension("new");
                std::fs::write(&new, "c = 3\n").unwrap();
                std::fs::rename(new, path).unwrap();
            }
        };
        let (readings, text) = read_while(replaced);
        assert_eq!((readings, text.unwrap()), (2, b"c = 3\n".to_vec()));
    }

    #[test]
    fn a_file_that_is_written_all_the_time_is_no_document_yet() {
        let (readings, text) = read_while(|path, _| append(path, "b = 2\n"));
        assert_eq!(readings, MAX_READINGS);
        let error = text.unwrap_err().to_string();
        assert!(error.contains("its files changed during each reading"), "{error}");
    }
}
