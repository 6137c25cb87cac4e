//! The watch caches of one scope, and the ways to ask its watches for work.
//!
//! The watches of [`crate::reconcile::watches`] fill the caches; everything else only reads them, and asks for
//! reconciles and sweeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::{ObjectRef, Store};
use rototo_api::workspace::RototoWorkspace;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use crate::fleet::pods::PodIndex;
use crate::reconcile::scope::WatchScope;
use crate::reconcile::unreadable::UnreadableWorkspaces;
use crate::reconcile::watch_health::WatchHealth;
use crate::workspace_key::WorkspaceKey;

/// The caches of one set of watches.
pub(crate) struct WatchCaches {
    scope: WatchScope,
    workspaces: Store<RototoWorkspace>,
    unreadable: UnreadableWorkspaces,
    maps: Store<ConfigMap>,
    pods: PodIndex,
    requeues: UnboundedSender<ObjectRef<RototoWorkspace>>,
    sweeps: Notify,
    health: WatchHealth,
    /// The first lists have come.
    listed: AtomicBool,
}

impl WatchCaches {
    /// Caches of `scope`, whose workspaces are reconciled when `requeues` gets their names.
    pub(crate) fn new(
        scope: WatchScope,
        workspaces: Store<RototoWorkspace>,
        maps: Store<ConfigMap>,
        requeues: UnboundedSender<ObjectRef<RototoWorkspace>>,
    ) -> Self {
        let (pods, sweeps, listed) = (PodIndex::default(), Notify::new(), AtomicBool::new(false));
        let (unreadable, health) = (UnreadableWorkspaces::default(), WatchHealth::default());
        Self { scope, workspaces, unreadable, maps, pods, requeues, sweeps, health, listed }
    }

    /// Returns the namespaces that these watches cover.
    pub(crate) fn scope(&self) -> &WatchScope {
        &self.scope
    }

    /// Returns the workspaces of the scope.
    pub(crate) fn workspaces(&self) -> &Store<RototoWorkspace> {
        &self.workspaces
    }

    /// Returns the workspaces of the scope that this version can't read.
    pub(crate) fn unreadable(&self) -> &UnreadableWorkspaces {
        &self.unreadable
    }

    /// Returns the marker maps of the scope.
    pub(crate) fn maps(&self) -> &Store<ConfigMap> {
        &self.maps
    }

    /// Returns the pods of the scope.
    pub(crate) fn pods(&self) -> &PodIndex {
        &self.pods
    }

    /// Returns the state of the watches.
    pub(crate) fn health(&self) -> &WatchHealth {
        &self.health
    }

    /// Returns the workspace of this name.
    pub(crate) fn workspace(&self, key: &WorkspaceKey) -> Option<Arc<RototoWorkspace>> {
        self.workspaces.get(&ObjectRef::new(&key.name).within(&key.namespace))
    }

    /// Asks for a reconcile of a workspace, if the scope covers its namespace.
    pub(crate) fn requeue(&self, key: &WorkspaceKey) {
        if self.scope.covers(&key.namespace) {
            // The receiver is gone only while the process ends.
            let _ = self.requeues.send(ObjectRef::new(&key.name).within(&key.namespace));
        }
    }

    /// Asks for a sweep.
    pub(crate) fn request_sweep(&self) {
        self.sweeps.notify_one();
    }

    /// Waits until a sweep is asked for, and no longer than `limit`.
    pub(crate) async fn wait_for_sweep(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.sweeps.notified()).await;
    }

    /// Returns whether the first lists have come.
    pub(crate) fn are_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    /// Waits until the first lists have come. Returns `false` if they never will.
    pub(crate) async fn wait_until_listed(&self) -> bool {
        let listed = self.workspaces.wait_until_ready().await.is_ok() && self.maps.wait_until_ready().await.is_ok();
        // Nothing is decided without the pods.
        self.pods.wait_until_listed().await;
        self.listed.store(listed, Ordering::Relaxed);
        listed
    }

    /// Waits until the maps and pods are listed. A decision before that would see none of them.
    pub(crate) async fn wait_until_decidable(&self) {
        let _ = self.maps.wait_until_ready().await;
        self.pods.wait_until_listed().await;
    }
}
