//! What every reconcile and every request shares: clients, caches, and the records of the workspaces.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::core::{Selector, SelectorExt};
use kube::runtime::events::Reporter;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use rototo_api::names::{MARKERS, workspace_label};
use rototo_api::workspace::RototoWorkspace;
use rototo_source::Reader;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use crate::controller::Scope;
use crate::fleet::Pods;
use crate::leader::Leadership;
use crate::markers::{self, Address};
use crate::metrics::Metrics;
use crate::plan::{Found, MarkerMap};
use crate::record::Record;
use crate::snapshots::Snapshots;

/// What every reconcile and every request shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Who writes Events.
    pub reporter: Reporter,
    /// Reads sources.
    pub reader: Reader,
    /// What marker maps say beside the markers.
    pub address: Address,
    /// Content by fingerprint.
    pub snapshots: Snapshots,
    /// The workspaces.
    pub records: Records,
    /// The RototoWorkspaces of the watched namespaces.
    pub workspaces: Vec<Store<RototoWorkspace>>,
    /// The ConfigMaps with the markers.
    pub maps: Maps,
    /// The pods of the watched namespaces, without what is not needed of them.
    pub pods: Vec<Store<Pod>>,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// Ask for a reconcile.
    pub bells: Bells,
    /// Whether the first lists have come, one for each set of watches.
    pub watching: Vec<Arc<AtomicBool>>,
    /// Ask for a sweep, one for each set of watches.
    pub sweeps: Vec<Arc<Notify>>,
    /// What Prometheus is told.
    pub metrics: Arc<Metrics>,
}

impl Context {
    /// Asks for a reconcile of one workspace.
    pub fn ring(&self, key: &Key) {
        let covering = self.bells.0.iter().filter(|(scope, _)| scope.covers(&key.namespace));
        for (_, bell) in covering {
            // Nobody listens any more only while the process ends.
            let _ = bell.send(ObjectRef::new(&key.name).within(&key.namespace));
        }
    }

    /// This process writes from now on: every workspace is reconciled, and what is left over is swept.
    pub fn begin(&self) {
        for sweep in &self.sweeps {
            sweep.notify_one();
        }
        for workspace in self.workspaces.iter().flat_map(Store::state) {
            self.ring(&Key::of(&workspace));
        }
    }

    /// Whether the map says of a workspace just what is known of it.
    #[must_use]
    pub fn knows(&self, workspace: &RototoWorkspace, map: &ConfigMap) -> bool {
        let known = self.records.get(&Key::of(workspace)).and_then(|record| record.lock().published.clone());
        match (self.address.read(Some(map), &workspace.name_any()), known) {
            (MarkerMap::Ours { addressed: true, marker: Found::Marker(marker), .. }, Some(known)) => {
                marker.updated_at() == known.updated_at && markers::names(&marker, &known.fingerprint)
            }
            _ => false,
        }
    }

    /// Another process writes from now on: what is known here is about to grow old.
    pub fn end(&self) {
        for key in self.records.clear() {
            self.metrics.forget(&key);
        }
    }

    /// Whether the watches have brought a workspace of this name.
    #[must_use]
    pub fn exists(&self, key: &Key) -> bool {
        let object = ObjectRef::new(&key.name).within(&key.namespace);
        self.workspaces.iter().any(|store| store.get(&object).is_some())
    }

    /// The pods of the workspace's namespace.
    #[must_use]
    pub fn pods(&self, workspace: &RototoWorkspace) -> Pods {
        let namespace = workspace.namespace();
        let label = workspace_label(&workspace.name_any());
        let custom = workspace.spec.fleet.as_ref().and_then(|fleet| fleet.selector.clone());
        // One that can't be understood selects nothing, rather than everything.
        let custom = custom.map(|selector| Selector::try_from(selector).ok());
        let mut pods = Pods::default();
        for pod in self.pods.iter().flat_map(Store::state).filter(|pod| pod.namespace() == namespace) {
            let running = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
            let Some(uid) = pod.uid().filter(|_| running && pod.metadata.deletion_timestamp.is_none()) else {
                continue;
            };
            let selected = match &custom {
                Some(selector) => selector.as_ref().is_some_and(|selector| selector.matches(pod.labels())),
                None => pod.labels().contains_key(&label),
            };
            if selected {
                pods.selected.insert(uid.clone(), pod.name_any());
            }
            pods.running.insert(uid);
        }
        pods
    }
}

/// One bell for each set of watches.
pub struct Bells(pub Vec<(Scope, UnboundedSender<ObjectRef<RototoWorkspace>>)>);

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

/// The ConfigMaps with the markers: what the watch has brought, and what was written since.
pub struct Maps {
    watched: Vec<Store<ConfigMap>>,
    written: Mutex<HashMap<String, Arc<ConfigMap>>>,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Maps {
    /// What these watches bring.
    #[must_use]
    pub fn new(watched: Vec<Store<ConfigMap>>) -> Self {
        Self { watched, written: Mutex::default(), turns: Mutex::default() }
    }

    /// The newest map of a namespace that this process knows of. The watch is behind one's own writes for a moment,
    /// and a decision on an old map would see an old publish.
    #[must_use]
    pub fn newest(&self, namespace: &str) -> Option<Arc<ConfigMap>> {
        let key = ObjectRef::new(MARKERS).within(namespace);
        let watched = self.watched.iter().find_map(|store| store.get(&key));
        let written = self.lock().get(namespace).cloned();
        match (watched, written) {
            (Some(watched), Some(written)) if version(&written) > version(&watched) => Some(written),
            (None, Some(written)) => Some(written),
            (watched, _) => watched,
        }
    }

    /// Whoever writes the map of a namespace holds this from the decision to the answer.
    #[must_use]
    pub fn turn(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(namespace.to_owned()).or_default().clone()
    }

    /// A list of the maps has come: what was written and is not in it is gone.
    pub fn listed(&self) {
        let key = |namespace: &str| ObjectRef::new(MARKERS).within(namespace);
        self.lock().retain(|namespace, _| self.watched.iter().any(|store| store.get(&key(namespace)).is_some()));
    }

    /// The API server has answered a write or a question with this.
    pub fn saw(&self, namespace: &str, map: Option<Arc<ConfigMap>>) {
        let mut written = self.lock();
        match map {
            Some(map) => written.insert(namespace.to_owned(), map),
            None => written.remove(namespace),
        };
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<ConfigMap>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resource versions of one resource grow (a promise of the Kubernetes API since 1.35, and true of etcd before).
fn version(map: &ConfigMap) -> u64 {
    map.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}
