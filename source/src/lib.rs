//! Turns a source string into the documents of a workspace with an identity.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use rototo_source::{Reader, ReaderOptions, Source};
//!
//! let source: Source = "git+https://git.example.com/acme/runtime-config.git#main:workspaces/prod".parse()?;
//! let reader = Reader::new(ReaderOptions::default())?;
//! let pinned = reader.pin(&source).await?;
//! let tree = reader.fetch(&pinned).await?;
//! println!("{:?} is {}", pinned.revision(), tree.fingerprint());
//! # Ok(())
//! # }
//! ```
//!
//! - [`Source`] is the grammar: pure, and strict.
//! - [`Reader`] reads directories, git repositories, and archives within [`Limits`], with the layers that they extend.
//!   It sends one request and one transfer per repository at a time, however many callers there are.
//! - [`HttpClient`] sends one request by the rules that hold for archives.
//! - [`snapshot`] packs a tree into the archive that the operator serves, and unpacks it without trust.
//! - [`SnapshotStore`] keeps trees on the disk under their fingerprints.
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(feature = "archives")]
mod archive;
#[cfg(not(feature = "archives"))]
#[path = "archive/absent.rs"]
mod archive;
mod credentials;
#[cfg(feature = "archives")]
mod egress;
#[cfg(not(feature = "archives"))]
#[path = "egress/absent.rs"]
mod egress;
mod error;
mod git;
mod hosts;
mod limits;
mod pinned_source;
mod reader;
#[cfg(feature = "archives")]
mod request;
mod signatures;
pub mod snapshot;
mod spec;
mod workspace_part;

#[cfg(all(fuzzing, feature = "archives"))]
pub use archive::unpack_archive;
pub use credentials::{Access, Credentials, InvalidCredentials};
pub use egress::Egress;
#[cfg(feature = "archives")]
pub use egress::{EgressRules, Lookup};
#[cfg(feature = "archives")]
pub use error::RequestFault;
pub use error::{
    ArchiveFault, ContentFault, GitFault, LayerFault, RefusedAddress, RefusedBecause, SignatureFault, SourceError,
    SourceFault, UntrustedObject,
};
pub use git::{CommitInfo, GitRequest, GitSetup};
pub use hosts::{InvalidProxy, Jitter, Proxy};
pub use limits::Limits;
pub use pinned_source::{Layer, PinnedSource, Version};
pub use reader::{
    FileSources, MAX_LAYERS, Reader, ReaderOptions, read_directory, read_directory_with_tests, read_document,
};
#[cfg(feature = "archives")]
pub use request::{AnswerLimits, HttpAddress, HttpAnswer, HttpClient, InvalidAddress};
pub use signatures::{InvalidSigners, SignaturePolicy, SignedObject};
pub use snapshot::{SnapshotStore, StoreError};
pub use spec::{
    ArchiveFormat, ArchiveSource, Commit, GitReference, GitSource, InvalidCommit, InvalidReference, InvalidRevision,
    InvalidSource, InvalidSubdirectory, InvalidUrl, RemoteUrl, Revision, Source, Subdirectory,
};
