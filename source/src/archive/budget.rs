//! The account of an archive while it is unpacked: that of its documents, and that of everything in it.
//!
//! An archive may be a whole repository, and nothing of it but the documents is kept. So the rest counts towards no limit
//! of documents. It takes time all the same, and has limits of its own.

use crate::error::{ArchiveFault, ContentFault};
use crate::limits::{Limits, ReadBudget};

/// The most bytes that an archive unpacks to, documents or not.
const ARCHIVE_BYTES: u64 = 256 << 20;

/// The most entries of an archive, documents or not. The directory of a zip archive is in memory at once, with some 250
/// bytes for each.
const ARCHIVE_ENTRIES: u64 = 50_000;

/// The most bytes that a document takes beyond its content.
const BYTES_PER_DOCUMENT: u64 = 4096;

/// The limits of a whole archive. They are never less than those of documents.
#[derive(Clone, Copy)]
pub(super) struct ArchiveLimits {
    /// The bytes that it unpacks to.
    pub(super) bytes: u64,
    entries: u64,
}

impl ArchiveLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        let overhead = limits.entries.saturating_add(1).saturating_mul(BYTES_PER_DOCUMENT);
        let of_documents = limits.unpacked_bytes.saturating_add(overhead);
        Self { bytes: ARCHIVE_BYTES.max(of_documents), entries: ARCHIVE_ENTRIES.max(limits.entries) }
    }

    pub(super) fn too_large(self) -> ArchiveFault {
        ArchiveFault::UnpacksTooLarge { limit: self.bytes }
    }
}

/// The rest of the limits while one archive is unpacked. It is asked before anything is allocated.
pub(super) struct ArchiveBudget<'a> {
    limits: ArchiveLimits,
    left: ArchiveLimits,
    documents: ReadBudget<'a>,
}

impl<'a> ArchiveBudget<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        let whole = ArchiveLimits::new(limits);
        Self { limits: whole, left: whole, documents: ReadBudget::new(limits) }
    }

    /// Accounts for a document of `bytes`.
    pub(super) fn document(&mut self, bytes: u64) -> Result<(), ContentFault> {
        self.documents.entry()?;
        self.documents.bytes(bytes)
    }

    /// Accounts for `bytes` of an entry, whatever it is.
    pub(super) fn bytes(&mut self, bytes: u64) -> Result<(), ArchiveFault> {
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or_else(|| self.limits.too_large())?;
        Ok(())
    }

    /// Accounts for one more entry, whatever it is.
    pub(super) fn entry(&mut self) -> Result<(), ArchiveFault> {
        let limit = self.limits.entries;
        self.left.entries = self.left.entries.checked_sub(1).ok_or(ArchiveFault::TooManyEntries { limit })?;
        Ok(())
    }
}
