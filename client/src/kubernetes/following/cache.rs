//! The disk cache: a copy of the last applied publish on the pod's disk, for a start at which neither the API server
//! nor the operator answers.
//!
//! The copy is no second authority. Its content is checked against its fingerprint like any other, and as soon as a
//! marker is observed, only the publish that it names counts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rototo_engine::{Fingerprint, Tree};
use rototo_protocol::follower::ObservedMarker;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::{Marked, Publish};
use rototo_source::SnapshotStore;

use crate::kubernetes::cluster::watch_cache::observed_marker;

/// The disk cache of one workspace, in a directory of its own. All methods block on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    workspace: String,
}

impl Cache {
    /// Makes the cache of a workspace below `directory`, which need not exist yet.
    pub(crate) fn new(directory: &Path, namespace: &str, workspace: &str) -> Self {
        Self { directory: directory.join(namespace).join(workspace), workspace: workspace.to_owned() }
    }

    /// Writes a copy of `publish`, and removes every other.
    ///
    /// # Errors
    ///
    /// `cache_failed`: the disk refuses a write.
    pub(crate) fn keep(&self, publish: Publish, tree: &Tree) -> Result<(), Fault> {
        let store = self.store()?;
        store.put(tree).map_err(|error| self.failed("keeping", &error))?;
        let marker = Marked::from(publish).to_marker();
        // The content is written before the marker that names it: a crash in between leaves the publish before, or
        // none.
        let unfinished = self.directory.join(".unfinished-marker");
        let named = fs::write(&unfinished, marker.to_json()).and_then(|()| fs::rename(&unfinished, self.marker()));
        named.map_err(|error| self.failed("keeping", &error))?;
        store.retain(&BTreeSet::from([publish.fingerprint])).map_err(|error| self.failed("tidying", &error))
    }

    /// Returns the publish that was kept last, if it can still be read.
    pub(crate) fn last(&self) -> Option<(Publish, Tree)> {
        let marker = fs::read_to_string(self.marker()).ok()?;
        let ObservedMarker::Published(Marked { publish, .. }) = observed_marker(&self.workspace, &marker) else {
            return None;
        };
        Some((publish, self.get(publish.fingerprint)?))
    }

    /// Returns the content with this fingerprint, if it was kept.
    pub(crate) fn get(&self, fingerprint: Fingerprint) -> Option<Tree> {
        // Content that can't be read counts as not kept: it is fetched.
        self.store().ok()?.get(&fingerprint).ok()?
    }

    fn store(&self) -> Result<SnapshotStore, Fault> {
        SnapshotStore::open(&self.directory).map_err(|error| self.failed("opening", &error))
    }

    fn marker(&self) -> PathBuf {
        self.directory.join("marker.json")
    }

    fn failed(&self, operation: &str, error: &dyn std::error::Error) -> Fault {
        let directory = self.directory.display();
        Fault::transient(
            "cache_failed",
            format!("{operation} the copy of the workspace in {directory} failed: {error}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        [("rototo-workspace.toml".to_owned(), text.as_bytes().to_vec())].into_iter().collect()
    }

    fn publish(tree: &Tree, second: u8) -> Publish {
        let updated_at = format!("2026-11-20T18:40:0{second}.000000Z").parse().unwrap();
        Publish { fingerprint: tree.fingerprint(), updated_at }
    }

    #[test]
    fn the_cache_holds_only_the_publish_that_was_kept_last() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path(), "prod", "policy");
        assert!(cache.last().is_none());
        let (first, second) = (tree("schema_version = 1"), tree("schema_version = 1\n"));
        cache.keep(publish(&first, 1), &first).unwrap();
        cache.keep(publish(&second, 2), &second).unwrap();
        let (last, content) = Cache::new(directory.path(), "prod", "policy").last().unwrap();
        assert_eq!((last, content.fingerprint()), (publish(&second, 2), second.fingerprint()));
        assert!(cache.get(first.fingerprint()).is_none());
        assert!(Cache::new(directory.path(), "test", "policy").last().is_none());
    }

    #[test]
    fn a_damaged_copy_counts_as_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path(), "prod", "policy");
        let content = tree("schema_version = 1");
        cache.keep(publish(&content, 1), &content).unwrap();
        for file in fs::read_dir(&cache.directory).unwrap() {
            fs::write(file.unwrap().path(), "damaged").unwrap();
        }
        assert!(cache.last().is_none());
        assert!(cache.get(content.fingerprint()).is_none());
    }
}
