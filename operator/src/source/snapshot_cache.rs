//! The packed snapshots that stay in memory: a whole fleet asks for a change at once, and mostly with one base.

use std::collections::HashMap;
use std::sync::Arc;

use rototo_engine::Fingerprint;
use tokio::sync::OnceCell;

use crate::workspace_key::WorkspaceKey;

/// The number of bytes that stay in memory. The snapshot that was asked for longest ago goes first.
const LIMIT: usize = 64 * 1024 * 1024;
/// The memory of an entry beside its bytes.
const OVERHEAD: usize = 512;

/// A packed snapshot. One request packs it while the others wait.
pub(crate) type PackedSnapshot = Arc<OnceCell<Option<Arc<[u8]>>>>;

/// A process's request for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SnapshotRequest {
    pub(crate) key: WorkspaceKey,
    pub(crate) fingerprint: Fingerprint,
    /// The content that the process has already.
    pub(crate) base: Option<Fingerprint>,
}

/// The packed snapshots, each with the number of the last request for it.
#[derive(Debug, Default)]
pub(crate) struct SnapshotCache {
    entries: HashMap<SnapshotRequest, (PackedSnapshot, u64)>,
    requests: u64,
}

impl SnapshotCache {
    /// Returns the entry for `request`, which may not be packed yet.
    pub(crate) fn entry(&mut self, request: &SnapshotRequest) -> PackedSnapshot {
        self.requests += 1;
        let (packed, requested) = self.entries.entry(request.clone()).or_default();
        *requested = self.requests;
        packed.clone()
    }

    /// Makes room after `newest` was packed. That one stays, however large it is.
    pub(crate) fn evict(&mut self, newest: &SnapshotRequest) {
        let size =
            |packed: &PackedSnapshot| OVERHEAD + packed.get().and_then(Option::as_ref).map_or(0, |bytes| bytes.len());
        let mut total: usize = self.entries.values().map(|(packed, _)| size(packed)).sum();
        while total > LIMIT {
            let others = self.entries.iter().filter(|(request, _)| *request != newest);
            let Some(oldest) = others.min_by_key(|(_, (_, requested))| *requested) else { return };
            let request = oldest.0.clone();
            total -= self.entries.remove(&request).map_or(0, |(packed, _)| size(&packed));
        }
    }

    pub(crate) fn forget(&mut self, request: &SnapshotRequest) {
        self.entries.remove(request);
    }

    pub(crate) fn forget_all_of(&mut self, key: &WorkspaceKey) {
        self.entries.retain(|request, _| request.key != *key);
    }
}

#[cfg(test)]
mod tests {
    use rototo_engine::Tree;

    use super::*;

    fn request(text: &str) -> SnapshotRequest {
        let tree: Tree = [("rototo-workspace.toml".to_owned(), text.as_bytes().to_vec())].into_iter().collect();
        let key = WorkspaceKey { namespace: "prod".to_owned(), name: "config".to_owned() };
        SnapshotRequest { key, fingerprint: tree.fingerprint(), base: None }
    }

    fn pack(entries: &mut SnapshotCache, text: &str, bytes: usize) {
        assert!(entries.entry(&request(text)).set(Some(vec![0; bytes].into())).is_ok());
        entries.evict(&request(text));
    }

    fn has(entries: &SnapshotCache, text: &str) -> bool {
        entries.entries.contains_key(&request(text))
    }

    #[test]
    fn the_snapshot_that_was_asked_for_longest_ago_makes_room() {
        let mut entries = SnapshotCache::default();
        for text in ["a", "b", "c"] {
            pack(&mut entries, text, LIMIT / 4);
        }
        entries.entry(&request("a"));
        pack(&mut entries, "d", LIMIT / 3);
        assert!(has(&entries, "a") && !has(&entries, "b") && has(&entries, "d"));
    }

    #[test]
    fn a_snapshot_larger_than_all_room_stays_until_the_next() {
        let mut entries = SnapshotCache::default();
        pack(&mut entries, "large", LIMIT + 1);
        assert!(has(&entries, "large"));
        pack(&mut entries, "small", 1);
        assert!(!has(&entries, "large") && has(&entries, "small"));
    }

    #[test]
    fn many_small_snapshots_fit() {
        let mut entries = SnapshotCache::default();
        for number in 0..1000 {
            pack(&mut entries, &number.to_string(), 1000);
        }
        assert_eq!(entries.entries.len(), 1000);
    }
}
