//! The records of all workspaces, by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kube::ResourceExt;
use rototo_api::workspace::RototoWorkspace;

use crate::record::Record;

/// Which workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    #[must_use]
    pub fn of(workspace: &RototoWorkspace) -> Self {
        Self { namespace: workspace.namespace().unwrap_or_default(), name: workspace.name_any() }
    }
}

/// The records of all workspaces.
#[derive(Default)]
pub struct Records(Mutex<HashMap<Key, SharedRecord>>);

/// One record, shared between the reconciler and those who ask over HTTP. It is locked for moments only, never across
/// an await.
#[derive(Clone)]
pub struct SharedRecord(Arc<Mutex<Record>>);

impl SharedRecord {
    /// Locks it. A panic elsewhere while it was locked leaves facts behind that are still facts.
    pub fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    /// The record of a workspace: a new one if it is new, or is another object under an old name.
    pub fn of(&self, workspace: &RototoWorkspace, now: Instant) -> SharedRecord {
        let uid = workspace.uid().unwrap_or_default();
        let mut records = self.lock();
        let known = records.get(&Key::of(workspace)).filter(|record| record.lock().uid == uid);
        match known {
            Some(record) => record.clone(),
            None => {
                let record = SharedRecord(Arc::new(Mutex::new(Record::new(uid, &workspace.spec, now))));
                records.insert(Key::of(workspace), record.clone());
                record
            }
        }
    }

    /// The record of a workspace that is known.
    pub fn get(&self, key: &Key) -> Option<SharedRecord> {
        self.lock().get(key).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<(Key, SharedRecord)> {
        self.lock().iter().map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// Forgets all of them: another process has taken over, and what was known here is about to grow old.
    pub fn clear(&self) -> Vec<Key> {
        let keys: Vec<_> = self.all().into_iter().map(|(key, _)| key).collect();
        for key in &keys {
            self.remove(key);
        }
        keys
    }

    /// Forgets a workspace that is gone, and ends what is done for it.
    pub fn remove(&self, key: &Key) {
        if let Some(record) = self.lock().remove(key)
            && let Some(look) = record.lock().source.task.take()
        {
            look.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, SharedRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
