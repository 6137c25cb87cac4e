//! What can go wrong between a source and its files: which operation failed, on which source, and whether trying again
//! helps. No message carries a secret: addresses are shown without user, password, and query.

mod archive;
mod content;
mod git;
mod layers;

use std::time::Duration;

pub use crate::error::archive::ArchiveFault;
pub use crate::error::content::ContentFault;
pub use crate::error::git::GitFault;
pub use crate::error::layers::LayerFault;

/// A source that could not be pinned or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {at} failed: {fault}")]
pub struct SourceError {
    operation: Operation,
    at: String,
    fault: SourceFault,
    retry_after: Option<Duration>,
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Prepare,
    Pin,
    Fetch,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepare => "making the cache directory",
            Self::Pin => "finding the commit of",
            Self::Fetch => "reading",
        })
    }
}

impl SourceError {
    pub(crate) fn new(operation: Operation, at: &impl ToString, fault: impl Into<SourceFault>) -> Self {
        Self { operation, at: at.to_string(), fault: fault.into(), retry_after: None }
    }

    /// The same, of a host that is left alone for so long.
    pub(crate) fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    /// The source, as it may be shown.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    /// What went wrong.
    #[must_use]
    pub fn fault(&self) -> &SourceFault {
        &self.fault
    }

    /// Whether the same request may succeed later although nobody changes the source, its content, or the settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.fault.is_transient()
    }

    /// How long there is no use in trying again, where that is known: the host said so, or it has failed too often.
    /// Meanwhile it is not asked.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// A short name of the fault, for conditions, metrics, and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }
}

/// What went wrong, apart from where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceFault {
    /// A path of this machine, where only addresses are allowed.
    #[error("sources on this machine's disk are switched off: the operator reads them only with --allow-file-sources")]
    FileSourcesOff,
    /// A `kubernetes://` source.
    #[error("a kubernetes source is followed by a running process and has no files to read")]
    Followed,
    /// The disk of this machine failed, or does not let us.
    #[error("{path}: {error}")]
    Disk {
        /// The file or directory.
        path: String,
        /// The words of the operating system.
        error: String,
    },
    /// What the source holds is refused.
    #[error(transparent)]
    Content(#[from] ContentFault),
    /// Git did not deliver.
    #[error(transparent)]
    Git(#[from] GitFault),
    /// An archive could not be had.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// What the workspace extends can't be followed.
    #[error(transparent)]
    Layers(#[from] LayerFault),
    /// A workspace that it extends could not be read.
    #[error("it extends {at}, and {fault}")]
    Parent {
        /// The source of the parent, as it may be shown.
        at: String,
        /// What is wrong with that.
        fault: Box<SourceFault>,
    },
}

impl SourceFault {
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Git(fault) => fault.is_transient(),
            Self::Archive(fault) => fault.is_transient(),
            Self::Parent { fault, .. } => fault.is_transient(),
            Self::Disk { .. } => true,
            Self::Content(_) | Self::Layers(_) | Self::FileSourcesOff | Self::Followed => false,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::FileSourcesOff => "file_sources_off",
            Self::Followed => "not_readable",
            Self::Disk { .. } => "disk_failed",
            Self::Content(fault) => fault.code(),
            Self::Git(fault) => fault.code(),
            Self::Archive(fault) => fault.code(),
            Self::Layers(fault) => fault.code(),
            Self::Parent { fault, .. } => fault.code(),
        }
    }
}
