//! Replaces the archives in a build without the feature `archives`: every archive is refused with a fault that says so.

use std::path::PathBuf;
use std::time::Instant;

use rototo_engine::Tree;

use crate::credentials::Credentials;
use crate::egress::Egress;
use crate::error::{ArchiveFault, SourceFault};
use crate::hosts::{Hosts, Proxy};
use crate::limits::Limits;
use crate::limits::memory::SharedMemory;
use crate::pinned_source::Version;
use crate::spec::ArchiveSource;
use crate::workspace_part::WorkspacePart;

/// A type without values: an archive can't be made.
pub(crate) enum Archive {}

impl Archive {
    pub(crate) fn new(
        _: &ArchiveSource,
        _: &Credentials,
        _: (&Egress, Option<&Proxy>),
        _: &Hosts,
        _: (PathBuf, SharedMemory),
        _: Limits,
    ) -> Result<Self, ArchiveFault> {
        Err(ArchiveFault::NotBuilt)
    }

    pub(crate) async fn pin(&self, _: Instant) -> Result<Version, ArchiveFault> {
        match *self {}
    }

    pub(crate) fn kept_bytes(&self) -> u64 {
        match *self {}
    }

    pub(crate) fn discard(&self) -> bool {
        match *self {}
    }

    pub(crate) async fn fetch(&self, _: &Version, _: WorkspacePart) -> Result<Tree, SourceFault> {
        match *self {}
    }
}
