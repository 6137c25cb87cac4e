//! The records of all workspaces, by name.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::{Fleet, FleetStart};

use crate::fleet::clock;
use crate::reconcile::workspace_record::{SharedRecord, WorkspaceRecord};
use crate::workspace_key::WorkspaceKey;

/// The records of all workspaces.
#[derive(Default)]
pub(crate) struct RecordStore(Mutex<HashMap<WorkspaceKey, SharedRecord>>);

impl RecordStore {
    /// Returns the record of a workspace. A new object gets a new one, also under an old name; `new` returns whether
    /// the workspace was never published before.
    pub(crate) fn of(
        &self,
        workspace: &RototoWorkspace,
        heartbeat: Duration,
        new: impl FnOnce() -> bool,
    ) -> SharedRecord {
        let uid = workspace.uid().unwrap_or_default();
        let mut records = self.lock();
        let known = records.get(&WorkspaceKey::of(workspace));
        if let Some(record) = known.filter(|record| record.lock().is_of(&uid)) {
            return record.clone();
        }
        let start = if known.is_none() && new() { FleetStart::New } else { counted(workspace, Timestamp::now()) };
        let fleet = Fleet::new(start, heartbeat, clock::now());
        let record = SharedRecord::new(WorkspaceRecord::new(uid, &workspace.spec, fleet));
        records.insert(WorkspaceKey::of(workspace), record.clone());
        record
    }

    /// Returns the record of a workspace that is known.
    pub(crate) fn get(&self, key: &WorkspaceKey) -> Option<SharedRecord> {
        self.lock().get(key).cloned()
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<(WorkspaceKey, SharedRecord)> {
        self.lock().iter().map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// Forgets all of them: another process has taken over, and everything known here is about to grow old. Returns
    /// their keys.
    pub(crate) fn clear(&self) -> Vec<WorkspaceKey> {
        let keys: Vec<_> = self.all().into_iter().map(|(key, _)| key).collect();
        for key in &keys {
            self.remove(key);
        }
        keys
    }

    /// Forgets a workspace that is gone, and ends its poll.
    pub(crate) fn remove(&self, key: &WorkspaceKey) {
        if let Some(record) = self.lock().remove(key) {
            record.lock().source.abort_poll();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceKey, SharedRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the number of processes that status counts, and the time since they were counted.
fn counted(workspace: &RototoWorkspace, now: Timestamp) -> FleetStart {
    let Some(fleet) = workspace.status.as_ref().and_then(|status| status.fleet.as_ref()) else {
        return FleetStart::Known { processes: 0, counted_ago: Duration::ZERO };
    };
    let processes = usize::try_from(fleet.processes.saturating_add(fleet.unaccounted)).unwrap_or(usize::MAX);
    // Times in status are cut to seconds: a process that started within the same second was there.
    let counted = fleet.as_of.as_ref().map_or(now, |as_of| (as_of.0 + SignedDuration::from_secs(1)).min(now));
    FleetStart::Known { processes, counted_ago: now.duration_since(counted).try_into().unwrap_or_default() }
}
