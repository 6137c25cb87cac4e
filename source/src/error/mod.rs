//! The errors of reading a source: which operation failed, on which source, and whether trying again helps. No message
//! holds a secret: addresses are shown without user, password, and query.

mod archive;
mod content;
mod egress;
mod folded;
mod git;
mod layers;
#[cfg(feature = "archives")]
mod request;
mod signature;

use std::time::Duration;

pub use crate::error::archive::ArchiveFault;
pub use crate::error::content::ContentFault;
pub(crate) use crate::error::egress::EgressFault;
pub use crate::error::egress::{RefusedAddress, RefusedBecause};
pub(crate) use crate::error::folded::folded;
pub use crate::error::git::GitFault;
pub use crate::error::layers::LayerFault;
#[cfg(feature = "archives")]
pub use crate::error::request::RequestFault;
pub use crate::error::signature::{SignatureFault, UntrustedObject};

/// A source that could not be pinned or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {at} failed: {fault}")]
pub struct SourceError {
    operation: Operation,
    at: String,
    fault: SourceFault,
    retry_after: Option<Duration>,
    /// The size of an error is limited.
    extends_entry: Option<u32>,
}

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Prepare,
    Pin,
    Fetch,
    Verify,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepare => "making the cache directory",
            Self::Pin => "finding the commit of",
            Self::Fetch => "reading",
            Self::Verify => "verifying the signature of",
        })
    }
}

impl SourceError {
    pub(crate) fn new(operation: Operation, at: &impl ToString, fault: impl Into<SourceFault>) -> Self {
        Self { operation, at: at.to_string(), fault: fault.into(), retry_after: None, extends_entry: None }
    }

    /// Makes the error of a host in backoff, with the rest of the wait.
    pub(crate) fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    /// Adds the index of the entry of `extends` that was followed.
    pub(crate) fn with_extends_entry(self, extends_entry: Option<usize>) -> Self {
        Self { extends_entry: extends_entry.and_then(|entry| u32::try_from(entry).ok()), ..self }
    }

    /// Returns the index of the entry in `extends` of the workspace itself whose layers could not be read; `None` if the
    /// fault is no layer's.
    #[must_use]
    pub fn extends_entry(&self) -> Option<usize> {
        self.extends_entry.and_then(|entry| usize::try_from(entry).ok())
    }

    /// Returns the source, without secrets.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Returns the fault.
    #[must_use]
    pub fn fault(&self) -> &SourceFault {
        &self.fault
    }

    /// Returns whether the same request may succeed later although nobody changes the source, its content, or the
    /// settings.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.fault.is_transient()
    }

    /// Returns the wait before trying again makes sense, where it is known: the host asked for it, or has failed too
    /// often. No request is sent to the host before.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns a short name of the fault, for conditions, metrics, and tests.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }
}

/// The fault of a source, without its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceFault {
    /// A path of this machine, where only addresses are allowed.
    #[error("sources on this machine's disk are switched off: the operator reads them only with --allow-file-sources")]
    FileSourcesOff,
    /// A `kubernetes://` source.
    #[error("a kubernetes source is followed by a running process and has no files to read")]
    Followed,
    /// A git repository or an archive without a version, which a pin gives.
    #[error("the source has no version that could be read: it was not pinned")]
    NotPinned,
    /// The disk of this machine failed, or denies access.
    #[error("{path}: {error}")]
    Disk {
        /// The file or directory.
        path: String,
        /// The message of the operating system.
        error: String,
    },
    /// The content of the source is refused.
    #[error(transparent)]
    Content(#[from] ContentFault),
    /// The git repository could not be read.
    #[error(transparent)]
    Git(#[from] GitFault),
    /// The archive could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveFault),
    /// An entry of `extends` can't be followed.
    #[error(transparent)]
    Layers(#[from] LayerFault),
    /// The source is not signed by a trusted signer.
    #[error(transparent)]
    Signature(#[from] SignatureFault),
    /// A workspace that this one extends could not be read.
    #[error("it extends {at}, and {fault}")]
    Parent {
        /// The source of the parent, without secrets.
        at: String,
        /// The fault of the parent.
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
            Self::Content(_) | Self::Layers(_) | Self::Signature(_) => false,
            Self::FileSourcesOff | Self::Followed | Self::NotPinned => false,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::FileSourcesOff => "file_sources_off",
            Self::Followed => "not_readable",
            Self::NotPinned => "not_pinned",
            Self::Disk { .. } => "disk_failed",
            Self::Content(fault) => fault.code(),
            Self::Git(fault) => fault.code(),
            Self::Archive(fault) => fault.code(),
            Self::Layers(fault) => fault.code(),
            Self::Signature(fault) => fault.code(),
            Self::Parent { fault, .. } => fault.code(),
        }
    }
}
