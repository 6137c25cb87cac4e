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
    answers: Mutex<Answers>,
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// The answers to this process's own requests, by namespace.
#[derive(Default)]
struct Answers {
    maps: HashMap<String, Arc<ConfigMap>>,
    /// The versions at which maps were deleted. The answer to an earlier request may come after the watch shows that.
    deleted: HashMap<String, u64>,
}

impl Maps {
    /// Creates the view of the maps that these watches bring.
    #[must_use]
    pub fn new(watched: Vec<Store<ConfigMap>>) -> Self {
        Self { watched, answers: Mutex::default(), turns: Mutex::default() }
    }

    /// Returns the newest known map of a namespace. The watch is behind this process's own writes for a moment, and a
    /// decision on an old map would see an old publish.
    #[must_use]
    pub fn newest(&self, namespace: &str) -> Option<Arc<ConfigMap>> {
        let key = ObjectRef::new(MARKERS).within(namespace);
        let watched = self.watched.iter().find_map(|store| store.get(&key));
        let answered = self.lock().maps.get(namespace).cloned();
        match (watched, answered) {
            (Some(watched), Some(answered)) if version(&answered) > version(&watched) => Some(answered),
            (None, Some(answered)) => Some(answered),
            (watched, _) => watched,
        }
    }

    /// Returns the namespaces that have a map.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<String> {
        let watched = self.watched.iter().flat_map(Store::state).filter_map(|map| map.namespace());
        watched.chain(self.lock().maps.keys().cloned()).collect()
    }

    /// Returns the turn of a namespace. The writer of its map holds it from the decision to the answer.
    #[must_use]
    pub fn turn(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(namespace.to_owned()).or_default().clone()
    }

    /// Records that a list of the maps has come, which is newer than all answers: in an API server that was restored from a
    /// copy, versions have gone back. Returns the namespaces of which an answer had a map that the list does not have, or
    /// has in an earlier version. Their maps have to be read again before the next decision.
    pub fn listed(&self) -> Vec<String> {
        let Answers { maps, .. } = std::mem::take(&mut *self.lock());
        let listed = |namespace: &str| {
            let key = ObjectRef::new(MARKERS).within(namespace);
            self.watched.iter().find_map(|store| store.get(&key))
        };
        let is_doubtful = |(namespace, map): &(String, Arc<ConfigMap>)| {
            listed(namespace).is_none_or(|listed| version(&listed) < version(map))
        };
        maps.into_iter().filter(is_doubtful).map(|(namespace, _)| namespace).collect()
    }

    /// Records that the watch shows that this map was deleted. It has the version of its deletion.
    pub fn deleted(&self, map: &ConfigMap) {
        let (namespace, deleted) = (map.namespace().unwrap_or_default(), version(map));
        let mut answers = self.lock();
        // The map may have been created again since.
        if answers.maps.get(&namespace).is_none_or(|map| version(map) <= deleted) {
            answers.maps.remove(&namespace);
            answers.deleted.insert(namespace, deleted);
        }
    }

    /// Records that the API server has answered a request with this map.
    pub fn saw(&self, namespace: &str, map: Option<Arc<ConfigMap>>) {
        let mut answers = self.lock();
        let Some(map) = map else {
            answers.maps.remove(namespace);
            return;
        };
        if answers.deleted.get(namespace).is_none_or(|deleted| version(&map) > *deleted) {
            answers.deleted.remove(namespace);
            answers.maps.insert(namespace.to_owned(), map);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the version of a map. The versions of one resource grow: Kubernetes promises it since 1.35, and etcd has
/// always done so.
fn version(map: &ConfigMap) -> u64 {
    map.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::{self, store::Writer};
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;

    fn map(version: u64) -> ConfigMap {
        let metadata = json!({ "name": MARKERS, "namespace": "prod", "resourceVersion": version.to_string() });
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    fn watched() -> (Maps, Writer<ConfigMap>) {
        let (store, writer) = reflector::store();
        (Maps::new(vec![store]), writer)
    }

    fn list(maps: &Maps, writer: &mut Writer<ConfigMap>, listed: Option<ConfigMap>) -> Vec<String> {
        writer.apply_watcher_event(&Event::Init);
        listed.into_iter().for_each(|map| writer.apply_watcher_event(&Event::InitApply(map)));
        writer.apply_watcher_event(&Event::InitDone);
        maps.listed()
    }

    fn newest(maps: &Maps) -> Option<u64> {
        maps.newest("prod").map(|map| version(&map))
    }

    #[test]
    fn the_newest_of_watch_and_answers_counts() {
        let (maps, mut writer) = watched();
        list(&maps, &mut writer, Some(map(7)));
        maps.saw("prod", Some(map(9).into()));
        assert_eq!(newest(&maps), Some(9));
        writer.apply_watcher_event(&Event::Apply(map(8)));
        assert_eq!(newest(&maps), Some(9));
        writer.apply_watcher_event(&Event::Apply(map(10)));
        assert_eq!(newest(&maps), Some(10));
    }

    #[test]
    fn a_map_that_was_deleted_before_the_answer_to_its_patch_arrives_is_gone() {
        let (maps, mut writer) = watched();
        list(&maps, &mut writer, Some(map(9)));
        writer.apply_watcher_event(&Event::Delete(map(11)));
        maps.deleted(&map(11));
        maps.saw("prod", Some(map(10).into()));
        assert_eq!(newest(&maps), None);
        maps.saw("prod", Some(map(12).into()));
        assert_eq!(newest(&maps), Some(12));
        // The watch is behind: the map was created again since.
        maps.deleted(&map(11));
        assert_eq!(newest(&maps), Some(12));
    }

    #[test]
    fn a_list_outweighs_every_answer() {
        let (maps, mut writer) = watched();
        list(&maps, &mut writer, Some(map(7)));
        maps.saw("prod", Some(map(90).into()));
        assert_eq!((list(&maps, &mut writer, Some(map(50))), newest(&maps)), (vec!["prod".to_owned()], Some(50)));
        maps.saw("prod", Some(map(51).into()));
        assert_eq!((list(&maps, &mut writer, Some(map(51))), newest(&maps)), (Vec::new(), Some(51)));
        maps.saw("prod", Some(map(52).into()));
        assert_eq!((list(&maps, &mut writer, None), newest(&maps)), (vec!["prod".to_owned()], None));
        maps.deleted(&map(60));
        list(&maps, &mut writer, None);
        maps.saw("prod", Some(map(53).into()));
        assert_eq!(newest(&maps), Some(53), "the version of a deletion counts until the next list");
    }
}
