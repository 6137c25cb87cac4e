//! Reads the documents of one commit out of the kept repository, and keeps the last tree of each workspace so that only
//! what changed is read again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rototo_engine::Tree;

use crate::error::{ContentFault, Fault, GitFault};
use crate::layout::{Visit, join, visit};
use crate::limits::{Budget, Limits};
use crate::reference::{Commit, GitReference};
use crate::subdirectory::Subdirectory;

use super::kept::KeptRepository;
use super::objects::{Header, ObjectId, ObjectReader, tree_entries};
use super::program::Program;

type Blobs = HashMap<ObjectId, Arc<[u8]>>;

/// The last tree of each workspace of one repository.
#[derive(Default)]
pub(super) struct Trees(HashMap<Option<Subdirectory>, ReadTree>);

struct ReadTree {
    commit: Commit,
    tree: Tree,
    blobs: Blobs,
}

impl Trees {
    /// The tree of `commit`, if that was the last one.
    pub(super) fn get(&self, commit: &Commit, subdirectory: Option<&Subdirectory>) -> Option<Tree> {
        let read = self.0.get(&subdirectory.cloned())?;
        (read.commit == *commit).then(|| read.tree.clone())
    }
}

/// What is read: a directory of a commit, and the ref where the commit was found.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) commit: &'a Commit,
    pub(super) reference: &'a GitReference,
    pub(super) subdirectory: Option<&'a Subdirectory>,
}

/// Lists the documents of `place`, brings what is missing of them, and reads what wasn't read before.
pub(super) async fn read(
    program: &Program,
    limits: &Limits,
    kept: &KeptRepository,
    trees: &mut Trees,
    place: Place<'_>,
) -> Result<Tree, Fault> {
    kept.prepare()?;
    let mut reading = Reading { objects: ObjectReader::start(program, kept.path())?, budget: Budget::new(limits) };
    if !reading.has_commit(place.commit).await? {
        kept.bring_commit(program, place.commit, place.reference).await?;
        if !reading.has_commit(place.commit).await? {
            return Err(GitFault::NoCommit(place.commit.clone()).into());
        }
    }
    let listing = reading.list(place).await?;

    let last = trees.0.remove(&place.subdirectory.cloned()).map(|read| read.blobs).unwrap_or_default();
    let ids: HashSet<ObjectId> = listing.iter().map(|(_, id)| *id).collect();
    let (known, unread): (Vec<ObjectId>, Vec<ObjectId>) = ids.into_iter().partition(|id| last.contains_key(id));
    let mut blobs: Blobs = known.iter().filter_map(|id| Some((*id, last.get(id)?.clone()))).collect();
    let missing = reading.read_blobs(&unread, &mut blobs).await?;
    if !missing.is_empty() {
        kept.bring_objects(program, &missing).await?;
        if let Some(id) = reading.read_blobs(&missing, &mut blobs).await?.first() {
            return Err(GitFault::Other(format!("the host did not send the object {id}")).into());
        }
    }

    let tree = assemble(listing, &blobs, limits)?;
    let read = ReadTree { commit: place.commit.clone(), tree: tree.clone(), blobs };
    trees.0.insert(place.subdirectory.cloned(), read);
    Ok(tree)
}

struct Reading<'a> {
    objects: ObjectReader<'a>,
    budget: Budget<'a>,
}

impl Reading<'_> {
    async fn has_commit(&mut self, commit: &Commit) -> Result<bool, Fault> {
        let names = [format!("{commit}^{{tree}}")];
        let answer = self.objects.read(&names, |header| self.budget.listing(header.size)).await?;
        Ok(answer.iter().all(Option::is_some))
    }

    /// The paths and objects of all documents, one level of directories after the other.
    async fn list(&mut self, place: Place<'_>) -> Result<Vec<(String, ObjectId)>, Fault> {
        let root = match place.subdirectory {
            Some(subdirectory) => format!("{}:{subdirectory}", place.commit),
            None => format!("{}^{{tree}}", place.commit),
        };
        let mut documents = Vec::new();
        let mut level = vec![(String::new(), root)];
        while !level.is_empty() {
            let (paths, names): (Vec<String>, Vec<String>) = std::mem::take(&mut level).into_iter().unzip();
            let allow = |header: Header| match header.is_tree {
                true => self.budget.listing(header.size),
                false => Err(no_directory(place)),
            };
            let directories = self.objects.read(&names, allow).await?;
            for (directory, bytes) in paths.iter().zip(directories) {
                let Some(bytes) = bytes else { return Err(no_directory(place).into()) };
                for entry in tree_entries(&bytes)? {
                    self.budget.entry()?;
                    let path = join(directory, &String::from_utf8_lossy(entry.name));
                    match visit(&path, entry.kind)? {
                        Visit::Read | Visit::Descend if std::str::from_utf8(entry.name).is_err() => {
                            return Err(ContentFault::NotUtf8 { path }.into());
                        }
                        Visit::Read => documents.push((path, entry.id)),
                        Visit::Descend => level.push((path, entry.id.to_string())),
                        Visit::Skip => {}
                    }
                }
            }
        }
        Ok(documents)
    }

    /// Adds the objects that are here to `blobs`, and returns those that aren't.
    async fn read_blobs(&mut self, ids: &[ObjectId], blobs: &mut Blobs) -> Result<Vec<ObjectId>, Fault> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let objects = self.objects.read(&names, |header| self.budget.bytes(header.size)).await?;
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

fn no_directory(place: Place<'_>) -> ContentFault {
    ContentFault::NoDirectory { path: place.subdirectory.map_or_else(String::new, ToString::to_string) }
}

/// The tree, with the limit counted over all paths: several may share one object.
fn assemble(listing: Vec<(String, ObjectId)>, blobs: &Blobs, limits: &Limits) -> Result<Tree, Fault> {
    let mut budget = Budget::new(limits);
    let mut tree = Tree::default();
    for (path, id) in listing {
        let bytes = blobs.get(&id).cloned().unwrap_or_default();
        budget.bytes(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        tree.insert(path, bytes);
    }
    Ok(tree)
}
