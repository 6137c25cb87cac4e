//! Reads workspaces out of archives behind HTTPS addresses.
//!
//! [`Archive`] is one archive behind one address, opened with one set of credentials. A pin downloads it, unless its
//! server confirms the last download. The download is a file without a name, which ends with the process, and it is
//! read as a stream: nothing of it is unpacked on the disk.

mod budget;
mod entries;
mod gzip;
mod http;
mod redirect;
mod unpack;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rototo_engine::Tree;
use tokio::sync::Mutex;

use crate::credentials::Credentials;
use crate::egress::{Egress, Routes};
use crate::error::{ArchiveFault, SourceFault};
use crate::hosts::{Hosts, Proxy};
use crate::limits::Limits;
use crate::limits::memory::{HeldMemory, SharedMemory};
use crate::pinned_source::Version;
use crate::spec::{ArchiveFormat, ArchiveSource};
use crate::workspace_part::WorkspacePart;

use crate::archive::http::{ArchiveResponse, Download, Http};

/// One archive behind one address. The lock is a queue: a caller that waited finds the result of the one before.
pub(crate) struct Archive {
    http: Http,
    format: ArchiveFormat,
    limits: Limits,
    directory: PathBuf,
    memory: SharedMemory,
    state: Mutex<ArchiveState>,
    /// The bytes of the last download.
    kept_bytes: AtomicU64,
}

#[derive(Default)]
struct ArchiveState {
    last: Option<(Instant, Result<Version, ArchiveFault>)>,
    kept: Option<CachedArchive>,
}

/// The last download, and the trees that were read from it.
struct CachedArchive {
    version: Version,
    download: Download,
    trees: HashMap<WorkspacePart, (Tree, HeldMemory)>,
}

impl Archive {
    /// Makes the archive of `source`, whose downloads are in `directory`.
    pub(crate) fn new(
        source: &ArchiveSource,
        credentials: &Credentials,
        (egress, proxy): (&Egress, Option<&Proxy>),
        hosts: &Hosts,
        (directory, memory): (PathBuf, SharedMemory),
        limits: Limits,
    ) -> Result<Self, ArchiveFault> {
        let http = Http::new(source.url(), credentials, Routes::new(egress.clone(), proxy), hosts, &limits)?;
        Ok(Self {
            http,
            format: source.format(),
            limits,
            directory,
            memory,
            state: Mutex::default(),
            kept_bytes: AtomicU64::new(0),
        })
    }

    /// Returns the version of the archive, from a request that was made at `since` or later.
    pub(crate) async fn pin(&self, since: Instant) -> Result<Version, ArchiveFault> {
        let mut state = self.state.lock().await;
        match &state.last {
            Some((asked, answer)) if *asked >= since => answer.clone(),
            _ => self.revalidate(&mut state).await,
        }
    }

    /// Returns the bytes of the last download, which is on the disk.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.kept_bytes.load(Ordering::Relaxed)
    }

    /// Removes the last download, unless it is being used.
    pub(crate) fn discard(&self) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return false };
        state.kept = None;
        self.kept_bytes.store(0, Ordering::Relaxed);
        true
    }

    /// Returns the documents of a workspace in `version`.
    pub(crate) async fn fetch(&self, version: &Version, part: WorkspacePart) -> Result<Tree, SourceFault> {
        let mut state = self.state.lock().await;
        if state.kept.is_none() {
            self.revalidate(&mut state).await?;
        }
        let Some(kept) = state.kept.as_mut().filter(|kept| kept.version == *version) else {
            return Err(ArchiveFault::Changed.into());
        };
        if let Some((tree, _)) = kept.trees.get(&part) {
            return Ok(tree.clone());
        }
        let file = kept.download.file.try_clone().map_err(|error| self.disk(&error.to_string()))?;
        let tree = self.unpack(file, part.clone()).await?;
        let bytes = tree.iter().map(|(_, document)| document.bytes.len()).sum();
        if let Some(held) = self.memory.take(bytes) {
            kept.trees.insert(part, (tree.clone(), held));
        }
        Ok(tree)
    }

    async fn revalidate(&self, state: &mut ArchiveState) -> Result<Version, ArchiveFault> {
        let asked = Instant::now();
        let known = state.kept.as_ref().and_then(|kept| kept.download.etag.as_ref());
        let answer = match self.http.get(known, &self.directory).await {
            Ok(ArchiveResponse::Fresh(download)) => {
                let version = download.version();
                let bytes = download.file.metadata().map_or(0, |data| data.len());
                self.kept_bytes.store(bytes, Ordering::Relaxed);
                if state.kept.as_ref().is_none_or(|kept| kept.version != version) {
                    state.kept = Some(CachedArchive { version: version.clone(), download, trees: HashMap::new() });
                }
                Ok(version)
            }
            Ok(ArchiveResponse::Unchanged) => {
                state.kept.as_ref().map(|kept| kept.version.clone()).ok_or(ArchiveFault::Status(304))
            }
            Err(ArchiveFault::LeftAlone) => {
                // A host in backoff was not asked, so the last fault is the better answer.
                let last = state.last.as_ref().and_then(|(_, answer)| answer.clone().err());
                return Err(last.unwrap_or(ArchiveFault::LeftAlone));
            }
            Err(fault) => Err(fault),
        };
        state.last = Some((asked, answer.clone()));
        answer
    }

    async fn unpack(&self, file: File, part: WorkspacePart) -> Result<Tree, SourceFault> {
        let (format, limits) = (self.format, self.limits.clone());
        let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(file, format, &part, &limits));
        unpacking.await.map_err(|error| self.disk(&error.to_string()))?
    }

    fn disk(&self, error: &str) -> SourceFault {
        SourceFault::Disk { path: self.directory.display().to_string(), error: error.to_owned() }
    }
}

/// Reads the documents of an archive in memory. For fuzzing.
///
/// # Errors
/// When the bytes are not an archive, or hold an entry that is refused.
#[cfg(any(fuzzing, test))]
pub fn unpack_archive(bytes: &[u8], format: ArchiveFormat, limits: &Limits) -> Result<Tree, SourceFault> {
    let failed = |error: std::io::Error| ArchiveFault::Damaged(error.to_string());
    let mut file = tempfile::tempfile().map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    unpack::unpack(file, format, &WorkspacePart::default(), limits)
}
