//! Everything that the watches of this process have shown: the objects in their caches, and whether these are complete.
//!
//! [`ClusterView`] joins the caches of all watches, one set for each watched namespace or one for all of them. Nothing in it
//! is newer than the watches.

use std::sync::Arc;
use std::time::Instant;

use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::Pods;

use crate::fleet::pods::PodSelection;
use crate::reconcile::watch_caches::WatchCaches;
use crate::workspace_key::WorkspaceKey;

/// The caches of all watches.
pub(crate) struct ClusterView {
    /// One for each set of watches.
    caches: Vec<Arc<WatchCaches>>,
}

impl ClusterView {
    /// Joins the caches of these sets of watches.
    pub(crate) fn new(caches: Vec<Arc<WatchCaches>>) -> Self {
        Self { caches }
    }

    /// Asks for a reconcile of one workspace.
    pub(crate) fn requeue(&self, key: &WorkspaceKey) {
        for caches in &self.caches {
            caches.requeue(key);
        }
    }

    /// Returns whether the watches show a workspace of this name, readable or not.
    pub(crate) fn exists(&self, key: &WorkspaceKey) -> bool {
        self.workspace(key).is_some() || self.is_unreadable(key)
    }

    /// Returns whether the watches show a workspace of this name that this version can't read.
    pub(crate) fn is_unreadable(&self, key: &WorkspaceKey) -> bool {
        self.caches.iter().any(|caches| caches.unreadable().contains(key))
    }

    /// Returns the workspaces that this version can't read.
    pub(crate) fn unreadable(&self) -> Vec<WorkspaceKey> {
        self.caches.iter().flat_map(|caches| caches.unreadable().all()).collect()
    }

    /// Returns whether this object, and no namesake, is what the watches have shown last.
    pub(crate) fn still_exists(&self, workspace: &RototoWorkspace) -> bool {
        let known = self.workspace(&WorkspaceKey::of(workspace));
        known.is_some_and(|known| known.metadata.uid == workspace.metadata.uid)
    }

    /// Returns the workspace of this name, as the watches show it.
    pub(crate) fn workspace(&self, key: &WorkspaceKey) -> Option<Arc<RototoWorkspace>> {
        self.caches.iter().find_map(|caches| caches.workspace(key))
    }

    /// Returns all workspaces, as the watches show them.
    pub(crate) fn workspaces(&self) -> Vec<Arc<RototoWorkspace>> {
        self.caches.iter().flat_map(|caches| caches.workspaces().state()).collect()
    }

    /// Returns whether all first lists have come. A namespace that can't be watched hinders no other, so those that the
    /// API server refuses are not waited for, except if it refuses all.
    pub(crate) fn is_watching(&self) -> bool {
        let mut wanted = self.caches.iter().filter(|caches| caches.health().refusal().is_none());
        wanted.all(|caches| caches.are_listed()) && self.caches.iter().any(|caches| caches.are_listed())
    }

    /// Returns whether the API server refuses to let a namespace be watched.
    pub(crate) fn is_refused(&self, namespace: &str) -> bool {
        self.covering(namespace).any(|caches| caches.health().refusal().is_some())
    }

    /// Returns why pods may run in a namespace that their watch has not shown, if they may.
    pub(crate) fn pods_missing(&self, namespace: &str) -> Option<String> {
        self.covering(namespace).find_map(|caches| caches.health().pods_missing(Instant::now()))
    }

    /// Returns the caches of the watches that cover a namespace.
    fn covering(&self, namespace: &str) -> impl Iterator<Item = &Arc<WatchCaches>> {
        self.caches.iter().filter(move |caches| caches.scope().covers(namespace))
    }

    /// Returns the pods of the workspace's namespace.
    pub(crate) fn pods(&self, workspace: &RototoWorkspace) -> Pods {
        let (namespace, selection) = (WorkspaceKey::of(workspace).namespace, PodSelection::of(workspace));
        // An invalid selector selects nothing, so nobody knows which pods should follow.
        let incomplete = self.pods_missing(&namespace).is_some() || selection.is_unusable();
        let mut pods = Pods { incomplete, ..Pods::default() };
        for caches in &self.caches {
            caches.pods().add(&namespace, &selection, &mut pods);
        }
        pods
    }

    /// Asks for a sweep of everything that is watched.
    pub(crate) fn request_sweeps(&self) {
        for caches in &self.caches {
            caches.request_sweep();
        }
    }
}
