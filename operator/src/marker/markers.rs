//! The way to the marker maps of all namespaces: what they say now, and writes to them.
//!
//! [`Markers`] alone reads and writes them. Each write is bound to the version of the map that it was decided on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::Store;
use kube::{Client, ResourceExt};
use rototo_api::names::ANNOTATION_CA;
use rototo_protocol::Marked;
use rototo_protocol::plan::{MapVersion, MarkerMap};
use serde_json::{Map, Value};
use tokio::time::timeout;
use tracing::debug;

use crate::marker::left_over::{is_of, left_over};
use crate::marker::map::{self, MapMetadata, WriteError};
use crate::marker::maps::Maps;
use crate::marker::problem::PublishProblem;

/// The time within which the API server answers; after it, the map is read to see what has become of a write.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// The number of attempts at taking over a map that others write.
const ATTEMPTS: u32 = 5;

/// The marker maps.
pub(crate) struct Markers {
    client: Client,
    metadata: Mutex<Arc<MapMetadata>>,
    maps: Maps,
    /// The tenure in which this process took over the map of each namespace.
    taken_over: Mutex<HashMap<String, u64>>,
}

impl Markers {
    /// Creates the access to the maps that `watched` bring, which are written with `metadata` beside the markers.
    pub(crate) fn new(client: Client, metadata: MapMetadata, watched: Vec<Store<ConfigMap>>) -> Self {
        Self {
            client,
            metadata: Mutex::new(Arc::new(metadata)),
            maps: Maps::new(watched),
            taken_over: Mutex::default(),
        }
    }

    fn metadata(&self) -> Arc<MapMetadata> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Maps that are written from now on name these authorities.
    pub(crate) fn name_authorities(&self, authorities: &str) {
        let mut metadata = self.metadata.lock().unwrap_or_else(PoisonError::into_inner);
        *metadata = Arc::new(MapMetadata { ca: authorities.to_owned(), ..MapMetadata::clone(&metadata) });
    }

    /// Returns the namespaces whose map belongs to this install, and does not name just these authorities.
    pub(crate) fn without_authorities(&self, authorities: &str) -> Vec<String> {
        let metadata = self.metadata();
        let lacks = |namespace: &String| {
            let map = self.maps.newest(namespace).filter(|map| is_of(map, &metadata.install));
            map.is_some_and(|map| map.annotations().get(ANNOTATION_CA).map(String::as_str) != Some(authorities))
        };
        self.maps.namespaces().into_iter().filter(lacks).collect()
    }

    /// Writes the address and the authorities into the map of a namespace, and no marker. The writer holds the turn.
    pub(crate) async fn readdress(&self, namespace: &str) -> Result<(), WriteError> {
        let Some(map) = self.maps.newest(namespace) else { return Ok(()) };
        let at = MapVersion::Version(map.resource_version().unwrap_or_default());
        self.write(namespace, Map::new(), &at).await
    }

    async fn write(&self, namespace: &str, data: Map<String, Value>, at: &MapVersion) -> Result<(), WriteError> {
        let map = in_time(self.metadata().write(&self.client, namespace, data, at)).await?;
        self.maps.saw(namespace, Some(Arc::new(map)));
        Ok(())
    }

    /// Returns the turn of a namespace. The writer of its map holds it from the decision to the answer.
    pub(crate) fn turn(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.maps.turn(namespace)
    }

    /// Returns the newest known map of a namespace, as it concerns the workspace `name`.
    pub(crate) fn read(&self, namespace: &str, name: &str) -> MarkerMap {
        self.metadata().read(self.maps.newest(namespace).as_deref(), name)
    }

    /// Returns `map` as it concerns the workspace `name`.
    pub(crate) fn read_in(&self, map: &ConfigMap, name: &str) -> MarkerMap {
        self.metadata().read(Some(map), name)
    }

    /// Returns the names of the workspaces that the newest known map of a namespace has a key for, if it is this
    /// install's.
    pub(crate) fn names(&self, namespace: &str) -> Vec<String> {
        let metadata = self.metadata();
        let map = self.maps.newest(namespace).filter(|map| is_of(map, &metadata.install));
        map.iter().flat_map(|map| map.data.iter().flatten()).map(|(name, _)| name.clone()).collect()
    }

    /// Writes the marker of one workspace, provided that the map is as it was `at` the decision.
    pub(crate) async fn publish(
        &self,
        namespace: &str,
        name: &str,
        marked: Marked,
        at: &MapVersion,
    ) -> Result<(), WriteError> {
        self.write(namespace, map::published(name, &marked), at).await
    }

    /// Writes what has to become of the keys of workspaces that are `gone`, as [`left_over`] says. Returns the names of
    /// these keys; none if nothing is left over. The client ends the write, so a turn is not held for long.
    pub(crate) async fn remove(
        &self,
        namespace: &str,
        gone: &BTreeSet<String>,
        without_marker: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, WriteError> {
        // The watch may be behind this process's own writes.
        let Some(map) = self.maps.newest(namespace) else { return Ok(BTreeSet::new()) };
        let left = left_over(&map, &self.metadata().install, gone, without_marker, Timestamp::now());
        let names: BTreeSet<String> = left.keys().cloned().collect();
        if !names.is_empty() {
            let at = MapVersion::Version(map.resource_version().unwrap_or_default());
            let map = self.metadata().write(&self.client, namespace, left, &at).await?;
            self.maps.saw(namespace, Some(map.into()));
        }
        Ok(names)
    }

    /// Returns whether this process has taken over the map of a namespace in this tenure.
    pub(crate) fn is_taken_over(&self, namespace: &str, tenure: u64) -> bool {
        self.taken_over().get(namespace) == Some(&tenure)
    }

    /// Takes over the map of a namespace for this tenure, as long as the process `leads`. What an earlier leader has written
    /// is then known, although the watch may lag behind it, and what is under way from it does not take effect any more.
    /// Otherwise its writes would look like edits by somebody else. The caller holds the turn.
    pub(crate) async fn take_over(
        &self,
        namespace: &str,
        tenure: u64,
        leads: impl Fn() -> bool,
    ) -> Result<(), PublishProblem> {
        for _ in 0..ATTEMPTS {
            if self.is_taken_over(namespace, tenure) || !leads() {
                return Ok(());
            }
            self.refresh(namespace).await?;
            if let Some(map) = self.maps.newest(namespace).filter(|map| is_of(map, &self.metadata().install)) {
                match in_time(map::take_over(&self.client, &map, Timestamp::now())).await {
                    Ok(map) => self.maps.saw(namespace, Some(map.into())),
                    // A write came between: it is read now.
                    Err(WriteError::Conflict) => continue,
                    // What was read holds. The next reconcile tries again, and a write of a marker fails for itself.
                    Err(error) => {
                        debug!(namespace, %error, "the ConfigMap can't be taken over");
                        return Ok(());
                    }
                }
            }
            self.taken_over().insert(namespace.to_owned(), tenure);
        }
        Err(PublishProblem::Unavailable(WriteError::Conflict.to_string()))
    }

    fn taken_over(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.taken_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the map of a namespace from the API server.
    pub(crate) async fn refresh(&self, namespace: &str) -> Result<(), PublishProblem> {
        match timeout(ANSWERS_WITHIN, map::get(&self.client, namespace)).await {
            Ok(Ok(map)) => {
                self.maps.saw(namespace, map.map(Arc::new));
                Ok(())
            }
            Ok(Err(error)) => Err(PublishProblem::Unavailable(error.to_string())),
            Err(_) => {
                Err(PublishProblem::Unavailable(format!("the API server did not answer within {ANSWERS_WITHIN:?}")))
            }
        }
    }

    /// Records that the watch shows that this map was deleted.
    pub(crate) fn deleted(&self, map: &ConfigMap) {
        self.maps.deleted(map);
    }

    /// Records that the watch has brought a complete list of the maps. Those of which it has an earlier version than this
    /// process knew are taken over again before the next decision, which reads them.
    pub(crate) fn listed(&self) {
        let doubtful = self.maps.listed();
        let mut taken_over = self.taken_over();
        for namespace in doubtful {
            taken_over.remove(&namespace);
        }
    }
}

/// Returns the map after a write, or that there was no answer in time.
async fn in_time(write: impl Future<Output = Result<ConfigMap, WriteError>>) -> Result<ConfigMap, WriteError> {
    let written = timeout(ANSWERS_WITHIN, write).await;
    written.unwrap_or_else(|_| Err(WriteError::Unavailable("no answer".to_owned())))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::{Request, Response};
    use kube::client::Body;
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use rototo_api::names::MARKERS;
    use serde_json::json;

    use super::*;

    fn map(version: u64) -> ConfigMap {
        let metadata = json!({ "name": MARKERS, "namespace": "prod", "resourceVersion": version.to_string() });
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    /// The API server was restored from a copy, whose versions are lower.
    #[tokio::test]
    async fn a_map_that_a_list_has_in_an_earlier_version_is_read_before_the_next_decision() {
        let unused = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
        let (store, mut writer) = reflector::store();
        let metadata = MapMetadata { install: "a/b".to_owned(), snapshots: String::new(), ca: String::new() };
        let markers = Markers::new(Client::new(tower::service_fn(unused), "prod"), metadata, vec![store]);
        markers.taken_over().insert("prod".to_owned(), 1);
        for (written, listed, taken_over) in [(7, 7, true), (90, 50, false)] {
            markers.maps.saw("prod", Some(map(written).into()));
            writer.apply_watcher_event(&Event::Init);
            writer.apply_watcher_event(&Event::InitApply(map(listed)));
            writer.apply_watcher_event(&Event::InitDone);
            markers.listed();
            assert_eq!(markers.is_taken_over("prod", 1), taken_over, "{written} {listed}");
        }
    }
}
