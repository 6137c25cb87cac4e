//! The records of all workspaces, by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use rototo_api::workspace::RototoWorkspace;

use rototo_protocol::fleet::{Fleet, FleetStart};

use crate::fleet::clock;
use crate::reconcile::workspace_record::WorkspaceRecord;

/// Which workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WorkspaceKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl WorkspaceKey {
    /// The key of an object.
    #[must_use]
    pub fn of(workspace: &RototoWorkspace) -> Self {
        Self { namespace: workspace.namespace().unwrap_or_default(), name: workspace.name_any() }
    }
}

/// The records of all workspaces.
#[derive(Default)]
pub struct RecordStore(Mutex<HashMap<WorkspaceKey, SharedRecord>>);

/// One record, shared between the reconciler and those who ask over HTTP. It is locked for moments only, never across
/// an await.
#[derive(Clone)]
pub struct SharedRecord(Arc<Mutex<WorkspaceRecord>>);

impl SharedRecord {
    /// Locks it. A panic elsewhere while it was locked leaves facts behind that are still facts.
    pub fn lock(&self) -> MutexGuard<'_, WorkspaceRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordStore {
    /// The record of a workspace. A new object gets a new one, also under an old name; `new` says whether the workspace was
    /// ever published before.
    pub fn of(&self, workspace: &RototoWorkspace, heartbeat: Duration, new: impl FnOnce() -> bool) -> SharedRecord {
        let uid = workspace.uid().unwrap_or_default();
        let mut records = self.lock();
        let known = records.get(&WorkspaceKey::of(workspace));
        if let Some(record) = known.filter(|record| record.lock().uid == uid) {
            return record.clone();
        }
        let start = if known.is_none() && new() { FleetStart::New } else { counted(workspace, Timestamp::now()) };
        let fleet = Fleet::new(start, heartbeat, clock::now());
        let record = SharedRecord(Arc::new(Mutex::new(WorkspaceRecord::new(uid, &workspace.spec, fleet))));
        records.insert(WorkspaceKey::of(workspace), record.clone());
        record
    }

    /// The record of a workspace that is known.
    pub fn get(&self, key: &WorkspaceKey) -> Option<SharedRecord> {
        self.lock().get(key).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<(WorkspaceKey, SharedRecord)> {
        self.lock().iter().map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// Forgets all of them: another process has taken over, and what was known here is about to grow old.
    pub fn clear(&self) -> Vec<WorkspaceKey> {
        let keys: Vec<_> = self.all().into_iter().map(|(key, _)| key).collect();
        for key in &keys {
            self.remove(key);
        }
        keys
    }

    /// Forgets a workspace that is gone, and ends what is done for it.
    pub fn remove(&self, key: &WorkspaceKey) {
        if let Some(record) = self.lock().remove(key)
            && let Some(poll) = record.lock().source.task.take()
        {
            poll.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceKey, SharedRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many processes status counts, and how long ago they were counted.
fn counted(workspace: &RototoWorkspace, now: Timestamp) -> FleetStart {
    let Some(fleet) = workspace.status.as_ref().and_then(|status| status.fleet.as_ref()) else {
        return FleetStart::Known { processes: 0, counted_ago: Duration::ZERO };
    };
    let processes = usize::try_from(fleet.processes.saturating_add(fleet.unaccounted)).unwrap_or(usize::MAX);
    // Times in status are cut to seconds: who started within the same second was there.
    let counted = fleet.as_of.as_ref().map_or(now, |as_of| (as_of.0 + SignedDuration::from_secs(1)).min(now));
    FleetStart::Known { processes, counted_ago: now.duration_since(counted).try_into().unwrap_or_default() }
}
