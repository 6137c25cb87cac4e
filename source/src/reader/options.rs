//! The options of a [`Reader`](crate::Reader).

use std::path::PathBuf;

use crate::egress::Egress;
use crate::git::GitSetup;
use crate::hosts::{Jitter, Proxy};
use crate::limits::Limits;

/// Options of a [`Reader`](crate::Reader).
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    /// The directory of cached repositories, for one process at a time. Without it, they are in a temporary directory
    /// and are removed with the reader. What an earlier process has left there is used again, or removed after an hour.
    pub cache_dir: Option<PathBuf>,
    /// The largest cost of a source.
    pub limits: Limits,
    /// The memory of what is remembered of all sources together, so that a change costs only what it changes. What there is
    /// no memory for is read from the disk. Default: 64 MiB.
    pub remembered_bytes: u64,
    /// Access to sources on this machine's disk.
    pub file_sources: FileSources,
    /// The git with which repositories are opened.
    pub git: GitSetup,
    /// The addresses that sources may have.
    pub egress: Egress,
    /// The proxy for https hosts, instead of the one in git's settings and the environment (`HTTPS_PROXY`, `NO_PROXY`).
    pub proxy: Option<Proxy>,
    /// Spreads the end of backoffs. The default does not.
    pub jitter: Jitter,
}

/// Access to sources on this machine's disk: bare paths, `file:`, and `git+file:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSources {
    /// Allowed, as for a person or a process with a disk of its own.
    Allowed,
    /// Refused, as for an operator, whose disk is not that of the source's author.
    Refused,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self {
            cache_dir: None,
            limits: Limits::default(),
            remembered_bytes: 64 << 20,
            file_sources: FileSources::Allowed,
            git: GitSetup::Own,
            egress: Egress::default(),
            proxy: None,
            jitter: || 0.0,
        }
    }
}
