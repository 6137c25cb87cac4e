//! The options of a [`Reader`](crate::Reader).

use std::path::PathBuf;

use crate::hosts::{Jitter, Proxy};
use crate::limits::Limits;

/// Options of a [`Reader`](crate::Reader).
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    /// Where copies of git repositories are kept, for one process at a time. Without it they stand in a temporary
    /// directory and go with the reader.
    pub cache_dir: Option<PathBuf>,
    /// What a source may cost.
    pub limits: Limits,
    /// Access to sources on this machine's disk.
    pub file_sources: FileSources,
    /// Which proxy leads to https hosts, instead of what git's settings and the environment (`HTTPS_PROXY`,
    /// `NO_PROXY`) say.
    pub proxy: Option<Proxy>,
    /// Spreads the moments at which hosts that failed are asked again. The default does not.
    pub jitter: Jitter,
}

/// Access to sources on this machine's disk: bare paths, `file:`, and `git+file:`.
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
