//! Reads one source of any kind, without its layers: one match for each operation.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rototo_engine::{Digest, Tree};

use crate::archive::Archive;
use crate::credentials::{Access, Credentials};
use crate::egress::Egress;
use crate::error::{SignatureFault, SourceError, SourceFault};
use crate::git::{CommitInfo, GitRequest, GitSetup, MemoryTurn, Program, Remote, RemovedRepository, Requests};
use crate::hosts::{Hosts, Proxy, Recent};
use crate::limits::Limits;
use crate::limits::layout::ReadScope;
use crate::limits::memory::SharedMemory;
use crate::pinned_source::{Layer, Version};
use crate::reader::cache::{self, CacheDirectory, Leftovers};
use crate::reader::charged::{Charged, ChargedCopy, KeptCopy, take_first_to_go};
use crate::reader::local;
use crate::reader::options::{FileSources, ReaderOptions};
use crate::signatures::SignaturePolicy;
use crate::spec::{ArchiveSource, GitSource, RemoteUrl, Source, Subdirectory};
use crate::workspace_part::WorkspacePart;

/// The reader of single sources: the cache, the limits, and the hosts that all of them share.
pub(crate) struct SingleReader {
    directory: CacheDirectory,
    leftovers: Leftovers,
    limits: Limits,
    memory: SharedMemory,
    git_memory: MemoryTurn,
    file_sources: FileSources,
    git: GitSetup,
    egress: Egress,
    proxy: Option<Proxy>,
    hosts: Hosts,
    requests: Arc<Requests>,
    /// By the names of their directories, so that each directory has one lock.
    remotes: Mutex<Recent<Digest, Shared<Remote>>>,
    archives: Mutex<Recent<(RemoteUrl, Credentials), Shared<Archive>>>,
}

/// Something that callers share, with those who are charged for it.
type Shared<T> = (Arc<T>, Charged);

impl SingleReader {
    pub(crate) fn new(options: ReaderOptions) -> Result<Self, SourceError> {
        let ReaderOptions { cache_dir, limits, remembered_bytes, file_sources, git, egress, proxy, jitter } = options;
        let memory = SharedMemory::new(remembered_bytes);
        let directory = CacheDirectory::open(cache_dir)?;
        let leftovers = Leftovers::find(directory.path());
        let hosts = Hosts::new(jitter);
        let (remotes, archives) = (Mutex::default(), Mutex::default());
        let requests = Arc::default();
        let git_memory = MemoryTurn::default();
        Ok(Self {
            directory,
            leftovers,
            limits,
            memory,
            git_memory,
            file_sources,
            git,
            egress,
            proxy,
            hosts,
            requests,
            remotes,
            archives,
        })
    }

    /// Pins a source, by a request that was made at `since` or later.
    pub(crate) async fn pin(&self, access: &Access, since: Instant) -> Result<Layer, SourceFault> {
        self.admit(access.source())?;
        let version = match access.source() {
            Source::Git(git) => {
                let remote = self.remote(git, access.credentials()).await;
                Some(Version::Commit(remote.pin(git.reference(), since).await?))
            }
            Source::Local(_) => None,
            Source::Archive(archive) => Some(self.archive(archive, access.credentials())?.pin(since).await?),
            Source::Kubernetes { .. } => return Err(SourceFault::Followed),
        };
        Ok(Layer::new(access.clone(), version))
    }

    /// Returns the time of the first answer that named the commit of a layer; `None` where it has none, or was not
    /// asked for.
    pub(crate) async fn named_since(&self, layer: &Layer) -> Option<Instant> {
        let (Source::Git(git), Some(commit)) = (layer.source(), layer.commit()) else { return None };
        let remote = self.remote(git, layer.access().credentials()).await;
        remote.named_since(git.reference(), commit).await
    }

    /// Returns the time of the request whose answer is the last about a layer; `None` for a layer that no git host was
    /// asked for.
    pub(crate) async fn asked_at(&self, layer: &Layer) -> Option<Instant> {
        let Source::Git(git) = layer.source() else { return None };
        self.remote(git, layer.access().credentials()).await.asked_at(git.reference()).await
    }

    /// Returns the documents of a source at its version.
    pub(crate) async fn read(&self, layer: &Layer) -> Result<Tree, SourceFault> {
        self.admit(layer.source())?;
        let scope = if layer.access().reads_tests() { ReadScope::WithTests } else { ReadScope::Documents };
        let part = |subdirectory: Option<&Subdirectory>| WorkspacePart { subdirectory: subdirectory.cloned(), scope };
        match (layer.source(), layer.version()) {
            (Source::Git(git), Some(Version::Commit(commit))) => {
                let remote = self.remote(git, layer.access().credentials()).await;
                remote.fetch(commit, git.reference(), &part(git.subdirectory())).await
            }
            (Source::Local(path), _) => self.read_local(path.clone(), scope).await,
            (Source::Archive(archive), Some(version)) => {
                let kept = self.archive(archive, layer.access().credentials())?;
                kept.fetch(version, part(archive.subdirectory())).await
            }
            (Source::Git(_) | Source::Archive(_), _) => Err(SourceFault::NotPinned),
            (Source::Kubernetes { .. }, _) => Err(SourceFault::Followed),
        }
    }

    /// Returns the words of a layer's commit, if its documents were read.
    pub(crate) async fn commit_info(&self, layer: &Layer) -> Option<CommitInfo> {
        let (Source::Git(git), Some(commit)) = (layer.source(), layer.commit()) else { return None };
        self.remote(git, layer.access().credentials()).await.info(commit)
    }

    /// Verifies the signatures of a layer that was read. Returns the signer.
    pub(crate) async fn verify(&self, layer: &Layer, policy: &SignaturePolicy) -> Result<String, SourceFault> {
        match (layer.source(), layer.commit()) {
            (Source::Git(git), Some(commit)) => {
                let remote = self.remote(git, layer.access().credentials()).await;
                remote.verify(commit, git.reference(), policy).await
            }
            _ => Err(SignatureFault::NoGit.into()),
        }
    }

    /// Returns the canonical name of a source, which on this machine's disk may have several.
    pub(crate) async fn place(&self, source: &Source) -> Source {
        match source {
            Source::Local(path) => Source::Local(tokio::fs::canonicalize(path).await.unwrap_or_else(|_| path.clone())),
            Source::Git(_) | Source::Archive(_) | Source::Kubernetes { .. } => source.clone(),
        }
    }

    /// Returns the rest of the backoff of the source's host.
    pub(crate) fn wait(&self, access: &Access) -> Option<Duration> {
        let url = match access.source() {
            Source::Git(git) => git.remote(),
            Source::Archive(archive) => archive.url(),
            Source::Local(_) | Source::Kubernetes { .. } => return None,
        };
        self.hosts.wait(access.credentials().host_key(url))
    }

    /// Returns the number of requests to git hosts.
    pub(crate) fn git_requests(&self) -> Vec<(GitRequest, u64)> {
        self.requests.all()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Refuses a source on this machine's disk where that is off.
    fn admit(&self, source: &Source) -> Result<(), SourceFault> {
        match self.file_sources {
            FileSources::Refused if source.is_on_disk() => Err(SourceFault::FileSourcesOff),
            FileSources::Refused | FileSources::Allowed => Ok(()),
        }
    }

    /// Returns the repository of `source`. Each set of credentials has its own, so that nobody gets what another may
    /// see.
    async fn remote(&self, source: &GitSource, credentials: &Credentials) -> Arc<Remote> {
        let now = Instant::now();
        let (remote, forgotten) = self.lookup(source, credentials, now);
        let mut removed = self.leftovers.forget(now);
        for forgotten in forgotten {
            removed.extend(forgotten.forget().await);
        }
        cache::delete_beside(removed);
        remote
    }

    fn lookup(&self, source: &GitSource, credentials: &Credentials, now: Instant) -> (Arc<Remote>, Vec<Arc<Remote>>) {
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        let url = source.remote();
        let opened = credentials.for_address(url).digest();
        let user = url.user().unwrap_or_default();
        let name = Digest::of(format!("{opened} {user} {}", url.without_secrets()).as_bytes());
        if let Some((remote, charged)) = remotes.touch(&name, now) {
            charged.note(now);
            let remote = remote.clone();
            return (remote, forgotten(&mut remotes, now));
        }
        self.leftovers.take(&name);
        let kept = cache::repository(self.directory.path(), &name);
        let (way, requests) = ((self.git, self.egress.clone(), self.proxy.clone()), self.requests.clone());
        let program = Program::new(url, credentials, way, &self.hosts, requests, &self.limits);
        let remote =
            Arc::new(Remote::new(program, kept, self.limits.clone(), (self.memory.clone(), self.git_memory.clone())));
        let mut charged = Charged::default();
        charged.note(now);
        remotes.insert(name, (Arc::clone(&remote), charged), now);
        (remote, forgotten(&mut remotes, now))
    }

    /// Returns the archive of `source`, which belongs to these credentials alone.
    fn archive(&self, source: &ArchiveSource, credentials: &Credentials) -> Result<Arc<Archive>, SourceFault> {
        let now = Instant::now();
        let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        // A file without a name is removed with its last user.
        archives.forget(now);
        let key = (source.url().clone(), credentials.clone());
        if let Some((archive, charged)) = archives.touch(&key, now) {
            charged.note(now);
            return Ok(Arc::clone(archive));
        }
        let kept = (self.directory.path().to_owned(), self.memory.clone());
        let limits = self.limits.clone();
        let archive =
            Archive::new(source, credentials, (&self.egress, self.proxy.as_ref()), &self.hosts, kept, limits)?;
        let archive = Arc::new(archive);
        let mut charged = Charged::default();
        charged.note(now);
        archives.insert(key, (Arc::clone(&archive), charged), now);
        Ok(archive)
    }

    /// Returns the bytes on the disk that are charged to `owner`.
    pub(crate) fn kept_bytes(&self, owner: &str) -> u64 {
        self.kept_for(owner).iter().map(|(_, copy)| copy.bytes()).sum()
    }

    /// Returns the copies that are charged to `owner`, the one that it has not asked for for the longest time first.
    fn kept_for(&self, owner: &str) -> Vec<(Instant, KeptCopy)> {
        let mut copies = self.copies(|charged| charged.asked_by(owner));
        copies.sort_by_key(|(asked, _)| *asked);
        copies
    }

    /// Returns the copies for whose owners `select` returns something, with that.
    fn copies<T>(&self, select: impl Fn(&Charged) -> Option<T>) -> Vec<(T, KeptCopy)> {
        let mut copies = Vec::new();
        let remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        let of_git = remotes.values().filter_map(|(remote, charged)| {
            select(charged).map(|selected| (selected, KeptCopy::Git(Arc::clone(remote))))
        });
        copies.extend(of_git);
        drop(remotes);
        let archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
        let of_archives = archives.values().filter_map(|(archive, charged)| {
            select(charged).map(|selected| (selected, KeptCopy::Archive(Arc::clone(archive))))
        });
        copies.extend(of_archives);
        copies
    }

    /// Returns the bytes of all copies, also those of an earlier process.
    pub(crate) fn kept_bytes_of_all(&self) -> u64 {
        let copies = self.copies(|_| Some(()));
        copies.iter().map(|((), copy)| copy.bytes()).sum::<u64>() + self.leftovers.bytes()
    }

    /// Removes copies until at most `bytes` are kept: those of nobody first, then those of the owners who have the most.
    /// Returns their number.
    pub(crate) fn evict_of_all(&self, bytes: u64) -> usize {
        let copies = self.copies(|charged| Some(charged.clone())).into_iter();
        let copies = copies.map(|(charged, copy)| ChargedCopy { bytes: copy.bytes(), copy, charged });
        let mut copies: Vec<_> = copies.filter(|copy| copy.bytes > 0).collect();
        let mut kept: u64 = copies.iter().map(|copy| copy.bytes).sum();
        let (mut evicted, removed) = self.leftovers.evict(bytes.saturating_sub(kept));
        removed.into_iter().for_each(RemovedRepository::delete);
        while kept > bytes {
            let Some(first) = take_first_to_go(&mut copies) else { break };
            if first.copy.discard() {
                kept -= first.bytes;
                evicted += 1;
            }
        }
        evicted
    }

    /// Removes copies that are charged to `owner` until at most `bytes` are. Returns their number.
    pub(crate) fn evict(&self, owner: &str, bytes: u64) -> usize {
        let copies = self.kept_for(owner);
        let mut charged: u64 = copies.iter().map(|(_, copy)| copy.bytes()).sum();
        let mut evicted = 0;
        for (_, copy) in copies {
            let own = copy.bytes();
            if charged <= bytes {
                break;
            }
            if own == 0 {
                continue;
            }
            if !self.is_charged_to_others(&copy, owner) && !copy.discard() {
                continue;
            }
            self.forget(&copy, owner);
            charged = charged.saturating_sub(own);
            evicted += 1;
        }
        evicted
    }

    fn is_charged_to_others(&self, copy: &KeptCopy, owner: &str) -> bool {
        self.with_charged(copy, |charged| charged.is_charged_to_others(owner)).unwrap_or(false)
    }

    fn forget(&self, copy: &KeptCopy, owner: &str) {
        self.with_charged(copy, |charged| charged.forget(owner));
    }

    fn with_charged<T>(&self, copy: &KeptCopy, with: impl FnOnce(&mut Charged) -> T) -> Option<T> {
        match copy {
            KeptCopy::Git(remote) => {
                let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
                let found = remotes.values_mut().find(|(known, _)| Arc::ptr_eq(known, remote));
                found.map(|(_, charged)| with(charged))
            }
            KeptCopy::Archive(archive) => {
                let mut archives = self.archives.lock().unwrap_or_else(PoisonError::into_inner);
                let found = archives.values_mut().find(|(known, _)| Arc::ptr_eq(known, archive));
                found.map(|(_, charged)| with(charged))
            }
        }
    }

    async fn read_local(&self, path: PathBuf, scope: ReadScope) -> Result<Tree, SourceFault> {
        let limits = self.limits.clone();
        let shown = path.display().to_string();
        let reading = tokio::task::spawn_blocking(move || local::read(&path, scope, &limits));
        reading.await.map_err(|error| SourceFault::Disk { path: shown, error: error.to_string() })?
    }
}

fn forgotten(remotes: &mut Recent<Digest, Shared<Remote>>, now: Instant) -> Vec<Arc<Remote>> {
    remotes.forget(now).into_iter().map(|(remote, _)| remote).collect()
}

#[cfg(test)]
#[path = "single_tests.rs"]
mod tests;
