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
    /// The version of the object with it.
    resource_version: u64,
    at: Instant,
}

impl StatusRecord {
    /// Records that the API server has accepted `status`, and the object with it is at `resource_version`.
    pub(crate) fn written(&mut self, status: RototoWorkspaceStatus, resource_version: u64, at: Instant) {
        self.written = Some(WrittenStatus { status, resource_version, at });
    }

    /// Returns the time of the last write.
    pub(crate) fn last_write(&self) -> Option<Instant> {
        self.written.as_ref().map(|written| written.at)
    }

    /// Returns the status that the object has, as far as this process knows, and the version that has it.
    pub(crate) fn actual(&self, workspace: &RototoWorkspace) -> (RototoWorkspaceStatus, u64) {
        let seen = version(workspace);
        match &self.written {
            Some(written) if written.resource_version >= seen => (written.status.clone(), written.resource_version),
            _ => (workspace.status.clone().unwrap_or_default(), seen),
        }
    }

    /// Returns the last status that this process wrote, whoever changed it since; `actual` if it wrote none.
    pub(crate) fn remembered(&self, actual: &RototoWorkspaceStatus) -> RototoWorkspaceStatus {
        self.written.as_ref().map_or(actual, |written| &written.status).clone()
    }

    /// Returns the publishes in the last written status.
    pub(crate) fn history(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.written.iter().flat_map(|written| &written.status.history)
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
