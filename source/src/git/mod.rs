//! Reads workspaces out of git repositories with the `git` program.
//!
//! [`Remote`] is one repository behind one address, opened with one set of credentials: it finds the commit of a ref
//! ([`Remote::pin`]), and reads the documents of one commit ([`Remote::fetch`]). Nothing is checked out: a bare
//! repository on the disk is the cache, so that a new commit costs the transfer of what changed.

mod blame;
mod cached_repository;
mod commit_info;
mod confine;
mod credentials;
mod documents;
mod environment;
mod failure;
mod group;
mod known_hosts;
mod ls_remote;
mod memory;
mod message;
mod objects;
mod packs;
mod program;
mod removal;
mod requests;
mod search;
mod signature;
mod stderr;
mod trees;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rototo_engine::Tree;
use tokio::sync::Mutex;

use crate::error::{GitFault, SourceFault};
use crate::limits::Limits;
use crate::limits::memory::SharedMemory;
use crate::signatures::SignaturePolicy;
use crate::spec::{Commit, GitReference};
use crate::workspace_part::WorkspacePart;

use crate::git::cached_repository::CachedRepository;
pub use crate::git::commit_info::CommitInfo;
use crate::git::commit_info::CommitInfos;
use crate::git::documents::CommitDirectory;
pub use crate::git::environment::GitSetup;
use crate::git::ls_remote::RefCache;
pub(crate) use crate::git::memory::MemoryTurn;
use crate::git::memory::Programs;
pub(crate) use crate::git::packs::bytes_of_packs;
pub(crate) use crate::git::program::Program;
pub(crate) use crate::git::removal::RemovedRepository;
pub use crate::git::requests::GitRequest;
pub(crate) use crate::git::requests::Requests;
use crate::git::trees::Trees;

/// One repository behind one address, opened with one set of credentials.
///
/// The two locks are queues: one request for refs and one transfer at a time. A caller that waited finds the answer, or
/// the objects, of the one before.
pub(crate) struct Remote {
    programs: Programs,
    limits: Limits,
    answers: Mutex<RefCache>,
    contents: Mutex<Contents>,
    infos: CommitInfos,
    /// The bytes of the cached repository after its last transfer.
    kept_bytes: AtomicU64,
}

struct Contents {
    kept: CachedRepository,
    trees: Trees,
}

/// Counts the bytes of a cached repository when a use of it ends, also one that is given up.
struct KeptBytes<'a> {
    kept: &'a CachedRepository,
    bytes: &'a AtomicU64,
}

impl Drop for KeptBytes<'_> {
    fn drop(&mut self) {
        self.bytes.store(self.kept.bytes(), Ordering::Relaxed);
    }
}

impl Remote {
    /// Makes the repository that `program` talks to, with its cache in the directory `cached_repository`.
    pub(crate) fn new(
        program: Program,
        kept: PathBuf,
        limits: Limits,
        (memory, turn): (SharedMemory, MemoryTurn),
    ) -> Self {
        let programs = Programs::new(program, turn);
        let kept = CachedRepository::new(kept, limits.git_cache_bytes);
        let kept_bytes = AtomicU64::new(kept.bytes());
        let contents = Mutex::new(Contents { kept, trees: Trees::new(memory) });
        let (answers, infos) = (Mutex::default(), CommitInfos::default());
        Self { programs, limits, answers, contents, infos, kept_bytes }
    }

    /// Returns the commit of `reference`, from a request that was made at `since` or later.
    pub(crate) async fn pin(&self, reference: &GitReference, since: Instant) -> Result<Commit, GitFault> {
        if let GitReference::Commit(commit) = reference {
            return Ok(commit.clone());
        }
        self.answers.lock().await.answer(self.programs.usual(), reference, since).await
    }

    /// Returns the time of the request whose answer is the last for `reference`.
    pub(crate) async fn asked_at(&self, reference: &GitReference) -> Option<Instant> {
        self.answers.lock().await.asked_at(reference)
    }

    /// Returns the time of the first answer that named `commit` as the commit of `reference`, if it still is.
    pub(crate) async fn named_since(&self, reference: &GitReference, commit: &Commit) -> Option<Instant> {
        self.answers.lock().await.named_since(reference, commit)
    }

    /// Returns the documents of a workspace in `commit`. `reference` is where the commit was found.
    pub(crate) async fn fetch(
        &self,
        commit: &Commit,
        reference: &GitReference,
        part: &WorkspacePart,
    ) -> Result<Tree, SourceFault> {
        let Contents { kept, trees } = &mut *self.contents.lock().await;
        if let Some(tree) = trees.known(commit, part, Instant::now()) {
            return Ok(tree);
        }
        let place = CommitDirectory { commit, reference, part };
        let _counted = KeptBytes { kept, bytes: &self.kept_bytes };
        let outcome = self.read(kept, trees, place).await;
        let Err(SourceFault::Git(GitFault::KeptCopy(reason))) = &outcome else { return outcome };
        // The cached repository can be fetched again, whatever damaged it.
        tracing::warn!(reason, "the kept copy of a repository is fetched anew");
        kept.discard().await?;
        self.read(kept, trees, place).await
    }

    async fn read(
        &self,
        kept: &CachedRepository,
        trees: &mut Trees,
        place: CommitDirectory<'_>,
    ) -> Result<Tree, SourceFault> {
        let (limits, infos) = (&self.limits, &self.infos);
        let outcome = documents::read(self.programs.usual(), limits, kept, (trees, infos), place).await;
        match self.programs.after(&outcome).await {
            Some((large, _turn)) => {
                self.programs.in_time(documents::read(large, limits, kept, (trees, infos), place)).await
            }
            None => outcome,
        }
    }

    /// Returns the words of a commit whose documents were read.
    pub(crate) fn info(&self, commit: &Commit) -> Option<CommitInfo> {
        self.infos.get(commit)
    }

    /// Returns the bytes of the cached repository on the disk.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// Removes the cached repository from the disk, unless it is being used. Blocks on the disk; who reads from it next
    /// does not wait for that.
    pub(crate) fn discard(&self) -> bool {
        let Ok(contents) = self.contents.try_lock() else { return false };
        let taken = contents.kept.take_away();
        self.kept_bytes.store(contents.kept.bytes(), Ordering::Relaxed);
        drop(contents);
        match taken {
            Ok(removed) => {
                removed.into_iter().for_each(RemovedRepository::delete);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the kept copy of a repository could not be removed");
                false
            }
        }
    }

    /// Verifies that `commit` is signed as `policy` asks. Returns the signer. The commit is fetched again if the cached
    /// repository has lost it: documents are also known from memory.
    pub(crate) async fn verify(
        &self,
        commit: &Commit,
        reference: &GitReference,
        policy: &SignaturePolicy,
    ) -> Result<String, SourceFault> {
        let Contents { kept, .. } = &mut *self.contents.lock().await;
        let kept = &*kept;
        let _counted = KeptBytes { kept, bytes: &self.kept_bytes };
        let place = CommitDirectory { commit, reference, part: &WorkspacePart::default() };
        let verify = async |program: &Program| {
            documents::bring(program, &self.limits, kept, place).await?;
            signature::verify(program, kept, commit, reference, policy).await
        };
        let verify = async || {
            let outcome = verify(self.programs.usual()).await;
            match self.programs.after(&outcome).await {
                Some((large, _turn)) => self.programs.in_time(verify(large)).await,
                None => outcome,
            }
        };
        let outcome = verify().await;
        let Err(SourceFault::Git(GitFault::KeptCopy(reason))) = &outcome else { return outcome };
        tracing::warn!(reason, "the kept copy of a repository is fetched anew");
        kept.discard().await?;
        verify().await
    }

    /// Forgets what was read, and takes the cached repository from its place. Returns what is yet to be deleted.
    pub(crate) async fn forget(&self) -> Option<RemovedRepository> {
        let Contents { kept, trees } = &mut *self.contents.lock().await;
        trees.clear();
        kept.take_away().unwrap_or_else(|error| {
            tracing::debug!(%error, "the kept copy of a repository could not be removed");
            None
        })
    }
}
