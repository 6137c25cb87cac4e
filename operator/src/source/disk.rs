//! The shares of the disk that namespaces have, for their snapshots and for the repositories and archives that are kept
//! for them.
//!
//! The kept content of a source can be transferred again, so it goes first: within a namespace what nobody has asked for for
//! the longest time, and among all of them what is kept for those who have the most. A snapshot goes only when no marker
//! and no process names it any more, which is for the room `reconcile` to say. So where snapshots alone fill a share, new
//! content is refused, and as nothing can be taken back, each namespace leaves room for the next: it has a
//! [part](PART) of what the others leave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rototo_source::Reader;
use tracing::debug;

use crate::load::metrics::LoadMetrics;
use crate::source::snapshots::Snapshots;

/// The time for which what is on the disk is not counted again. What is written meanwhile is added.
const COUNTED_FOR: Duration = Duration::from_secs(10);
/// A namespace's snapshots have at most this part of what those of the others leave.
const PART: u64 = 8;
/// Part of the disk that they have in any case while there is room, so that small workspaces change however many
/// namespaces there are.
const LEAST: u64 = 512;

/// The bytes of the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskLimits {
    /// The bytes of all namespaces together.
    pub(crate) total: u64,
    /// The bytes of one namespace.
    pub(crate) per_namespace: u64,
}

/// The shares of all namespaces.
#[derive(Debug)]
pub(crate) struct DiskShares {
    limits: DiskLimits,
    snapshots: Arc<Snapshots>,
    load: LoadMetrics,
    counted: Mutex<Option<Counted>>,
}

/// The bytes of the snapshots of each namespace.
#[derive(Debug)]
struct Counted {
    at: Instant,
    by_namespace: HashMap<String, u64>,
}

/// The snapshots of a namespace fill its share of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskFull {
    /// The bytes of its snapshots.
    pub bytes: u64,
    /// The bytes that they may have.
    pub share: u64,
    /// All namespaces together have so much that a share of the rest is less than the limit of one.
    pub by_all: bool,
}

impl std::error::Error for DiskFull {}

impl std::fmt::Display for DiskFull {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, share) = (self.bytes >> 20, self.share >> 20);
        let of = "the snapshots of this namespace have";
        if self.by_all {
            write!(
                to,
                "{of} {bytes} MiB, and may have {share} MiB of what other namespaces leave of the operator's disk \
                 (--disk-mib, limits.diskMib)"
            )?;
        } else {
            write!(
                to,
                "{of} {bytes} MiB of the operator's disk, and its share is {share} MiB (--disk-mib-per-namespace, \
                 limits.diskMibPerNamespace)"
            )?;
        }
        write!(
            to,
            "; snapshots that no marker and no process names are removed by themselves: remove workspaces, or end processes \
             that run old content"
        )
    }
}

impl DiskFull {
    /// Returns the limit, for metrics and logs.
    pub(crate) fn code(&self) -> &'static str {
        if self.by_all { "disk_of_all" } else { "disk_of_namespace" }
    }
}

impl DiskShares {
    /// Shares the disk by these limits. What it counts is shown in `load`.
    pub(crate) fn new(limits: DiskLimits, snapshots: Arc<Snapshots>, load: LoadMetrics) -> Self {
        Self { limits, snapshots, load, counted: Mutex::default() }
    }

    /// Makes room for a reading or a copy: removes what is kept for `namespace` beyond its share, and what is kept for all beyond
    /// theirs. Blocks on the disk.
    pub(crate) fn make_room(&self, namespace: &str, reader: &Reader) {
        let (own, all) = self.with_counted(|counted| (counted.of(namespace), counted.all()));
        let mut evicted = reader.evict(namespace, self.limits.per_namespace.saturating_sub(own));
        let left = self.limits.total.saturating_sub(all);
        let mut kept = reader.kept_bytes_of_all();
        if kept > left {
            evicted += reader.evict_of_all(left);
            kept = reader.kept_bytes_of_all();
        }
        self.load.on_disk("snapshots", all);
        self.load.on_disk("repositories", kept);
        if evicted > 0 {
            self.load.evicted(evicted);
            debug!(namespace, evicted, "a share of the disk is used up: repositories were removed");
        }
    }

    /// Returns an error if the snapshots of `namespace` leave no room for another one of so many bytes. Blocks on the disk.
    pub(crate) fn admit(&self, namespace: &str, bytes: u64) -> Result<(), DiskFull> {
        self.with_counted(|counted| {
            let own = counted.of(namespace);
            let left = self.limits.total.saturating_sub(counted.all() - own);
            let of_all = (left / PART).max(self.limits.total / LEAST).min(left);
            let share = of_all.min(self.limits.per_namespace);
            if own.saturating_add(bytes) > share {
                return Err(DiskFull { bytes: own, share, by_all: of_all < self.limits.per_namespace });
            }
            *counted.by_namespace.entry(namespace.to_owned()).or_default() += bytes;
            Ok(())
        })
    }

    /// Counts what is on the disk, unless that is known.
    fn with_counted<T>(&self, with: impl FnOnce(&mut Counted) -> T) -> T {
        let mut known = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let fresh = known.take().filter(|counted| now.saturating_duration_since(counted.at) < COUNTED_FOR);
        let count = || Counted { at: now, by_namespace: self.snapshots.bytes_by_namespace() };
        with(known.insert(fresh.unwrap_or_else(count)))
    }
}

impl Counted {
    fn of(&self, namespace: &str) -> u64 {
        self.by_namespace.get(namespace).copied().unwrap_or(0)
    }

    fn all(&self) -> u64 {
        self.by_namespace.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use rototo_engine::Tree;
    use rototo_source::{Limits, ReaderOptions};

    use super::*;
    use crate::workspace_key::WorkspaceKey;

    fn shares(limits: DiskLimits) -> (tempfile::TempDir, Arc<Snapshots>, DiskShares) {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Arc::new(Snapshots::new(folder.path().to_owned(), Limits::default()));
        let shares = DiskShares::new(limits, snapshots.clone(), LoadMetrics::default());
        (folder, snapshots, shares)
    }

    #[test]
    fn snapshots_of_one_namespace_do_not_take_the_share_of_another() {
        let (_folder, snapshots, shares) = shares(DiskLimits { total: 1 << 40, per_namespace: 350_000 });
        let put = |namespace: &str, seed: u64| {
            let noise: Vec<u8> = (0..100_000).map(|i| (i * seed % 251) as u8 ^ fastrand::u8(..)).collect();
            let tree: Tree = [("variables/a.toml".to_owned(), noise)].into_iter().collect();
            let key = WorkspaceKey { namespace: namespace.to_owned(), name: format!("config-{seed}") };
            snapshots.store(&key).unwrap().put(&tree).unwrap();
        };
        (1..4).for_each(|seed| put("greedy", seed));
        assert_eq!(shares.admit("greedy", 10_000), Ok(()));
        // What is written meanwhile counts.
        let full = shares.admit("greedy", 50_000).unwrap_err();
        assert!(full.bytes > 300_000 && full.share == 350_000, "{full:?}");
        assert!(full.to_string().contains("--disk-mib-per-namespace") && full.code() == "disk_of_namespace");
        assert_eq!(shares.admit("other", 300_000), Ok(()));
        let reader = Reader::new(ReaderOptions::default()).unwrap();
        shares.make_room("greedy", &reader);
        let left = snapshots.bytes_by_namespace()["greedy"];
        assert!(left > 300_000, "a snapshot is never removed for lack of room");
    }

    /// Writes snapshots of this size for `namespace` until one is refused.
    fn fill(shares: &DiskShares, namespace: &str, bytes: u64) -> DiskFull {
        loop {
            if let Err(full) = shares.admit(namespace, bytes) {
                return full;
            }
        }
    }

    #[test]
    fn namespaces_that_take_what_they_can_leave_room_for_others_together() {
        const MIB: u64 = 1 << 20;
        let limits = DiskLimits { total: 8192 * MIB, per_namespace: 1024 * MIB };
        let (_folder, _snapshots, shares) = shares(limits);
        assert_eq!(shares.admit("small", MIB), Ok(()));
        let mut taken = MIB;
        for number in 0..30 {
            let full = fill(&shares, &format!("greedy-{number}"), MIB);
            taken += full.bytes;
            assert!(full.by_all && full.to_string().contains("--disk-mib,"), "{full}");
            assert_eq!(full.code(), "disk_of_all");
            assert!(full.bytes >= 16 * MIB, "{number}: {} MiB", full.bytes / MIB);
        }
        assert!(taken < limits.total - 128 * MIB, "{} MiB of {}", taken / MIB, limits.total / MIB);
        // Who was there and who comes now have room for their changes.
        assert_eq!(shares.admit("small", 8 * MIB), Ok(()));
        assert_eq!(shares.admit("new", 8 * MIB), Ok(()));
        // However many there are, they never take more than there is.
        for number in 30..200 {
            taken += fill(&shares, &format!("greedy-{number}"), MIB).bytes;
        }
        assert!(taken <= limits.total, "{} MiB of {}", taken / MIB, limits.total / MIB);
    }

    #[test]
    fn one_namespace_alone_has_its_whole_share() {
        let (_folder, _snapshots, shares) = shares(DiskLimits { total: 8 << 20, per_namespace: 1 << 20 });
        let full = fill(&shares, "alone", 1 << 10);
        assert_eq!((full.bytes, full.by_all), (1 << 20, false));
    }
}
