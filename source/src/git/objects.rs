//! Reads objects of the cached repository through one `git cat-file --batch`: their sizes first, then their bytes.

use std::fmt;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use crate::error::{ContentFault, GitFault, SourceFault};
use crate::limits::layout::PathEntry;

use crate::git::group::ProcessGroup;
use crate::git::program::Program;

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
    pub(super) is_tree: bool,
    pub(super) size: u64,
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
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    // Ends the program when the reader is dropped.
    _git: ProcessGroup,
}

impl<'a> ObjectReader<'a> {
    pub(super) fn start(program: &'a Program, repository: &Path) -> Result<Self, GitFault> {
        let mut git = program.read(repository, &["cat-file", "--batch"])?;
        // Nobody reads its messages, and a full pipe would stop it.
        git.child().stderr.take();
        let (Some(stdin), Some(stdout)) = (git.child().stdin.take(), git.child().stdout.take()) else {
            return Err(GitFault::Other("git was started without pipes".to_owned()));
        };
        Ok(Self { program, stdin, stdout: BufReader::new(stdout), _git: git })
    }

    /// Returns the objects of these names, in order. `allow` checks each object's kind and size before it is read.
    pub(super) async fn read(
        &mut self,
        names: &[String],
        mut allow: impl FnMut(ObjectHeader) -> Result<(), ContentFault>,
    ) -> Result<Vec<Option<Vec<u8>>>, SourceFault> {
        let timeout = self.program.timeout();
        let Self { stdin, stdout, .. } = self;
        let asking = async {
            for name in names {
                stdin.write_all(name.as_bytes()).await?;
                stdin.write_all(b"\n").await?;
            }
            stdin.flush().await
        };
        let answering = async {
            let mut objects = Vec::new();
            for _ in names {
                objects.push(read_object(stdout, &mut allow).await?);
            }
            Ok::<_, SourceFault>(objects)
        };
        // Writes and reads concurrently: with many names both pipes fill up.
        let both = async {
            let (asked, objects) = tokio::join!(asking, answering);
            let objects = objects?;
            asked.map_err(|error| SourceFault::from(damaged(&error.to_string())))?;
            Ok(objects)
        };
        tokio::time::timeout(timeout, both).await.map_err(|_| SourceFault::from(GitFault::TimedOut(timeout)))?
    }
}

async fn read_object(
    stdout: &mut BufReader<ChildStdout>,
    allow: &mut impl FnMut(ObjectHeader) -> Result<(), ContentFault>,
) -> Result<Option<Vec<u8>>, SourceFault> {
    let ended = |error: std::io::Error| SourceFault::from(damaged(&error.to_string()));
    let mut header = Vec::new();
    stdout.take(4096).read_until(b'\n', &mut header).await.map_err(ended)?;
    let Some(header) = std::str::from_utf8(&header).ok().and_then(|header| header.strip_suffix('\n')) else {
        return Err(damaged("git ended before it answered").into());
    };
    if header.ends_with(" missing") || header.ends_with(" submodule") || header.ends_with(" ambiguous") {
        return Ok(None);
    }
    let mut words = header.split(' ').skip(1);
    let (Some(kind), Some(Ok(size))) = (words.next(), words.next().map(str::parse::<u64>)) else {
        return Err(damaged("git answered something unknown about an object").into());
    };
    allow(ObjectHeader { is_tree: kind == "tree", size })?;
    let mut bytes = Vec::new();
    (&mut *stdout).take(size).read_to_end(&mut bytes).await.map_err(ended)?;
    let complete = u64::try_from(bytes.len()) == Ok(size);
    if !complete || stdout.read_u8().await.map_err(ended)? != b'\n' {
        return Err(damaged("git ended in the middle of an object").into());
    }
    Ok(Some(bytes))
}

/// Parses a tree object: `<mode> <name>\0<20 bytes>`, repeated.
pub(super) fn tree_entries(mut bytes: &[u8]) -> Result<Vec<TreeEntry<'_>>, GitFault> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (entry, rest) = tree_entry(bytes).ok_or_else(|| damaged("a directory is garbled"))?;
        entries.push(entry);
        bytes = rest;
    }
    Ok(entries)
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

pub(super) fn damaged(reason: &str) -> GitFault {
    GitFault::KeptCopy(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_garbled_tree_is_an_error_and_no_panic() {
        for bytes in [&b"100644"[..], b"100644 a", b"100644 a\0short", b"\0", b" \0"] {
            assert!(tree_entries(bytes).is_err(), "{bytes:?}");
        }
    }
}
