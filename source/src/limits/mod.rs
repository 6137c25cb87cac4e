//! The limits of a source, and the account that a reader keeps while it reads.

pub(crate) mod layout;
pub(crate) mod memory;

use std::time::Duration;

use crate::error::ContentFault;

/// The largest cost of a source. A source beyond a limit is refused, and nothing of it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The time of one run of the git program. Default: 60 s.
    pub git_timeout: Duration,
    /// The memory of each process of git. A git that asks the user's own helpers has no limit. Default: 256 MiB; a
    /// transfer of 320 MiB with 200,000 files needed less than 128 MiB.
    pub git_memory_bytes: u64,
    /// The time of one HTTP request. Default: 30 s.
    pub http_timeout: Duration,
    /// The bytes of one transfer over the network. Default: 50 MiB.
    pub download_bytes: u64,
    /// The bytes of all documents of a workspace together. Default: 200 MiB.
    pub unpacked_bytes: u64,
    /// The number of entries in the directories of documents. Default: 10,000.
    pub entries: u64,
    /// The bytes of the listings of all directories of a git source together. A listing counts as often as a directory
    /// has it: thousands of directories may share one. Default: 16 MiB, five times what 10,000 entries with the longest
    /// names need.
    pub listing_bytes: u64,
    /// The disk of one cached repository. A larger one is fetched anew, as nothing is removed from it. Default: 128 MiB, for
    /// the two transfers that one reading needs at most, and some room.
    pub git_cache_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            git_timeout: Duration::from_secs(60),
            git_memory_bytes: 256 * MIB,
            http_timeout: Duration::from_secs(30),
            download_bytes: 50 * MIB,
            unpacked_bytes: 200 * MIB,
            entries: 10_000,
            listing_bytes: 16 * MIB,
            git_cache_bytes: 128 * MIB,
        }
    }
}

/// The most entries, with their directories, that are noticed in directories that only resemble those of documents. Lint
/// names such a directory by any document in it, so some are enough, and the rest is no fault of the source.
pub(crate) const HINT_ENTRIES: u64 = 1_000;

/// The most bytes of an entry in the listing of a directory: a long name, and the name of its object.
pub(crate) const ENTRY_BYTES: u64 = 300;

/// The rest of the limits while one source is read. It is asked before anything is allocated.
pub(crate) struct ReadBudget<'a> {
    limits: &'a Limits,
    entries: u64,
    bytes: u64,
    listings: u64,
}

impl<'a> ReadBudget<'a> {
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self { limits, entries: limits.entries, bytes: limits.unpacked_bytes, listings: limits.listing_bytes }
    }

    /// Accounts for one more entry of a directory.
    pub(crate) fn entry(&mut self) -> Result<(), ContentFault> {
        self.entries =
            self.entries.checked_sub(1).ok_or(ContentFault::TooManyEntries { limit: self.limits.entries })?;
        Ok(())
    }

    /// Accounts for `bytes` more of content.
    pub(crate) fn bytes(&mut self, bytes: u64) -> Result<(), ContentFault> {
        self.bytes =
            self.bytes.checked_sub(bytes).ok_or(ContentFault::TooLarge { limit: self.limits.unpacked_bytes })?;
        Ok(())
    }

    /// Accounts for the listing of one more directory. One alone has at most as many entries as are left, each with a
    /// long name.
    pub(crate) fn listing(&mut self, bytes: u64) -> Result<(), ContentFault> {
        if bytes > self.entries.saturating_mul(ENTRY_BYTES) {
            return Err(ContentFault::TooManyEntries { limit: self.limits.entries });
        }
        self.listings = self
            .listings
            .checked_sub(bytes)
            .ok_or(ContentFault::ListingsTooLarge { limit: self.limits.listing_bytes })?;
        Ok(())
    }
}
