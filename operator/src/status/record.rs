//! The memory of one workspace's status: the last write.
//!
//! [`StatusRecord`] alone changes it. The watch is behind this process's own writes for a moment, so both are compared
//! by version to find the status that the object has.

use std::time::Instant;

use kube::ResourceExt;
use rototo_api::UpdatedAt;
use rototo_api::rollout::RolloutStatus;
use rototo_api::workspace::{HistoryEntry, PublishedStatus, RototoWorkspace, RototoWorkspaceStatus};

/// The status of one workspace as this process has written it.
#[derive(Debug, Default)]
pub(crate) struct StatusRecord {
    written: Option<WrittenStatus>,
}

/// A status that was written.
#[derive(Debug)]
struct WrittenStatus {
    status: RototoWorkspaceStatus,
    /// The version of the object with it; `None` if the object has had another version since.
    resource_version: Option<u64>,
    at: Instant,
}

impl StatusRecord {
    /// Records that the API server has accepted `status`, and the object with it is at `resource_version`.
    pub(crate) fn written(&mut self, status: RototoWorkspaceStatus, resource_version: u64, at: Instant) {
        self.written = Some(WrittenStatus { status, resource_version: Some(resource_version), at });
    }

    /// Records that the object does not have the version for which a status was to be written. Its next version comes from
    /// the watch, also where versions have gone back with a restored API server.
    pub(crate) fn conflicted(&mut self) {
        if let Some(written) = &mut self.written {
            written.resource_version = None;
        }
    }

    /// Returns the time of the last write.
    pub(crate) fn last_write(&self) -> Option<Instant> {
        self.written.as_ref().map(|written| written.at)
    }

    /// Returns the status that the object has, as far as this process knows, and the version that has it.
    pub(crate) fn actual(&self, workspace: &RototoWorkspace) -> (RototoWorkspaceStatus, u64) {
        let seen = version(workspace);
        let written = self.written.as_ref().and_then(|written| Some((&written.status, written.resource_version?)));
        match written {
            Some((status, version)) if version >= seen => (status.clone(), version),
            _ => (workspace.status.clone().unwrap_or_default(), seen),
        }
    }

    /// Returns the last status that this process wrote, whoever changed it since; `actual` if it wrote none.
    pub(crate) fn remembered(&self, actual: &RototoWorkspaceStatus) -> RototoWorkspaceStatus {
        self.written.as_ref().map_or(actual, |written| &written.status).clone()
    }

    /// Returns the publishes that status remembers: the written one, or else the one of the object.
    pub(crate) fn history<'a>(&'a self, workspace: &'a RototoWorkspace) -> &'a [HistoryEntry] {
        let written = self.written.as_ref().map(|written| &written.status);
        written.or(workspace.status.as_ref()).map(|status| status.history.as_slice()).unwrap_or_default()
    }

    /// Returns what status remembers of the last publish: the written one, or else the one of the object.
    pub(crate) fn published<'a>(&'a self, workspace: &'a RototoWorkspace) -> Option<&'a PublishedStatus> {
        let written = self.written.as_ref().and_then(|written| written.status.published.as_ref());
        written.or_else(|| workspace.status.as_ref()?.published.as_ref())
    }

    /// Returns the rollout that status has: the written one, or else the one of the object.
    pub(crate) fn rollout<'a>(&'a self, workspace: &'a RototoWorkspace) -> Option<&'a RolloutStatus> {
        let written = self.written.as_ref().and_then(|written| written.status.rollout.as_ref());
        written.or_else(|| workspace.status.as_ref()?.rollout.as_ref())
    }

    /// Returns the revision of a publish, if the last written status has that publish.
    pub(crate) fn revision_of(&self, updated_at: UpdatedAt) -> Option<&String> {
        let published = self.written.as_ref()?.status.published.as_ref()?;
        published.revision.as_ref().filter(|_| published.updated_at == updated_at)
    }
}

/// Returns the version of an object. The versions of one resource grow: Kubernetes promises it since 1.35, and etcd has
/// always done so.
pub(super) fn version(workspace: &RototoWorkspace) -> u64 {
    workspace.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(generation: i64, fingerprint: &str) -> RototoWorkspaceStatus {
        let history = json!([{ "fingerprint": fingerprint, "updatedAt": "2026-11-20T18:40:00.000000Z" }]);
        serde_json::from_value(json!({ "observedGeneration": generation, "history": history })).unwrap()
    }

    fn workspace(version: &str, status: RototoWorkspaceStatus) -> RototoWorkspace {
        let metadata = json!({ "namespace": "prod", "name": "policy", "resourceVersion": version });
        serde_json::from_value(json!({ "metadata": metadata, "spec": { "source": "x" }, "status": status })).unwrap()
    }

    /// The API server was restored from a copy, whose versions are lower.
    #[test]
    fn after_a_conflict_the_version_comes_from_the_watch_and_the_written_status_stays_known() {
        let (mut record, now) = (StatusRecord::default(), Instant::now());
        record.written(status(2, "b"), 20, now);
        let restored = workspace("7", status(1, "a"));
        assert_eq!(record.actual(&restored), (status(2, "b"), 20));
        record.conflicted();
        assert_eq!(record.actual(&restored), (status(1, "a"), 7));
        assert_eq!(record.remembered(&status(1, "a")), status(2, "b"));
        record.written(status(2, "b"), 8, now);
        assert_eq!(record.actual(&restored), (status(2, "b"), 8));
    }

    #[test]
    fn the_history_is_that_of_the_object_until_a_status_is_written() {
        let (mut record, object) = (StatusRecord::default(), workspace("7", status(1, "a")));
        let names = |record: &StatusRecord| record.history(&object)[0].fingerprint.clone();
        assert_eq!(names(&record), "a");
        record.written(status(1, "b"), 8, Instant::now());
        assert_eq!(names(&record), "b");
    }
}
