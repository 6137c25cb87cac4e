//! Reads workspaces out of git repositories with the `git` program.
//!
//! [`Remote`] is one repository behind one address, opened with one set of credentials: it answers which commit a ref is
//! ([`Remote::pin`]), and brings the documents of one commit ([`Remote::fetch`]). Nothing is ever checked out: a bare
//! repository is kept on the disk, so that a new commit costs the transfer of what changed.

mod cached_repository;
mod credentials;
mod documents;
mod failure;
mod group;
mod ls_remote;
mod objects;
mod program;
mod requests;
mod stderr;
mod trees;

use std::path::PathBuf;
use std::time::Instant;

use rototo_engine::Tree;
use tokio::sync::Mutex;

use crate::error::{GitFault, SourceFault};
use crate::limits::Limits;
use crate::spec::{Commit, GitReference, Subdirectory};

use crate::git::cached_repository::CachedRepository;
use crate::git::documents::CommitDirectory;
use crate::git::ls_remote::RefCache;
pub(crate) use crate::git::program::Program;
pub use crate::git::requests::GitRequest;
pub(crate) use crate::git::requests::Requests;
use crate::git::trees::Trees;

/// One repository behind one address, opened with one set of credentials.
///
/// The two locks are queues: one question and one transfer at a time. Who waited finds the answer, or the objects,
/// that the one before brought.
pub(crate) struct Remote {
    program: Program,
    limits: Limits,
    answers: Mutex<RefCache>,
    contents: Mutex<Contents>,
}

struct Contents {
    kept: CachedRepository,
    trees: Trees,
}

impl Remote {
    /// The repository that `program` talks to, whose objects are kept in the directory `cached_repository`.
    pub(crate) fn new(program: Program, kept: PathBuf, limits: Limits) -> Self {
        let contents = Contents { kept: CachedRepository::new(kept), trees: Trees::default() };
        Self { program, limits, answers: Mutex::default(), contents: Mutex::new(contents) }
    }

    /// The commit that `reference` is, asked for at `since` or later.
    pub(crate) async fn pin(&self, reference: &GitReference, since: Instant) -> Result<Commit, GitFault> {
        if let GitReference::Commit(commit) = reference {
            return Ok(commit.clone());
        }
        self.answers.lock().await.answer(&self.program, reference, since).await
    }

    /// When the first answer came that names `commit` as what `reference` is now.
    pub(crate) async fn named_since(&self, reference: &GitReference, commit: &Commit) -> Option<Instant> {
        self.answers.lock().await.named_since(reference, commit)
    }

    /// The documents of `commit` below `subdirectory`. `reference` is where the commit was found.
    pub(crate) async fn fetch(
        &self,
        commit: &Commit,
        reference: &GitReference,
        subdirectory: Option<&Subdirectory>,
    ) -> Result<Tree, SourceFault> {
        let Contents { kept, trees } = &mut *self.contents.lock().await;
        if let Some(tree) = trees.known(commit, subdirectory, Instant::now()) {
            return Ok(tree);
        }
        let place = CommitDirectory { commit, reference, subdirectory };
        match documents::read(&self.program, &self.limits, kept, trees, place).await {
            // Whatever happened to the copy: it is only a copy.
            Err(SourceFault::Git(GitFault::KeptCopy(reason))) => {
                tracing::warn!(reason, "the kept copy of a repository is fetched anew");
                kept.discard()?;
                documents::read(&self.program, &self.limits, kept, trees, place).await
            }
            other => other,
        }
    }

    /// Takes what is kept on the disk along with it.
    pub(crate) async fn forget(&self) {
        let Contents { kept, trees } = &mut *self.contents.lock().await;
        *trees = Trees::default();
        if let Err(error) = kept.discard() {
            tracing::debug!(%error, "the kept copy of a repository could not be removed");
        }
    }
}
