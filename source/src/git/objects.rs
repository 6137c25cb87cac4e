//! Reads objects of the cached repository through one `git cat-file --batch`: their sizes first, then their bytes.

use std::fmt;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use crate::error::{ContentFault, GitFault, SourceFault, folded};
use crate::limits::layout::PathEntry;

use crate::git::failure::is_out_of_memory;
use crate::git::group::ProcessGroup;
use crate::git::program::Program;
use crate::git::stderr::{GitStderr, listen};

/// The name of an object: 20 bytes of SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ObjectId([u8; 20]);

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Git's header of an object.
#[derive(Clone, Copy)]
pub(super) struct ObjectHeader {
    pub(super) kind: ObjectKind,
    pub(super) size: u64,
}

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    File,
    Directory,
    Other,
}

/// One entry of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TreeEntry<'a> {
    pub(super) kind: PathEntry,
    pub(super) name: &'a [u8],
    pub(super) id: ObjectId,
}

/// A running `git cat-file`. It never uses the network: a missing object is answered with `None`.
pub(super) struct ObjectReader<'a> {
    program: &'a Program,
    repository: &'a Path,
    // `None` after git was told to end.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    // It is read all the time, as a full pipe would stop git.
    stderr: JoinHandle<GitStderr>,
    // Ends the program when the reader is dropped.
    _git: ProcessGroup,
}

impl<'a> ObjectReader<'a> {
    pub(super) fn start(program: &'a Program, repository: &'a Path) -> Result<Self, GitFault> {
        let mut git = program.read(repository, &["cat-file", "--batch"])?;
        let stderr = tokio::spawn(listen(git.child().stderr.take(), false));
        let (Some(stdin), Some(stdout)) = (git.child().stdin.take(), git.child().stdout.take()) else {
            return Err(GitFault::Other("git was started without pipes".to_owned()));
        };
        Ok(Self { program, repository, stdin: Some(stdin), stdout: BufReader::new(stdout), stderr, _git: git })
    }

    /// Returns the objects of these names, in order. `allow` checks each object's kind and size, with the place of its
    /// name, before it is read.
    pub(super) async fn read(
        &mut self,
        names: &[String],
        mut allow: impl FnMut(usize, ObjectHeader) -> Result<(), ContentFault>,
    ) -> Result<Vec<Option<Vec<u8>>>, SourceFault> {
        let timeout = self.program.timeout();
        let Self { program, repository, stdin, stdout, stderr, .. } = self;
        let both = async {
            let asking = async {
                let Some(stdin) = stdin.as_mut() else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
                for name in names {
                    stdin.write_all(name.as_bytes()).await?;
                    stdin.write_all(b"\n").await?;
                }
                stdin.flush().await
            };
            let answering = async {
                let mut objects = Vec::new();
                for place in 0..names.len() {
                    objects.push(read_object(stdout, |header| allow(place, header)).await?);
                }
                Ok::<_, ReadFault>(objects)
            };
            // Writes and reads concurrently: with many names both pipes fill up.
            let (asked, objects) = tokio::join!(asking, answering);
            match (objects, asked) {
                (Ok(objects), Ok(())) => Ok(objects),
                (Err(ReadFault::Refused(fault)), _) => Err(fault.into()),
                (Err(ReadFault::Ended), _) | (Ok(_), Err(_)) => {
                    // A git that has not ended does at the end of its input.
                    *stdin = None;
                    let said = stderr.await.map(|stderr| stderr.text()).unwrap_or_default();
                    Err(ended(&String::from_utf8_lossy(&said), repository, program.memory_bytes()).into())
                }
            }
        };
        tokio::time::timeout(timeout, both).await.map_err(|_| SourceFault::from(GitFault::TimedOut(timeout)))?
    }
}

/// The reason why an object is not read.
enum ReadFault {
    /// The object is not what it should be.
    Refused(ContentFault),
    /// Git has ended.
    Ended,
}

/// The beginnings of git's lines about an object that it has and can't read. A transfer is checked when it arrives, so
/// the disk has changed it since.
const UNREADABLE: [&str; 6] =
    ["unable to stream", "corrupt loose object", "loose object", "packed object", "object file", "inflate: "];

/// Returns the fault of a git that ended while it read objects. Only a line about a file or an object of the repository
/// shows that the repository is damaged.
fn ended(said: &str, repository: &Path, memory: u64) -> GitFault {
    let lines = || said.lines().map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: ").trim());
    let shown = folded(lines());
    if lines().any(is_out_of_memory) {
        GitFault::OutOfMemory { limit: memory }
    } else if shown.contains(&*repository.to_string_lossy())
        || lines().any(|line| UNREADABLE.iter().any(|words| line.starts_with(words)))
    {
        GitFault::KeptCopy(shown)
    } else {
        GitFault::Other(if shown.is_empty() { "git ended before it answered".to_owned() } else { shown })
    }
}

async fn read_object(
    stdout: &mut BufReader<ChildStdout>,
    allow: impl FnOnce(ObjectHeader) -> Result<(), ContentFault>,
) -> Result<Option<Vec<u8>>, ReadFault> {
    let ended = |_: std::io::Error| ReadFault::Ended;
    let mut header = Vec::new();
    stdout.take(4096).read_until(b'\n', &mut header).await.map_err(ended)?;
    let header = std::str::from_utf8(&header).ok().and_then(|header| header.strip_suffix('\n'));
    let header = header.ok_or(ReadFault::Ended)?;
    if header.ends_with(" missing") || header.ends_with(" submodule") || header.ends_with(" ambiguous") {
        return Ok(None);
    }
    let mut words = header.split(' ').skip(1);
    let (Some(kind), Some(Ok(size))) = (words.next(), words.next().map(str::parse::<u64>)) else {
        return Err(ReadFault::Refused(ContentFault::Garbled { path: folded([header].into_iter()) }));
    };
    let kind = match kind {
        "tree" => ObjectKind::Directory,
        "blob" => ObjectKind::File,
        _ => ObjectKind::Other,
    };
    allow(ObjectHeader { kind, size }).map_err(ReadFault::Refused)?;
    let mut bytes = Vec::new();
    (&mut *stdout).take(size).read_to_end(&mut bytes).await.map_err(ended)?;
    let complete = u64::try_from(bytes.len()) == Ok(size);
    if !complete || stdout.read_u8().await.map_err(ended)? != b'\n' {
        return Err(ReadFault::Ended);
    }
    Ok(Some(bytes))
}

/// Parses a tree object: `<mode> <name>\0<20 bytes>`, repeated. Returns `None` if it is garbled, which git does not
/// prevent.
pub(super) fn tree_entries(mut bytes: &[u8]) -> Option<Vec<TreeEntry<'_>>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (entry, rest) = tree_entry(bytes)?;
        entries.push(entry);
        bytes = rest;
    }
    Some(entries)
}

fn tree_entry(bytes: &[u8]) -> Option<(TreeEntry<'_>, &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let (mode, rest) = (bytes.get(..space)?, bytes.get(space + 1..)?);
    let zero = rest.iter().position(|byte| *byte == 0)?;
    let (name, rest) = (rest.get(..zero)?, rest.get(zero + 1..)?);
    let (id, rest) = rest.split_first_chunk::<20>()?;
    let kind = match mode {
        b"40000" => PathEntry::Directory,
        b"120000" => PathEntry::Link,
        mode if mode.starts_with(b"100") => PathEntry::File,
        _ => PathEntry::Special,
    };
    Some((TreeEntry { kind, name, id: ObjectId(*id) }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_damaged_only_if_git_names_a_file_of_it() {
        let code = |said: &str| ended(said, Path::new("/data/git/a.git"), 1).code();
        for (said, expected) in [
            (
                "error: object file /data/git/a.git/objects/ab/cd is empty\nfatal: loose object is corrupt",
                "kept_copy_damaged",
            ),
            ("fatal: not a git repository: '/data/git/a.git'", "kept_copy_damaged"),
            ("fatal: Out of memory, malloc failed (tried to allocate 3 bytes)", "git_out_of_memory"),
            ("fatal: something about an object file and a packfile", "git_failed"),
            ("", "git_failed"),
        ] {
            assert_eq!(code(said), expected, "{said}");
        }
    }

    #[test]
    fn a_tree_lists_names_kinds_and_objects() {
        let mut bytes = Vec::new();
        for (mode, name) in [("100755", "a b"), ("120000", "l"), ("160000", "m"), ("40000", "d")] {
            bytes.extend(format!("{mode} {name}\0").into_bytes());
            bytes.extend([7; 20]);
        }
        let entries = tree_entries(&bytes).unwrap();
        let kinds: Vec<_> = entries.iter().map(|entry| (entry.kind, entry.name)).collect();
        assert_eq!(
            kinds,
            [
                (PathEntry::File, &b"a b"[..]),
                (PathEntry::Link, b"l"),
                (PathEntry::Special, b"m"),
                (PathEntry::Directory, b"d")
            ]
        );
        assert_eq!(entries[0].id.to_string(), "07".repeat(20));
    }

    #[test]
    fn a_garbled_tree_is_none_and_no_panic() {
        for bytes in [&b"100644"[..], b"100644 a", b"100644 a\0short", b"\0", b" \0"] {
            assert_eq!(tree_entries(bytes), None, "{bytes:?}");
        }
    }
}
