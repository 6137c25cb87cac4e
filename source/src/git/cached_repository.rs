//! The bare repository of one remote on this machine's disk: a cache, which is never the truth.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rototo_engine::Digest;

use crate::error::{GitFault, SourceFault};
use crate::spec::{Commit, GitReference};

use crate::git::failure::is_refused_by_name;
use crate::git::objects::ObjectId;
use crate::git::packs::{PackFile, bytes_of_packs};
use crate::git::program::Program;
use crate::git::removal::RemovedRepository;
use crate::git::search::{Asked, Searches};

/// Git writes the filter of a fetch into the configuration, and would then use the network whenever an object is
/// missing. So every fetch restores this configuration.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

/// Every fetch leaves a pack or two, and git searches all of them. Beyond this many fetches a fresh copy is cheaper
/// than repacking.
const MAX_FETCHES: usize = 200;

/// The objects of one remote, as far as they were needed.
pub(super) struct CachedRepository {
    path: PathBuf,
    /// The most bytes of packs. Nothing is removed from a repository, so a larger one is made anew.
    max_bytes: u64,
    searches: Searches,
}

impl CachedRepository {
    pub(super) fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self { path, max_bytes, searches: Searches::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the bytes of the packs, finished or not.
    pub(super) fn bytes(&self) -> u64 {
        bytes_of_packs(&self.path)
    }

    /// Makes the repository if it does not exist, has had too many fetches, or is too large.
    pub(super) async fn prepare(&self) -> Result<(), SourceFault> {
        self.remove_unfinished();
        let files = PackFile::all(&self.path);
        let bytes = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        let count = files.iter().filter(|file| file.is_pack()).count();
        if count > 2 * MAX_FETCHES || bytes > self.max_bytes {
            tracing::debug!(path = %self.path.display(), count, bytes, "a cached repository has grown, and is fetched anew");
            self.discard().await?;
        }
        self.create().map_err(|error| self.disk(&error))
    }

    /// Writes the files of a bare repository. `git init` would copy the user's templates and hooks too.
    fn create(&self) -> io::Result<()> {
        if self.path.join("HEAD").exists() {
            return Ok(());
        }
        fs::create_dir_all(self.path.join("objects/pack"))?;
        fs::create_dir_all(self.path.join("refs"))?;
        fs::write(self.path.join("config"), CONFIG)?;
        fs::write(self.path.join("HEAD"), "ref: refs/heads/none\n")
    }

    /// Removes the repository, and waits until its files are deleted. Where nobody waits any more, they are deleted all
    /// the same, and a new repository has its place.
    pub(super) async fn discard(&self) -> Result<(), SourceFault> {
        if let Some(removed) = self.take_away()? {
            // Its place is free, whatever becomes of its files.
            let _ = tokio::task::spawn_blocking(|| removed.delete()).await;
        }
        Ok(())
    }

    /// Takes the repository from its place. Its files are yet to be deleted.
    pub(super) fn take_away(&self) -> Result<Option<RemovedRepository>, SourceFault> {
        self.searches.forget();
        RemovedRepository::take(&self.path).map_err(|error| self.disk(&error))
    }

    /// Removes what a fetch that was stopped has left behind, which may be as large as a whole transfer. No git writes to
    /// the repository meanwhile.
    fn remove_unfinished(&self) {
        PackFile::unfinished(&self.path).for_each(|file| file.remove());
    }

    /// Fetches `commit` with its directories, and with the files that changed since an earlier commit of the same ref.
    /// Those files are small, and fetching them at once saves a second request.
    pub(super) async fn bring_commit(
        &self,
        program: &Program,
        commit: &Commit,
        reference: &GitReference,
    ) -> Result<Asked, SourceFault> {
        let kept_ref = format!("refs/kept/{}", Digest::of(reference.to_string().as_bytes()));
        let filter = if self.path.join(&kept_ref).exists() { "--filter=blob:limit=256k" } else { "--filter=blob:none" };
        let by_name = format!("+{commit}:{kept_ref}");
        match self.fetch(program, &["--depth=1", filter], &[&by_name], &[]).await {
            Err(GitFault::Other(said)) if is_refused_by_name(&said) => {
                self.bring_reference(program, commit, reference, &kept_ref).await
            }
            other => other.map(|()| Asked::Now).map_err(SourceFault::from),
        }
    }

    /// Returns the fault of a commit that is missing although it [was to be fetched](Self::bring_commit).
    pub(super) fn missing(&self, commit: &Commit, reference: &GitReference, asked: Asked) -> SourceFault {
        self.searches.missing(commit, reference, asked).into()
    }

    /// Fetches a ref instead of a commit, for hosts that do not send commits by name. If the ref has moved on, the
    /// commit stays missing, and the next poll of the ref finds the current one.
    async fn bring_reference(
        &self,
        program: &Program,
        commit: &Commit,
        reference: &GitReference,
        kept_ref: &str,
    ) -> Result<Asked, SourceFault> {
        let sources: Vec<String> = match reference {
            GitReference::Default => vec!["HEAD".to_owned()],
            GitReference::Name(name) if name.starts_with("refs/") => vec![name.clone()],
            GitReference::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
            // The commit is somewhere in the history of any branch or tag, so the fetch takes all of it.
            GitReference::Commit(_) => Vec::new(),
        };
        for source in &sources {
            match self
                .fetch(program, &["--depth=1", "--filter=blob:none"], &[&format!("+{source}:{kept_ref}")], &[])
                .await
            {
                Err(GitFault::Other(said)) if is_refused_by_name(&said) => {}
                other => return other.map(|()| Asked::Now).map_err(SourceFault::from),
            }
        }
        if sources.is_empty() {
            let all = ["+refs/heads/*:refs/kept/heads/*", "+refs/tags/*:refs/kept/tags/*"];
            // A dry run fetches the objects and writes no refs. Each would be a file, and a host may have a million.
            let options = ["--dry-run", "--filter=blob:none"];
            let fetch = self.fetch(program, &options, &all, &[]);
            return self.searches.search(program.memory_bytes(), fetch).await.map_err(SourceFault::from);
        }
        Err(GitFault::NoCommit(commit.clone()).into())
    }

    /// Fetches the object of the tag `name` itself, and not only the commit that it names. Returns the ref that has it.
    pub(super) async fn bring_tag(&self, program: &Program, name: &str) -> Result<String, SourceFault> {
        let kept_ref = format!("refs/kept/tag-{}", Digest::of(name.as_bytes()));
        let refspec = format!("+refs/tags/{name}:{kept_ref}");
        self.fetch(program, &["--depth=1", "--filter=blob:none"], &[&refspec], &[]).await?;
        Ok(kept_ref)
    }

    /// Fetches single objects, in one request.
    pub(super) async fn bring_objects(&self, program: &Program, objects: &[ObjectId]) -> Result<(), SourceFault> {
        let list: String = objects.iter().map(|object| format!("{object}\n")).collect();
        self.fetch(program, &["--stdin", "--filter=blob:none"], &[], list.as_bytes()).await.map_err(SourceFault::from)
    }

    async fn fetch(
        &self,
        program: &Program,
        options: &[&str],
        refspecs: &[&str],
        stdin: &[u8],
    ) -> Result<(), GitFault> {
        // The fetch has to know that this remote has the objects which the filter left out.
        let mut arguments = vec!["-c", "remote.origin.promisor=true"];
        // A host assumes that whoever has a commit also has its files. So a fetch of files does not name our commits.
        if !stdin.is_empty() {
            arguments.extend(["-c", "fetch.negotiationAlgorithm=noop"]);
        }
        arguments.extend(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]);
        arguments.extend(options);
        arguments.extend(["--", "origin"]);
        arguments.extend(refspecs);
        let outcome = program.talk("fetch", Some(&self.path), &arguments, stdin).await;
        fs::write(self.path.join("config"), CONFIG).map_err(|error| GitFault::KeptCopy(error.to_string()))?;
        if outcome.is_err() {
            self.remove_unfinished();
        }
        outcome.map(|_| ())
    }

    fn disk(&self, error: &io::Error) -> SourceFault {
        SourceFault::Disk { path: self.path.display().to_string(), error: error.to_string() }
    }
}
