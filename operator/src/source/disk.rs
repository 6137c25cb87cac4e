//! The share of the disk that a namespace has, for its snapshots and for the repositories and archives that are kept for
//! it.
//!
//! The kept content of a source can be transferred again, so it goes first, what nobody has asked for for the longest
//! time before the rest. A snapshot goes only when no marker and no process names it any more, which is for the room
//! `reconcile` to say. So where snapshots alone fill the share, new content is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rototo_source::Reader;
use tracing::debug;

use crate::load::metrics::LoadMetrics;
use crate::source::snapshots::Snapshots;

/// The time for which the size of a namespace's snapshots is not counted again. What is written meanwhile is added.
const COUNTED_FOR: Duration = Duration::from_secs(10);

/// The shares of all namespaces.
#[derive(Debug)]
pub(crate) struct DiskShares {
    /// The bytes of one namespace.
    share: u64,
    snapshots: Arc<Snapshots>,
    counted: Mutex<HashMap<String, (Instant, u64)>>,
}

/// The snapshots of a namespace fill its share of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the snapshots of this namespace have {} MiB of the operator's disk, and its share is {} MiB \
     (--disk-mib-per-namespace, limits.diskMibPerNamespace); snapshots that no marker and no process names are removed by \
     themselves: remove workspaces, or end processes that run old content",
    bytes >> 20,
    share >> 20
)]
pub struct DiskFull {
    /// The bytes of its snapshots.
    pub bytes: u64,
    /// The bytes that it may have.
    pub share: u64,
}

impl DiskShares {
    /// Gives each namespace a share of so many bytes.
    pub(crate) fn new(share: u64, snapshots: Arc<Snapshots>) -> Self {
        Self { share, snapshots, counted: Mutex::default() }
    }

    /// Makes room for a reading: removes what is kept for `namespace` beyond its share. Blocks on the disk.
    pub(crate) fn make_room(&self, namespace: &str, reader: &Reader, load: &LoadMetrics) {
        let left = self.share.saturating_sub(self.snapshots_of(namespace));
        if reader.kept_bytes(namespace) > left {
            let evicted = reader.evict(namespace, left);
            load.evicted(evicted);
            debug!(namespace, evicted, "the share of the disk is used up: repositories were removed");
        }
    }

    /// Returns an error if the snapshots of `namespace` leave no room for another one of so many bytes. Blocks on the disk.
    pub(crate) fn admit(&self, namespace: &str, bytes: u64) -> Result<(), DiskFull> {
        let used = self.snapshots_of(namespace);
        if used.saturating_add(bytes) > self.share {
            return Err(DiskFull { bytes: used, share: self.share });
        }
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, used)) = counted.get_mut(namespace) {
            *used = used.saturating_add(bytes);
        }
        Ok(())
    }

    fn snapshots_of(&self, namespace: &str) -> u64 {
        let now = Instant::now();
        let known = |counted: &mut HashMap<String, (Instant, u64)>| {
            counted.retain(|_, (at, _)| now.saturating_duration_since(*at) < COUNTED_FOR);
            counted.get(namespace).map(|(_, bytes)| *bytes)
        };
        if let Some(bytes) = known(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner)) {
            return bytes;
        }
        let bytes = self.snapshots.bytes_of(namespace);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.insert(namespace.to_owned(), (now, bytes));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use rototo_engine::Tree;
    use rototo_source::{Limits, ReaderOptions};

    use super::*;
    use crate::workspace_key::WorkspaceKey;

    #[test]
    fn snapshots_of_one_namespace_do_not_take_the_share_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Arc::new(Snapshots::new(folder.path().to_owned(), Limits::default()));
        let put = |namespace: &str, seed: u64| {
            let noise: Vec<u8> = (0..100_000).map(|i| (i * seed % 251) as u8 ^ fastrand::u8(..)).collect();
            let tree: Tree = [("variables/a.toml".to_owned(), noise)].into_iter().collect();
            let key = WorkspaceKey { namespace: namespace.to_owned(), name: format!("config-{seed}") };
            snapshots.store(&key).unwrap().put(&tree).unwrap();
        };
        (1..4).for_each(|seed| put("greedy", seed));
        let shares = DiskShares::new(350_000, snapshots.clone());
        assert_eq!(shares.admit("greedy", 10_000), Ok(()));
        // What is written meanwhile counts.
        let full = shares.admit("greedy", 50_000).unwrap_err();
        assert!(full.bytes > 300_000 && full.share == 350_000, "{full:?}");
        assert!(full.to_string().contains("--disk-mib-per-namespace"));
        assert_eq!(shares.admit("other", 300_000), Ok(()));
        let reader = Reader::new(ReaderOptions::default()).unwrap();
        shares.make_room("greedy", &reader, &LoadMetrics::default());
        assert!(snapshots.bytes_of("greedy") > 300_000, "a snapshot is never removed for lack of room");
    }
}
