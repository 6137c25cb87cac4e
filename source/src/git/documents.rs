//! Reads the documents of one commit from the cached repository.

use std::collections::HashSet;
use std::time::Instant;

use rototo_engine::Tree;

use crate::error::{ContentFault, GitFault, SourceFault};
use crate::limits::layout::{Visit, is_peeked_last, join, visit};
use crate::limits::{ENTRY_BYTES, HINT_ENTRIES, Limits, ReadBudget};
use crate::spec::{Commit, GitReference};
use crate::workspace_part::WorkspacePart;

use crate::git::cached_repository::CachedRepository;
use crate::git::commit_info::{CommitInfo, CommitInfos};
use crate::git::objects::{ObjectHeader, ObjectId, ObjectKind, ObjectReader, tree_entries};
use crate::git::program::Program;
use crate::git::trees::{Blobs, NoRoot, ReadTree, Trees};

/// The largest directory above a workspace. The limits of a workspace do not apply to it, as it holds other files too.
const MAX_PARENT_BYTES: u64 = 16 << 20;

/// A workspace in a commit, and the ref where the commit was found.
#[derive(Clone, Copy)]
pub(super) struct CommitDirectory<'a> {
    pub(super) commit: &'a Commit,
    pub(super) reference: &'a GitReference,
    pub(super) part: &'a WorkspacePart,
}

/// Lists the documents of `place`, fetches the missing ones, and reads those that were not read before.
pub(super) async fn read(
    program: &Program,
    limits: &Limits,
    kept: &CachedRepository,
    (trees, infos): (&mut Trees, &CommitInfos),
    place: CommitDirectory<'_>,
) -> Result<Tree, SourceFault> {
    let mut reading = Reading::start(program, limits, kept, place).await?;
    if let Some(info) = reading.info.take() {
        infos.note(place.commit, info);
    }
    let root = reading.root(trees, place).await?;
    if let Some(tree) = trees.known(place.commit, place.part, Instant::now()) {
        return Ok(tree);
    }
    let Listing { beside, documents: listing, alike } = reading.list(place, root).await?;

    let ids: HashSet<ObjectId> = listing.iter().map(|(_, id)| *id).collect();
    let last = trees.blobs(place.part);
    let known = |id: &ObjectId| Some((*id, last?.get(id)?.clone()));
    let mut blobs: Blobs = ids.iter().filter_map(known).collect();
    let unknown: Vec<ObjectId> = ids.into_iter().filter(|id| !blobs.contains_key(id)).collect();
    let missing = reading.read_blobs(&unknown, &mut blobs).await?;
    if !missing.is_empty() {
        kept.bring_objects(program, &missing).await?;
        if let Some(id) = reading.read_blobs(&missing, &mut blobs).await?.first() {
            return Err(GitFault::Other(format!("the host did not send the object {id}")).into());
        }
    }

    let mut tree = assemble(beside, listing, &blobs, limits)?;
    reading.peek(&mut tree, alike).await;
    let read = ReadTree { commit: place.commit.clone(), root, tree: tree.clone(), blobs };
    trees.keep(place.part, read, Instant::now());
    Ok(tree)
}

/// Fetches the commit of `place`, unless the cached repository has it.
pub(super) async fn bring(
    program: &Program,
    limits: &Limits,
    kept: &CachedRepository,
    place: CommitDirectory<'_>,
) -> Result<(), SourceFault> {
    Reading::start(program, limits, kept, place).await.map(|_| ())
}

/// The entries of the directories of a workspace.
#[derive(Default)]
struct Listing {
    /// A tree that has noticed the paths that are no documents.
    beside: Tree,
    documents: Vec<(String, ObjectId)>,
    /// The directories that only resemble those of documents.
    alike: Vec<(String, ObjectId)>,
}

struct Reading<'a> {
    objects: ObjectReader<'a>,
    budget: ReadBudget<'a>,
    /// The words of the commit.
    info: Option<CommitInfo>,
}

impl<'a> Reading<'a> {
    /// Starts to read from a cached repository that has the commit of `place`.
    async fn start(
        program: &'a Program,
        limits: &'a Limits,
        kept: &'a CachedRepository,
        place: CommitDirectory<'_>,
    ) -> Result<Self, SourceFault> {
        kept.prepare().await?;
        let objects = ObjectReader::start(program, kept.path())?;
        let mut reading = Self { objects, budget: ReadBudget::new(limits), info: None };
        if !reading.has_commit(place.commit).await? {
            let asked = kept.bring_commit(program, place.commit, place.reference).await?;
            if !reading.has_commit(place.commit).await? {
                if reading.is_no_commit(place.commit).await? {
                    return Err(GitFault::NotACommit(place.reference.clone()).into());
                }
                return Err(kept.missing(place.commit, place.reference, asked));
            }
        }
        Ok(reading)
    }

    async fn has_commit(&mut self, commit: &Commit) -> Result<bool, SourceFault> {
        let names = [format!("{commit}^{{commit}}"), directory_name(commit, "")];
        let answer = self.objects.read(&names, |_, header| above(header)).await?;
        self.info = answer.first().and_then(Option::as_deref).map(CommitInfo::of);
        Ok(answer.iter().all(Option::is_some))
    }

    /// Returns whether the object of this name is there and is a directory or a file. No more can be read then.
    async fn is_no_commit(&mut self, commit: &Commit) -> Result<bool, SourceFault> {
        let mut kind = None;
        let note = |_, header: ObjectHeader| {
            kind = Some(header.kind);
            Err(garbled(""))
        };
        match self.objects.read(&[commit.to_string()], note).await {
            Ok(_) | Err(SourceFault::Content(_)) => Ok(matches!(kind, Some(ObjectKind::Directory | ObjectKind::File))),
            Err(fault) => Err(fault),
        }
    }

    /// Returns the object of the workspace's directory; `None` for the root of the repository.
    async fn root(&mut self, trees: &mut Trees, place: CommitDirectory<'_>) -> Result<Option<ObjectId>, SourceFault> {
        let Some(subdirectory) = &place.part.subdirectory else { return Ok(None) };
        let mut root = trees.root(place.commit, subdirectory);
        if root.is_none() {
            let (parent, _) = subdirectory.split();
            let allow = |_, header: ObjectHeader| match header.kind {
                ObjectKind::Directory => above(header),
                ObjectKind::File | ObjectKind::Other => Err(no_directory(place)),
            };
            let answer = self.objects.read(&[directory_name(place.commit, parent)], allow).await?;
            let listing = answer.into_iter().flatten().next().ok_or_else(|| no_directory(place))?;
            root = Some(trees.root_in(place.commit, subdirectory, listing));
        }
        match root {
            Some(Ok(root)) => Ok(Some(root)),
            Some(Err(NoRoot::Garbled)) => Err(garbled(subdirectory.split().0).into()),
            Some(Err(NoRoot::Linked(what))) => {
                Err(ContentFault::LinkedDirectory { path: subdirectory.to_string(), what }.into())
            }
            Some(Err(NoRoot::Missing)) | None => Err(no_directory(place).into()),
        }
    }

    /// Lists the directories of documents, one level after the other.
    async fn list(&mut self, place: CommitDirectory<'_>, root: Option<ObjectId>) -> Result<Listing, SourceFault> {
        let root = root.map_or_else(|| directory_name(place.commit, ""), |root| root.to_string());
        let mut listing = Listing::default();
        let mut level = vec![(String::new(), root)];
        while !level.is_empty() {
            let (paths, names): (Vec<String>, Vec<String>) = std::mem::take(&mut level).into_iter().unzip();
            let allow = |at: usize, header: ObjectHeader| match header.kind {
                ObjectKind::Directory => self.budget.listing(header.size),
                ObjectKind::File | ObjectKind::Other => Err(garbled(paths.get(at).map_or("", String::as_str))),
            };
            let directories = self.objects.read(&names, allow).await?;
            for (directory, bytes) in paths.iter().zip(directories) {
                let bytes = bytes.ok_or_else(|| no_directory(place))?;
                for entry in tree_entries(&bytes).ok_or_else(|| garbled(directory))? {
                    self.budget.entry()?;
                    let path = join(directory, &String::from_utf8_lossy(entry.name));
                    match visit(&path, entry.kind, place.part.scope)? {
                        Visit::Read | Visit::Descend if std::str::from_utf8(entry.name).is_err() => {
                            return Err(ContentFault::NotUtf8 { path }.into());
                        }
                        Visit::Read => listing.documents.push((path, entry.id)),
                        Visit::Descend => level.push((path, entry.id.to_string())),
                        Visit::Peek => listing.alike.push((path, entry.id)),
                        Visit::Skip => listing.beside.notice(&path, entry.kind.kind()),
                    }
                }
            }
        }
        Ok(listing)
    }

    /// Takes note of the entries of directories that only resemble those of documents, until an error or the end of the
    /// budget. After an error no more objects can be read, so this comes last.
    async fn peek(&mut self, tree: &mut Tree, mut alike: Vec<(String, ObjectId)>) {
        alike.sort_by_key(|(path, _)| is_peeked_last(path));
        let mut left = HINT_ENTRIES;
        for (directory, id) in alike {
            left = left.saturating_sub(1);
            let allow = |_, header: ObjectHeader| match header.kind {
                ObjectKind::Directory if header.size <= left.saturating_mul(ENTRY_BYTES) => Ok(()),
                ObjectKind::Directory | ObjectKind::File | ObjectKind::Other => Err(garbled(&directory)),
            };
            let Ok(listing) = self.objects.read(&[id.to_string()], allow).await else { return };
            let Some(bytes) = listing.into_iter().flatten().next() else { return };
            for entry in tree_entries(&bytes).unwrap_or_default() {
                let Some(rest) = left.checked_sub(1) else { return };
                left = rest;
                tree.notice(&join(&directory, &String::from_utf8_lossy(entry.name)), entry.kind.kind());
            }
        }
    }

    /// Adds the objects of the cached repository to `blobs`, and returns the missing ones.
    async fn read_blobs(&mut self, ids: &[ObjectId], blobs: &mut Blobs) -> Result<Vec<ObjectId>, SourceFault> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let allow = |at: usize, header: ObjectHeader| match header.kind {
            ObjectKind::File => self.budget.bytes(header.size),
            ObjectKind::Directory | ObjectKind::Other => Err(garbled(names.get(at).map_or("", String::as_str))),
        };
        let objects = self.objects.read(&names, allow).await?;
        let mut missing = Vec::new();
        for (id, object) in ids.iter().zip(objects) {
            match object {
                Some(bytes) => {
                    blobs.insert(*id, bytes.into());
                }
                None => missing.push(*id),
            }
        }
        Ok(missing)
    }
}

/// Returns git's expression for the directory at `path` of `commit`.
fn directory_name(commit: &Commit, path: &str) -> String {
    if path.is_empty() { format!("{commit}^{{tree}}") } else { format!("{commit}:{path}") }
}

fn above(header: ObjectHeader) -> Result<(), ContentFault> {
    if header.size > MAX_PARENT_BYTES {
        return Err(ContentFault::TooLarge { limit: MAX_PARENT_BYTES });
    }
    Ok(())
}

fn garbled(path: &str) -> ContentFault {
    let path = if path.is_empty() { "the workspace's directory" } else { path };
    ContentFault::Garbled { path: path.to_owned() }
}

fn no_directory(place: CommitDirectory<'_>) -> ContentFault {
    ContentFault::NoDirectory { path: place.part.subdirectory.as_ref().map_or_else(String::new, ToString::to_string) }
}

/// Adds the documents to `tree`. The limit counts each path, although several may share one object.
fn assemble(
    mut tree: Tree,
    listing: Vec<(String, ObjectId)>,
    blobs: &Blobs,
    limits: &Limits,
) -> Result<Tree, SourceFault> {
    let mut budget = ReadBudget::new(limits);
    for (path, id) in listing {
        let bytes = blobs.get(&id).cloned().unwrap_or_default();
        budget.bytes(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        tree.insert(path, bytes);
    }
    Ok(tree)
}

#[cfg(test)]
#[path = "documents_tests.rs"]
mod tests;
