//! Remembers what was last read of a repository, so that a new commit costs only what it changed. Memory only, no I/O.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use rototo_engine::Tree;

use crate::hosts::Recent;
use crate::limits::layout::PathEntry;
use crate::limits::memory::{HeldMemory, SharedMemory};
use crate::spec::{Commit, Subdirectory};
use crate::workspace_part::WorkspacePart;

use crate::git::objects::{ObjectId, tree_entries};

/// The bytes of files by the names of their objects.
pub(super) type Blobs = HashMap<ObjectId, Arc<[u8]>>;

/// The number of directories whose listings are remembered.
const MAX_PARENTS: usize = 32;
/// The bytes of those listings together. One may have 16 MiB, and a new commit has other listings.
const MAX_PARENT_BYTES: usize = 16 << 20;

/// The last tree of each workspace of one repository, and the directories above them, as far as there is memory.
pub(super) struct Trees {
    memory: SharedMemory,
    last: Recent<WorkspacePart, Remembered<ReadTree>>,
    parents: HashMap<(Commit, String), Remembered<Arc<[u8]>>>,
}

/// Something with the memory that it takes.
type Remembered<T> = (T, HeldMemory);

/// A tree with the objects that it was read from.
pub(super) struct ReadTree {
    pub(super) commit: Commit,
    /// The object of the workspace's directory; `None` for the root of the repository.
    pub(super) root: Option<ObjectId>,
    pub(super) tree: Tree,
    pub(super) blobs: Blobs,
}

impl Trees {
    /// Remembers nothing yet, and later no more than there is `memory` for.
    pub(super) fn new(memory: SharedMemory) -> Self {
        Self { memory, last: Recent::default(), parents: HashMap::new() }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.memory.clone());
    }

    /// Returns the tree of `commit`, if it is known without reading: it was the last one, or the workspace's directory
    /// is the same object as in the last one. So of a thousand workspaces in one repository, a commit costs only those
    /// that it changes.
    pub(super) fn known(&mut self, commit: &Commit, part: &WorkspacePart, now: Instant) -> Option<Tree> {
        let root = part.subdirectory.as_ref().and_then(|subdirectory| self.root(commit, subdirectory)?.ok());
        let (last, _) = self.last.touch(part, now)?;
        if last.commit != *commit && (root.is_none() || last.root != root) {
            return None;
        }
        last.commit = commit.clone();
        Some(last.tree.clone())
    }

    /// Returns the object of the workspace's directory in `commit`, if the directory above it is known.
    pub(super) fn root(&self, commit: &Commit, subdirectory: &Subdirectory) -> Option<Result<ObjectId, NoRoot>> {
        let (parent, name) = subdirectory.split();
        let (listing, _) = self.parents.get(&(commit.clone(), parent.to_owned()))?;
        Some(find_directory(listing, name))
    }

    /// Returns the object of the workspace's directory by the listing of the directory above it, and remembers that.
    pub(super) fn root_in(
        &mut self,
        commit: &Commit,
        subdirectory: &Subdirectory,
        listing: Vec<u8>,
    ) -> Result<ObjectId, NoRoot> {
        let (parent, name) = subdirectory.split();
        let root = find_directory(&listing, name);
        self.keep_parent(commit, parent, listing);
        root
    }

    fn keep_parent(&mut self, commit: &Commit, parent: &str, listing: Vec<u8>) {
        let bytes: usize = self.parents.values().map(|(kept, _)| kept.len()).sum();
        if self.parents.len() >= MAX_PARENTS || bytes.saturating_add(listing.len()) > MAX_PARENT_BYTES {
            self.parents.clear();
        }
        if let Some(held) = self.memory.take(listing.len()) {
            self.parents.insert((commit.clone(), parent.to_owned()), (listing.into(), held));
        }
    }

    /// Returns the files of the workspace's last tree.
    pub(super) fn blobs(&self, part: &WorkspacePart) -> Option<&Blobs> {
        self.last.get(part).map(|(last, _)| &last.blobs)
    }

    /// Replaces the last tree of a workspace, if there is memory for it, and forgets the workspaces that nobody reads any more.
    pub(super) fn keep(&mut self, part: &WorkspacePart, read: ReadTree, now: Instant) {
        self.last.remove(part);
        self.last.forget(now);
        if let Some(held) = self.memory.take(read.blobs.values().map(|blob| blob.len()).sum()) {
            self.last.insert(part.clone(), (read, held), now);
        }
    }
}

/// The reason why a directory isn't found in the one above it.
pub(super) enum NoRoot {
    Missing,
    Garbled,
    /// A link or a submodule, in words.
    Linked(&'static str),
}

fn find_directory(listing: &[u8], name: &str) -> Result<ObjectId, NoRoot> {
    let entries = tree_entries(listing).ok_or(NoRoot::Garbled)?;
    let found = entries.iter().find(|entry| entry.name == name.as_bytes()).ok_or(NoRoot::Missing)?;
    match found.kind {
        PathEntry::Directory => Ok(found.id),
        PathEntry::Link => Err(NoRoot::Linked("a link")),
        PathEntry::Special => Err(NoRoot::Linked("a submodule")),
        PathEntry::File => Err(NoRoot::Missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listings_above_workspaces_are_bounded_together() {
        let mut trees = Trees::new(SharedMemory::new(u64::MAX));
        for number in 0..MAX_PARENTS {
            let commit = format!("{number:040x}").parse().unwrap();
            trees.keep_parent(&commit, "", vec![0; MAX_PARENT_BYTES / 4]);
            let kept: usize = trees.parents.values().map(|(listing, _)| listing.len()).sum();
            assert!(kept <= MAX_PARENT_BYTES, "{kept}");
            assert!(trees.parents.contains_key(&(commit, String::new())), "{number}");
        }
    }

    #[test]
    fn what_all_repositories_remember_together_is_bounded() {
        let memory = SharedMemory::new(100);
        let mut repositories: Vec<_> = (0..4).map(|_| Trees::new(memory.clone())).collect();
        let commit: Commit = "1".repeat(40).parse().unwrap();
        let subdirectory = Subdirectory::parse("teams/a").unwrap().unwrap();
        let entry = [b"100644 a\0".as_slice(), &[2; 20]].concat();
        let object = tree_entries(&entry).unwrap()[0].id;
        let part = WorkspacePart { subdirectory: Some(subdirectory), ..WorkspacePart::default() };
        let read = || ReadTree {
            commit: commit.clone(),
            root: None,
            tree: Tree::default(),
            blobs: [(object, vec![0; 30].into())].into(),
        };
        let now = Instant::now();
        let known = |repositories: &mut Vec<Trees>| {
            repositories.iter_mut().filter_map(|trees| trees.known(&commit, &part, now)).count()
        };
        for trees in &mut repositories {
            // The next tree of a workspace replaces the last one, also in the memory.
            trees.keep(&part, read(), now);
            trees.keep(&part, read(), now);
            trees.keep_parent(&commit, "teams", vec![0; 20]);
        }
        assert_eq!(known(&mut repositories), 2);
        repositories[0].clear();
        repositories[3].keep(&part, read(), now);
        assert_eq!(known(&mut repositories), 2);
    }
}
