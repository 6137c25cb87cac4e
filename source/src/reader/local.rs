//! Reads the documents of a directory on this machine.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rototo_engine::Tree;
use rustix::fs::OFlags;

use crate::error::{ContentFault, SourceFault};
use crate::limits::layout::{PathEntry, ReadScope, Visit, join, visit};
use crate::limits::{HINT_ENTRIES, Limits, ReadBudget};

/// The most readings of a directory whose name leads elsewhere meanwhile.
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
    read_file(&absolute, path, &mut ReadBudget::new(limits)).map(Some)
}

/// Returns the files of the workspace at `root`. Blocks on the disk.
pub(crate) fn read(root: &Path, scope: ReadScope, limits: &Limits) -> Result<Tree, SourceFault> {
    let mut place = place_of(root)?;
    for _ in 0..MAX_READINGS {
        let read = read_place(&place, scope, limits);
        // A link that leads elsewhere meanwhile must not mix the files of two directories, and the files behind the old
        // one may be gone in part.
        let now = place_of(root)?;
        if now == place {
            return read;
        }
        place = now;
    }
    Err(SourceFault::Disk {
        path: root.display().to_string(),
        error: "it led to another directory during each reading".to_owned(),
    })
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
fn read_place(root: &Path, scope: ReadScope, limits: &Limits) -> Result<Tree, SourceFault> {
    let mut tree = Tree::default();
    let mut budget = ReadBudget::new(limits);
    let mut hints = HINT_ENTRIES;
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
                    let bytes = read_file(&entry.path(), &path, &mut budget)?;
                    tree.insert(path, bytes);
                }
                Visit::Descend => directories.push(path),
                Visit::Peek => peek(&entry.path(), &path, &mut tree, &mut hints),
                Visit::Skip => tree.notice(&path, kind_of(kind).kind()),
            }
        }
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
/// block.
fn read_file(absolute: &Path, path: &str, budget: &mut ReadBudget<'_>) -> Result<Vec<u8>, SourceFault> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let open = || -> io::Result<(File, u64, bool)> {
        let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(absolute)?;
        let metadata = file.metadata()?;
        Ok((file, metadata.len(), metadata.is_file()))
    };
    let (file, size, is_file) = open().map_err(|error| disk(absolute, &error))?;
    if !is_file {
        return Err(ContentFault::NotAFile { path: path.to_owned(), what: "no plain file" }.into());
    }
    budget.bytes(size)?;
    let mut bytes = Vec::new();
    // A file that grows meanwhile is cut at its measured size.
    file.take(size).read_to_end(&mut bytes).map_err(|error| disk(absolute, &error))?;
    Ok(bytes)
}

fn disk(path: &Path, error: &io::Error) -> SourceFault {
    SourceFault::Disk { path: path.display().to_string(), error: error.to_string() }
}
