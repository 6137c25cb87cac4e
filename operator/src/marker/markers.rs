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
use rototo_api::names::{ANNOTATION_CA, ANNOTATION_INSTALL, MARKERS};
use rototo_connection::api_error;
use rototo_protocol::Marked;
use rototo_protocol::plan::{MapVersion, MarkerMap};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::marker::left_over::{is_of, left_over};
use crate::marker::map::{self, MapMetadata, WriteError};
use crate::marker::maps::Maps;
use crate::marker::problem::PublishProblem;
use crate::service_account::own_user;

/// The time within which the API server answers; after it, the map is read to see what has become of a write.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// The time for which a write that fails at once is sent again: a database that elects a leader fails requests meanwhile. Each
/// is for one version of the map, so at most one of them happens.
const SENT_AGAIN_FOR: Duration = Duration::from_secs(1);
/// The wait before a write is sent again. Each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The number of attempts at taking over a map that others write.
const ATTEMPTS: u32 = 5;

/// The marker maps.
pub(crate) struct Markers {
    client: Client,
    metadata: Mutex<Arc<MapMetadata>>,
    maps: Maps,
    /// The tenure in which this process took over the map of each namespace.
    taken_over: Mutex<HashMap<String, u64>>,
    /// The last write in each namespace, if it had no answer.
    unanswered: Mutex<HashMap<String, UnansweredWrite>>,
    /// The ServiceAccount of this process, as the API server names it; `None` if it has none.
    user: OnceCell<Option<String>>,
}

/// A write that the API server did not answer.
#[derive(Clone, Debug)]
pub(crate) struct UnansweredWrite {
    /// The time until which no marker in the namespace is written: it lasts as long as this write took. So writes that hang
    /// take half of the time at most, and one that failed at once delays no other.
    pub(crate) until: Instant,
    /// The reason why there is no answer.
    pub(crate) error: String,
}

impl Markers {
    /// Creates the access to the maps that `watched` bring, which are written with `metadata` beside the markers.
    pub(crate) fn new(client: Client, metadata: MapMetadata, watched: Vec<Store<ConfigMap>>) -> Self {
        Self {
            client,
            metadata: Mutex::new(Arc::new(metadata)),
            maps: Maps::new(watched),
            taken_over: Mutex::default(),
            unanswered: Mutex::default(),
            user: OnceCell::new(),
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

    /// Writes the map, unless another write in the namespace had no answer and none is to be sent yet.
    async fn write(&self, namespace: &str, data: Map<String, Value>, at: &MapVersion) -> Result<(), WriteError> {
        if let Some(UnansweredWrite { error, .. }) = self.unanswered(namespace) {
            return Err(WriteError::Unavailable(error));
        }
        let metadata = self.metadata();
        let write = || metadata.write(&self.client, namespace, data.clone(), at);
        let map = self.answered(namespace, write).await?;
        self.maps.saw(namespace, Some(Arc::new(map)));
        Ok(())
    }

    /// Returns the map after a write. One that fails at once is sent again for a while. If there was no answer in time, whoever
    /// writes next in the namespace knows it.
    async fn answered<F>(&self, namespace: &str, write: impl Fn() -> F) -> Result<ConfigMap, WriteError>
    where
        F: Future<Output = Result<ConfigMap, WriteError>>,
    {
        let (begun, mut wait) = (Instant::now(), FIRST_WAIT);
        let (sent, written) = loop {
            let sent = Instant::now();
            let written = timeout(ANSWERS_WITHIN, write()).await;
            let written = written.unwrap_or_else(|_| Err(WriteError::Unavailable(no_answer())));
            match &written {
                Err(WriteError::Unavailable(error)) if begun.elapsed() + wait < SENT_AGAIN_FOR => {
                    debug!(namespace, error, "a write of the ConfigMap failed, and is sent again");
                }
                _ => break (sent, written),
            }
            sleep(wait).await;
            wait *= 2;
        };
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(WriteError::Unavailable(error)) = &written {
            let write = UnansweredWrite { until: Instant::now() + sent.elapsed(), error: error.clone() };
            unanswered.insert(namespace.to_owned(), write);
        } else {
            unanswered.remove(namespace);
        }
        written
    }

    /// Returns the last write in a namespace, if it had no answer and none is to be sent yet.
    pub(crate) fn unanswered(&self, namespace: &str) -> Option<UnansweredWrite> {
        let unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        unanswered.get(namespace).filter(|write| Instant::now() < write.until).cloned()
    }

    /// Asks the API server for this process's own user, unless it has said so before. The caller need not hold the turn.
    pub(crate) async fn learn_user(&self) {
        if let Err(error) = self.user.get_or_try_init(|| own_user(&self.client)).await {
            debug!(error = api_error(&error), "the API server does not say who this process is");
        }
    }

    /// Returns the command that lets this install take over the map of a namespace. The chart's admission policy lets nobody
    /// else than this process's own user write a map, which the command names once it [is known](Self::learn_user).
    pub(crate) fn claim(&self, namespace: &str) -> String {
        let user = self.user.get().and_then(Option::as_ref);
        let user = user.map_or_else(String::new, |user| format!(" --as={user}"));
        let install = &self.metadata().install;
        format!("kubectl annotate configmap {MARKERS} -n {namespace} --overwrite {ANNOTATION_INSTALL}={install}{user}")
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
    /// these keys; none if nothing is left over.
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
            self.write(namespace, left, &at).await?;
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
            if self.unanswered(namespace).is_some() {
                // What was read holds.
                return Ok(());
            }
            if let Some(map) = self.maps.newest(namespace).filter(|map| is_of(map, &self.metadata().install)) {
                match self.answered(namespace, || map::take_over(&self.client, &map, Timestamp::now())).await {
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
            Err(_) => Err(PublishProblem::Unavailable(no_answer())),
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

fn no_answer() -> String {
    format!("the API server did not answer within {ANSWERS_WITHIN:?}")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::{Method, Request, Response};
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

    fn install() -> MapMetadata {
        MapMetadata { install: "a/b".to_owned(), snapshots: String::new(), ca: String::new() }
    }

    /// The maps of an API server that returns a map of this install, and answers each PATCH in this way. Also returns the number
    /// of PATCHes that it got.
    fn served<F>(answer: impl Fn() -> F + Clone + Send + 'static) -> (Markers, Arc<AtomicUsize>)
    where
        F: Future<Output = u16> + Send,
    {
        let patches = Arc::<AtomicUsize>::default();
        let counted = patches.clone();
        let respond = move |request: Request<Body>| {
            let (answer, counted) = (answer.clone(), counted.clone());
            async move {
                let code = if request.method() == Method::PATCH {
                    counted.fetch_add(1, Ordering::Relaxed);
                    answer().await
                } else {
                    200
                };
                let metadata = json!({ "name": MARKERS, "namespace": "prod", "resourceVersion": "7",
                    "annotations": { ANNOTATION_INSTALL: "a/b" } });
                let body = match code {
                    200 => json!({ "metadata": metadata }),
                    code => json!({ "code": code, "reason": "InternalError", "message": "the webhook failed" }),
                };
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        };
        let client = Client::new(tower::service_fn(respond), "prod");
        (Markers::new(client, install(), vec![reflector::store().0]), patches)
    }

    async fn write(markers: &Markers) -> Result<(), WriteError> {
        markers.write("prod", Map::new(), &MapVersion::Version("7".to_owned())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_an_answer_is_known_in_its_namespace_for_as_long_as_it_took() {
        let (markers, patches) = served(pending);
        assert!(matches!(write(&markers).await, Err(WriteError::Unavailable(_))));
        let unanswered = markers.unanswered("prod").unwrap();
        assert_eq!(unanswered.error, "the API server did not answer within 10s");
        assert_eq!(unanswered.until.duration_since(Instant::now()), ANSWERS_WITHIN);
        assert!(markers.unanswered("other").is_none());
        // The map is read, and its content known; nothing else is sent.
        assert_eq!(markers.take_over("prod", 1, || true).await, Ok(()));
        assert!(!markers.is_taken_over("prod", 1) && markers.maps.newest("prod").is_some());
        // Nor is anything that is left of a workspace removed.
        let gone = BTreeSet::from(["gone".to_owned()]);
        let removed = markers.remove("prod", &gone, &gone).await;
        assert!(matches!(removed, Err(WriteError::Unavailable(error)) if error == unanswered.error));
        assert_eq!(patches.load(Ordering::Relaxed), 1);
        tokio::time::advance(ANSWERS_WITHIN).await;
        assert!(markers.unanswered("prod").is_none());
        assert_eq!(markers.take_over("prod", 1, || true).await, Ok(()));
        assert!(!markers.is_taken_over("prod", 1) && markers.unanswered("prod").is_some());
        assert_eq!(patches.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_fails_at_once_delays_no_other() {
        let (markers, patches) = served(|| std::future::ready(500));
        assert!(
            matches!(write(&markers).await, Err(WriteError::Unavailable(error)) if error.contains("webhook failed"))
        );
        assert!(markers.unanswered("prod").is_none());
        assert_eq!(patches.load(Ordering::Relaxed), 4, "it is sent again for a second");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_fails_while_the_database_elects_a_leader_does_not_fail() {
        let failures = Arc::new(AtomicUsize::new(2));
        let (markers, patches) = served(move || {
            let fails = failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            std::future::ready(if fails { 500 } else { 200 })
        });
        assert!(write(&markers).await.is_ok());
        assert_eq!(patches.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_fails_late_is_not_sent_again() {
        let (markers, patches) = served(|| async {
            sleep(SENT_AGAIN_FOR).await;
            500
        });
        assert!(matches!(write(&markers).await, Err(WriteError::Unavailable(_))));
        assert_eq!(patches.load(Ordering::Relaxed), 1);
        assert!(markers.unanswered("prod").is_some());
    }

    #[tokio::test]
    async fn a_command_takes_a_map_over_as_the_operator_itself() {
        let claim = async |user: &str| {
            let review = json!({ "metadata": {}, "status": { "userInfo": { "username": user } } }).to_string();
            let answer = move |_: Request<Body>| {
                let review = review.clone();
                async move { Ok::<_, Infallible>(Response::new(Body::from(review.into_bytes()))) }
            };
            let markers = Markers::new(Client::new(tower::service_fn(answer), "prod"), install(), Vec::new());
            markers.learn_user().await;
            markers.claim("shop")
        };
        let command = "kubectl annotate configmap rototo-markers -n shop --overwrite rototo.dev/install=a/b";
        let user = "system:serviceaccount:a:b-rototo-operator";
        assert_eq!(claim(user).await, format!("{command} --as={user}"));
        assert_eq!(claim("somebody else").await, command);
    }

    #[tokio::test]
    async fn a_command_names_the_operators_user_once_the_api_server_has_said_it() {
        let answers = Arc::new(AtomicUsize::new(0));
        let answer = move |_: Request<Body>| {
            let (code, answer) = match answers.fetch_add(1, Ordering::Relaxed) {
                0 => (500, json!({ "code": 500, "reason": "InternalError", "message": "not now" })),
                1 => {
                    let user = json!({ "username": "system:serviceaccount:a:b" });
                    (201, json!({ "metadata": {}, "status": { "userInfo": user } }))
                }
                _ => (500, json!({ "code": 500, "reason": "InternalError", "message": "it is known" })),
            };
            let body = Body::from(answer.to_string().into_bytes());
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap()))
        };
        let markers = Markers::new(Client::new(tower::service_fn(answer), "prod"), install(), Vec::new());
        for named in [false, true, true] {
            markers.learn_user().await;
            assert_eq!(markers.claim("shop").ends_with("rototo.dev/install=a/b --as=system:serviceaccount:a:b"), named);
        }
    }

    /// The API server was restored from a copy, whose versions are lower.
    #[tokio::test]
    async fn a_map_that_a_list_has_in_an_earlier_version_is_read_before_the_next_decision() {
        let unused = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty()));
        let (store, mut writer) = reflector::store();
        let markers = Markers::new(Client::new(tower::service_fn(unused), "prod"), install(), vec![store]);
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
