//! What every reconcile and every request shares: clients, caches, and the records of the workspaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::{Moment, Pods};
use rototo_protocol::plan::{MarkerEntry, MarkerMap};
use rototo_source::Reader;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use crate::fleet::pods::{PodIndex, PodSelection};
use crate::leader::{Leadership, LeadershipChange};
use crate::marker::map::MapMetadata;
use crate::marker::maps::Maps;
use crate::reconcile::progress::Progress;
use crate::reconcile::record_store::{RecordStore, SharedRecord, WorkspaceKey};
use crate::reconcile::watches::WatchScope;
use crate::source::custom_rules::CustomRules;
use crate::source::snapshots::Snapshots;
use crate::status::metrics::Metrics;

/// What every reconcile and every request shares.
pub struct OperatorContext {
    /// The API server.
    pub client: Client,
    /// Who writes Events.
    pub reporter: Reporter,
    /// Reads sources.
    pub reader: Reader,
    /// Runs what workspaces bring along.
    pub custom_rules: CustomRules,
    /// What marker maps say beside the markers.
    pub map_metadata: MapMetadata,
    /// Content by fingerprint.
    pub snapshots: Arc<Snapshots>,
    /// The workspaces.
    pub records: RecordStore,
    /// The RototoWorkspaces of the watched namespaces.
    pub workspaces: Vec<Store<RototoWorkspace>>,
    /// The ConfigMaps with the markers.
    pub maps: Maps,
    /// The pods of the watched namespaces, one index for each set of watches.
    pub pods: Vec<Arc<PodIndex>>,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// The heartbeat of a small fleet.
    pub heartbeat: Duration,
    /// When a report was turned away last, before it was known whose it was.
    pub turned_away: TurnedAway,
    /// Ask for a reconcile.
    pub requeues: RequeueSenders,
    /// Whether the first lists have come, one for each set of watches.
    pub watching: Vec<Arc<AtomicBool>>,
    /// Ask for a sweep, one for each set of watches.
    pub sweeps: Vec<Arc<Notify>>,
    /// What Prometheus is told.
    pub metrics: Arc<Metrics>,
    /// Whether the process still turns.
    pub progress: Arc<Progress>,
}

impl OperatorContext {
    /// Asks for a reconcile of one workspace.
    pub fn requeue(&self, key: &WorkspaceKey) {
        let covering = self.requeues.0.iter().filter(|(scope, _)| scope.covers(&key.namespace));
        for (_, sender) in covering {
            // Nobody listens any more only while the process ends.
            let _ = sender.send(ObjectRef::new(&key.name).within(&key.namespace));
        }
    }

    /// Follows what becomes of the Lease.
    pub fn leadership_changed(&self, change: LeadershipChange) {
        match change {
            LeadershipChange::Gained => self.begin(),
            LeadershipChange::Lapsed => self.resume(),
            LeadershipChange::Lost => self.end(),
        }
    }

    /// This process writes from now on: every workspace is reconciled, and what is left over is swept.
    fn begin(&self) {
        for sweep in &self.sweeps {
            sweep.notify_one();
        }
        for workspace in self.workspaces.iter().flat_map(Store::state) {
            self.requeue(&WorkspaceKey::of(&workspace));
        }
    }

    /// Whether the map says of a workspace just what is known of it.
    #[must_use]
    pub fn knows(&self, workspace: &RototoWorkspace, map: &ConfigMap) -> bool {
        let known =
            self.records.get(&WorkspaceKey::of(workspace)).and_then(|record| record.lock().publisher.published());
        match (self.map_metadata.read(Some(map), &workspace.name_any()), known) {
            (MarkerMap::Ours { addressed: true, marker: MarkerEntry::Published(publish), .. }, Some(known)) => {
                publish == known
            }
            _ => false,
        }
    }

    /// This process could not write for a while, and nobody else did. What is known of sources and markers is still
    /// right; but reports were turned away meanwhile, so who runs what is counted anew.
    fn resume(&self) {
        for (_, record) in self.records.all() {
            record.lock().lapsed();
        }
    }

    /// Another process writes from now on: what is known here is about to grow old.
    fn end(&self) {
        for key in self.records.clear() {
            self.metrics.forget(&key);
        }
    }

    /// Whether the watches have brought a workspace of this name.
    #[must_use]
    pub fn exists(&self, key: &WorkspaceKey) -> bool {
        let object = ObjectRef::new(&key.name).within(&key.namespace);
        self.workspaces.iter().any(|store| store.get(&object).is_some())
    }

    /// Whether all first lists have come.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        self.watching.iter().all(|watching| watching.load(Ordering::Relaxed))
    }

    /// Whether this object, and no namesake, is what the watches have brought last.
    #[must_use]
    pub fn still_exists(&self, workspace: &RototoWorkspace) -> bool {
        let object = ObjectRef::new(&workspace.name_any()).within(&WorkspaceKey::of(workspace).namespace);
        let known = self.workspaces.iter().find_map(|store| store.get(&object));
        known.is_some_and(|known| known.metadata.uid == workspace.metadata.uid)
    }

    /// The workspace of this name, as the watches have brought it.
    #[must_use]
    pub fn workspace(&self, key: &WorkspaceKey) -> Option<Arc<RototoWorkspace>> {
        let object = ObjectRef::new(&key.name).within(&key.namespace);
        self.workspaces.iter().find_map(|store| store.get(&object))
    }

    /// The pods of the workspace's namespace.
    #[must_use]
    pub fn pods(&self, workspace: &RototoWorkspace) -> Pods {
        let selection = PodSelection::of(workspace);
        let mut pods = Pods::default();
        for index in &self.pods {
            index.add(&WorkspaceKey::of(workspace).namespace, &selection, &mut pods);
        }
        pods
    }

    /// The record of a workspace, begun if there is none.
    pub fn record(&self, workspace: &RototoWorkspace) -> SharedRecord {
        let never_published = || {
            let map = self.maps.newest(&WorkspaceKey::of(workspace).namespace);
            let marker = self.map_metadata.read(map.as_deref(), &workspace.name_any());
            let marked = !matches!(marker, MarkerMap::Missing | MarkerMap::Ours { marker: MarkerEntry::Nothing, .. });
            workspace.status.is_none() && !marked
        };
        self.records.of(workspace, self.heartbeat, never_published)
    }
}

/// When a report was turned away last, in milliseconds of the operator's clock.
#[derive(Debug, Default)]
pub struct TurnedAway(AtomicU64);

impl TurnedAway {
    /// One is turned away now.
    pub fn note(&self, now: Moment) {
        self.0.fetch_max(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When that was last.
    #[must_use]
    pub fn last(&self) -> Moment {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// One bell for each set of watches.
pub struct RequeueSenders(pub Vec<(WatchScope, UnboundedSender<ObjectRef<RototoWorkspace>>)>);
