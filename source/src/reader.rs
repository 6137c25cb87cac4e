//! Reads sources: first [`Reader::pin`], which finds out what a source is right now, then [`Reader::fetch`], which
//! brings exactly that.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rototo_engine::{Digest, Tree};
use tempfile::TempDir;

use crate::credentials::{Access, Credentials};
use crate::error::{Fault, Operation, SourceError};
use crate::git::{Program, Remote};
use crate::hosts::{Hosts, Jitter};
use crate::limits::Limits;
use crate::proxy::Proxy;
use crate::reference::{Commit, GitReference, Revision};
use crate::remote_url::{RemoteUrl, Scheme};
use crate::spec::{GitSource, Source};
use crate::{layers, local};

/// How a [`Reader`] works.
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    /// Where copies of git repositories are kept, for one process at a time. Without it they stand in a temporary
    /// directory and go with the reader.
    pub cache_dir: Option<PathBuf>,
    /// What a source may cost.
    pub limits: Limits,
    /// Whether sources on this machine's disk are read at all.
    pub file_sources: FileSources,
    /// Which proxy leads to https hosts, instead of what git's settings and the environment (`HTTPS_PROXY`,
    /// `NO_PROXY`) say.
    pub proxy: Option<Proxy>,
    /// Spreads the moments at which hosts that failed are asked again. The default does not.
    pub jitter: Jitter,
}

/// Whether bare paths, `file:` and `git+file:` are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSources {
    /// As a person or a process does with its own disk.
    Allowed,
    /// As an operator does, whose disk is not that of who names the source.
    Refused,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            cache_dir: None,
            limits: Limits::default(),
            file_sources: FileSources::Allowed,
            proxy: None,
            jitter: || 0.0,
        }
    }
}

/// What a source was at one time: for git a commit, for a directory just itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    access: Access,
    commit: Option<Commit>,
}

impl Pinned {
    /// The source.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.access.source()
    }

    /// The ref and its commit; `None` for sources that have no history.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        let Source::Git(git) = self.source() else { return None };
        let commit = self.commit.clone()?;
        Some(Revision::new(git.reference().clone(), commit))
    }

    /// Whether the source names its commit, so that there is never news of it.
    #[must_use]
    pub fn immutable(&self) -> bool {
        matches!(self.source(), Source::Git(git) if matches!(git.reference(), GitReference::Commit(_)))
    }
}

/// Reads sources, however many and at once. Share one: it asks a repository once for all who want to know the same,
/// and keeps what it has fetched.
pub struct Reader {
    directory: CacheDirectory,
    limits: Limits,
    file_sources: FileSources,
    proxy: Option<Proxy>,
    hosts: Hosts,
    remotes: Mutex<HashMap<(RemoteUrl, Credentials), Arc<Remote>>>,
}

enum CacheDirectory {
    Given(PathBuf),
    Temporary(TempDir),
}

impl CacheDirectory {
    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

impl Reader {
    /// A reader. Fails only if its directory can't be made.
    pub fn new(options: ReaderOptions) -> Result<Self, SourceError> {
        let ReaderOptions { cache_dir, limits, file_sources, proxy, jitter } = options;
        let failed = |path: String, error: std::io::Error| {
            let fault = Fault::Disk { path: path.clone(), error: error.to_string() };
            SourceError::new(Operation::Prepare, &path, fault)
        };
        let directory = match cache_dir {
            Some(path) => {
                std::fs::create_dir_all(&path).map_err(|error| failed(path.display().to_string(), error))?;
                CacheDirectory::Given(path)
            }
            None => TempDir::with_prefix("rototo-")
                .map(CacheDirectory::Temporary)
                .map_err(|error| failed(std::env::temp_dir().display().to_string(), error))?,
        };
        Ok(Self { directory, limits, file_sources, proxy, hosts: Hosts::new(jitter), remotes: Mutex::default() })
    }

    /// Finds out what a source is now. A [`Source`] is opened with the user's own set-up, an [`Access`] with the
    /// credentials in it.
    pub async fn pin(&self, access: impl Into<Access>) -> Result<Pinned, SourceError> {
        self.pin_within(access, Duration::ZERO).await
    }

    /// Finds out what a source is, where an answer that another got at most `age` ago will do. So a thousand workspaces
    /// of one repository cost one question per interval.
    pub async fn pin_within(&self, access: impl Into<Access>, age: Duration) -> Result<Pinned, SourceError> {
        let access = access.into();
        let failed = |fault| self.failure(Operation::Pin, access.source(), fault);
        self.admit(access.source()).map_err(failed)?;
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        let commit = match access.source() {
            Source::Git(git) => {
                let remote = self.remote(git, access.credentials());
                Some(remote.pin(git.reference(), since).await.map_err(|fault| failed(fault.into()))?)
            }
            Source::Local(_) | Source::Archive(_) | Source::Kubernetes { .. } => None,
        };
        Ok(Pinned { access, commit })
    }

    /// Brings the documents of what was pinned.
    pub async fn fetch(&self, pinned: &Pinned) -> Result<Tree, SourceError> {
        let failed = |fault| self.failure(Operation::Fetch, pinned.source(), fault);
        self.admit(pinned.source()).map_err(failed)?;
        let tree = match (pinned.source(), &pinned.commit) {
            (Source::Git(git), Some(commit)) => {
                let remote = self.remote(git, pinned.access.credentials());
                remote.fetch(commit, git.reference(), git.subdirectory()).await
            }
            (Source::Local(path), _) => self.read_local(path.clone()).await,
            (Source::Git(_) | Source::Archive(_) | Source::Kubernetes { .. }, _) => Err(Fault::Followed),
        };
        tree.and_then(layers::refuse).map_err(failed)
    }

    /// Both at once, for who reads a source a single time.
    pub async fn read(&self, access: impl Into<Access>) -> Result<(Pinned, Tree), SourceError> {
        let pinned = self.pin(access).await?;
        let tree = self.fetch(&pinned).await?;
        Ok((pinned, tree))
    }

    /// Whether this reader reads such a source.
    fn admit(&self, source: &Source) -> Result<(), Fault> {
        match source {
            Source::Local(_) if self.file_sources == FileSources::Refused => Err(Fault::FileSourcesOff),
            Source::Git(git) if git.remote().scheme() == Scheme::File && self.file_sources == FileSources::Refused => {
                Err(Fault::FileSourcesOff)
            }
            Source::Local(_) | Source::Git(_) => Ok(()),
            Source::Archive(_) => Err(Fault::NotYet("archives over https")),
            Source::Kubernetes { .. } => Err(Fault::Followed),
        }
    }

    fn failure(&self, operation: Operation, source: &Source, fault: Fault) -> SourceError {
        let host = match source {
            Source::Git(git) => Some(git.remote().host()),
            Source::Archive(archive) => Some(archive.url().host()),
            Source::Local(_) | Source::Kubernetes { .. } => None,
        };
        let error = SourceError::new(operation, source, fault);
        let wait = host.filter(|_| error.is_transient()).and_then(|host| self.hosts.wait(host));
        error.with_retry_after(wait)
    }

    /// The repository of `source`. Each set of credentials has its own, so nobody gets what another may see.
    fn remote(&self, source: &GitSource, credentials: &Credentials) -> Arc<Remote> {
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.remote().clone(), credentials.clone());
        let remote = remotes.entry(key).or_insert_with(|| {
            let url = source.remote();
            let opened = credentials.for_address(url).digest();
            let name = Digest::of(format!("{opened} {}", url.without_secrets()).as_bytes());
            let kept = self.directory.path().join(format!("{name}.git"));
            let program = Program::new(url, credentials, self.proxy.clone(), &self.hosts, &self.limits);
            Arc::new(Remote::new(program, kept, self.limits.clone()))
        });
        Arc::clone(remote)
    }

    async fn read_local(&self, path: PathBuf) -> Result<Tree, Fault> {
        let limits = self.limits.clone();
        let shown = path.display().to_string();
        let reading = tokio::task::spawn_blocking(move || local::read(&path, &limits));
        reading.await.map_err(|error| Fault::Disk { path: shown, error: error.to_string() })?
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("directory", &self.directory.path()).finish_non_exhaustive()
    }
}
