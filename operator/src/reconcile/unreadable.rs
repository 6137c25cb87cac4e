//! The workspaces that exist and that this version can't read, as one with a value that a later version has added.
//!
//! They are in no cache, so nothing is decided for them. But they exist: what their markers name is served, and nothing of
//! them is removed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::watcher::Event;
use rototo_api::workspace::RototoWorkspace;
use tracing::{debug, warn};

use crate::workspace_key::WorkspaceKey;

/// The unreadable workspaces of one scope, as the watch shows them.
#[derive(Debug, Default)]
pub(crate) struct UnreadableWorkspaces(Mutex<Shown>);

/// The versions of unreadable workspaces.
type Versions = HashMap<WorkspaceKey, Option<String>>;

#[derive(Debug, Default)]
struct Shown {
    known: Versions,
    /// Those of a list that is not complete yet.
    listed: Versions,
}

impl UnreadableWorkspaces {
    /// Notes an event of the watch, before the cache does. The first line of the log about a version of a workspace is a
    /// warning.
    pub(crate) fn observe(&self, event: &Event<DeserializeGuard<RototoWorkspace>>) {
        let Shown { known, listed } = &mut *self.lock();
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(DeserializeGuard(Err(invalid))) => {
                let (key, version) = described(invalid, known);
                listed.insert(key, version);
            }
            Event::InitApply(DeserializeGuard(Ok(_))) => {}
            Event::InitDone => *known = std::mem::take(listed),
            Event::Apply(DeserializeGuard(Err(invalid))) => {
                let (key, version) = described(invalid, known);
                known.insert(key, version);
            }
            Event::Apply(DeserializeGuard(Ok(object))) | Event::Delete(DeserializeGuard(Ok(object))) => {
                known.remove(&WorkspaceKey::of(object));
            }
            Event::Delete(DeserializeGuard(Err(invalid))) => {
                known.remove(&key_of(invalid));
            }
        }
    }

    /// Returns whether this workspace exists and can't be read.
    pub(crate) fn contains(&self, key: &WorkspaceKey) -> bool {
        self.lock().known.contains_key(key)
    }

    /// Returns all of them.
    pub(crate) fn all(&self) -> Vec<WorkspaceKey> {
        self.lock().known.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs that a workspace can't be read. Returns its key and its version.
fn described(invalid: &InvalidObject, known: &Versions) -> (WorkspaceKey, Option<String>) {
    let (key, version) = (key_of(invalid), invalid.metadata.resource_version.clone());
    let (WorkspaceKey { namespace, name }, error) = (&key, &invalid.error);
    if known.get(&key) == Some(&version) {
        debug!(namespace, name, error, "this version still can't read a RototoWorkspace");
    } else {
        warn!(namespace, name, error, "this version can't read a RototoWorkspace, and only serves what is published");
    }
    (key, version)
}

fn key_of(InvalidObject { metadata, .. }: &InvalidObject) -> WorkspaceKey {
    let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
    WorkspaceKey { namespace: namespace.unwrap_or_default(), name: name.unwrap_or_default() }
}
