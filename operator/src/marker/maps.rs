//! The marker maps as this process knows them: [`Maps`] joins the watch with the answers to this process's own
//! requests.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use rototo_api::names::MARKERS;

/// The marker maps: as the watch has brought them, and as they were written or read since.
pub struct Maps {
    watched: Vec<Store<ConfigMap>>,
    written: Mutex<HashMap<String, Arc<ConfigMap>>>,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Maps {
    /// Creates the view of the maps that these watches bring.
    #[must_use]
    pub fn new(watched: Vec<Store<ConfigMap>>) -> Self {
        Self { watched, written: Mutex::default(), turns: Mutex::default() }
    }

    /// Returns the newest known map of a namespace. The watch is behind this process's own writes for a moment, and a
    /// decision on an old map would see an old publish.
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

    /// Returns the namespaces that have a map.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<String> {
        let watched = self.watched.iter().flat_map(Store::state).filter_map(|map| map.namespace());
        watched.chain(self.lock().keys().cloned()).collect()
    }

    /// Returns the turn of a namespace. The writer of its map holds it from the decision to the answer.
    #[must_use]
    pub fn turn(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(namespace.to_owned()).or_default().clone()
    }

    /// Records that a list of the maps has come: a written map that is not in it is gone.
    pub fn listed(&self) {
        let key = |namespace: &str| ObjectRef::new(MARKERS).within(namespace);
        self.lock().retain(|namespace, _| self.watched.iter().any(|store| store.get(&key(namespace)).is_some()));
    }

    /// Records that the API server has answered a request with this map.
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

/// Returns the version of a map. The versions of one resource grow: Kubernetes promises it since 1.35, and etcd has
/// always done so.
fn version(map: &ConfigMap) -> u64 {
    map.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}
