//! Runs the watches, and the reconciles and sweeps that they cause: one set for each watched namespace, or one for all
//! of them.
//!
//! [`Watches::run`] is the entry point. Its functions say which events requeue which workspaces.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, store::Writer};
use kube::runtime::{WatchStreamExt, watcher};
use rototo_api::names::{MARKERS, workspace_label};
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceSpec};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::fleet::pod_labels::PodLabels;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::scope::WatchScope;
use crate::reconcile::sweep::sweep;
use crate::reconcile::watch_caches::WatchCaches;
use crate::reconcile::watch_health::{HealthChange, WatchedKind, interruption};
use crate::reconcile::watch_stream::{WatchAnswer, keep_watching, readable_objects};
use crate::reconcile::{ReconcileError, reconcile};
use crate::workspace_key::WorkspaceKey;

/// The prefix of the labels and annotations that the operator reads.
const OWN_PREFIX: &str = "rototo.dev/";
/// The wait after a failed reconcile, or an incomplete sweep.
const RETRY: Duration = Duration::from_secs(5);
/// The wait after either in a namespace in which the operator has no rights.
const RETRY_REFUSED: Duration = Duration::from_secs(30);
/// The wait after a complete sweep.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// The number of seconds that one watch request lasts. It has to be less than 295, because proxies commonly give up
/// then, and a half-open connection may go unnoticed for as long. The range keeps the watches from being renewed
/// together.
pub(crate) const WATCH_LASTS: RangeInclusive<u32> = 210..=270;

/// The watches of one scope, before they run.
pub(crate) struct Watches {
    caches: Arc<WatchCaches>,
    workspaces: Writer<RototoWorkspace>,
    maps: Writer<ConfigMap>,
    requeues: UnboundedReceiver<ObjectRef<RototoWorkspace>>,
}

impl Watches {
    /// Watches of `scope`.
    pub(crate) fn new(scope: WatchScope) -> Self {
        let (workspaces, workspaces_writer) = reflector::store();
        let (maps, maps_writer) = reflector::store();
        let (sender, requeues) = unbounded_channel();
        let caches = Arc::new(WatchCaches::new(scope, workspaces, maps, sender));
        Self { caches, workspaces: workspaces_writer, maps: maps_writer, requeues }
    }

    /// Returns the caches that these watches fill.
    pub(crate) fn caches(&self) -> &Arc<WatchCaches> {
        &self.caches
    }

    /// Watches and reconciles until `shutdown`.
    pub(crate) async fn run(self, context: Arc<OperatorContext>, shutdown: CancellationToken) {
        let Self { caches, workspaces, maps: maps_writer, mut requeues } = self;
        let (client, scope) = (context.client(), caches.scope());

        let report = |kind| {
            let (context, caches) = (context.clone(), caches.clone());
            move |answer: WatchAnswer<'_>| answered(kind, answer, &context, &caches)
        };
        let maps = keep_watching(scope.api::<ConfigMap>(client), named_markers(), report(WatchedKind::Maps));
        let maps = maps.modify(strip).reflect(maps_writer).for_each(|event| {
            event.iter().for_each(|event| map_changed(event, &context, &caches));
            future::ready(())
        });
        let pods =
            keep_watching(scope.api::<Pod>(client), watched().page_size(PAGE_OF_PODS), report(WatchedKind::Pods));
        let pods = pods.for_each(|event| {
            event.iter().for_each(|event| {
                let before = caches.pods().apply(event);
                pod_changed(event, before.as_ref(), &context, &caches);
            });
            future::ready(())
        });
        let sweeper = async {
            if !caches.wait_until_listed().await {
                return;
            }
            let mut problems = BTreeSet::new();
            loop {
                let left = sweep(&context, &caches).await;
                // What holds a sweep up is logged once, however often the sweep is repeated.
                left.difference(&problems).for_each(|problem| warn!("{problem}; the sweep is repeated"));
                let wait = match caches.health().refusal() {
                    _ if left.is_empty() => SWEEP_EVERY,
                    None => RETRY,
                    Some(_) => RETRY_REFUSED,
                };
                problems = left;
                caches.wait_for_sweep(wait).await;
            }
        };

        let objects = scope.api::<DeserializeGuard<RototoWorkspace>>(client);
        let objects = keep_watching(objects, watched(), report(WatchedKind::Workspaces));
        let observed = caches.clone();
        let observe = move |event: &_| observed.unreadable().observe(event);
        let objects = readable_objects(objects, named_workspace, observe);
        let objects = objects.modify(strip).reflect(workspaces).inspect_ok({
            let (context, caches) = (context.clone(), caches.clone());
            move |event| {
                if let watcher::Event::Delete(workspace) = event {
                    // The sweep may not be allowed to ask for it any more, where its namespace goes with it.
                    context.metrics().forget(&WorkspaceKey::of(workspace));
                }
                if matches!(event, watcher::Event::Delete(_) | watcher::Event::InitDone) {
                    caches.request_sweep();
                }
            }
        });
        let ready = {
            let caches = caches.clone();
            async move { caches.wait_until_decidable().await }
        };
        let controller = Controller::for_stream(after(ready, objects.applied_objects()), caches.workspaces().clone())
            .reconcile_on(stream::poll_fn(move |task| requeues.poll_recv(task)))
            .graceful_shutdown_on(shutdown.clone().cancelled_owned())
            .run(reconcile, on_error, context.clone())
            .for_each(|_| future::ready(()));

        // The watches go on for ever, whatever happens to them. Only the controller ends, and only on shutdown.
        tokio::select! {
            () = controller => {}
            () = maps => {}
            () = pods => {}
            () = sweeper => {}
        }
    }
}

/// Notes an answer to a watch. One line is logged, and the metric set, when the state of the scope changes.
fn answered(kind: WatchedKind, answer: WatchAnswer<'_>, context: &OperatorContext, caches: &WatchCaches) {
    let answer = match answer {
        WatchAnswer::Lists => return caches.health().lists(kind),
        WatchAnswer::Runs => Ok(()),
        WatchAnswer::Refused(refusal) => Err(refusal),
        WatchAnswer::Interrupted { error, first } => {
            let (error, scope) = (interruption(error), caches.scope());
            match first {
                true => warn!(error, "a watch of {kind} in {scope} was interrupted, and resumes by itself"),
                false => debug!(error, "a watch of {kind} in {scope} is still interrupted"),
            }
            if caches.health().interrupted(kind, error, Instant::now()) {
                requeue_each(context, caches, |_| true);
            }
            return;
        }
    };
    let Some(change) = caches.health().observe(kind, answer) else { return };
    let scope = caches.scope();
    let namespace = scope.namespace();
    context.metrics().namespace_watched(namespace, !matches!(change, HealthChange::Refused(_)));
    match change {
        HealthChange::Refused(error) => warn!(namespace, "{scope} can't be watched: {error}"),
        HealthChange::Watched => info!(namespace, "{scope} is watched"),
        HealthChange::WatchedAgain => info!(namespace, "{scope} is watched again"),
    }
}

/// Removes the metadata that nothing here reads, before an object is kept: anybody who may write the object decides how
/// large it is.
fn strip(object: &mut impl kube::Resource) {
    let metadata = object.meta_mut();
    let is_ours = |name: &String| name.starts_with(OWN_PREFIX);
    for named in [&mut metadata.annotations, &mut metadata.labels] {
        named.iter_mut().for_each(|named| named.retain(|name, _| is_ours(name)));
    }
    (metadata.managed_fields, metadata.owner_references, metadata.finalizers) = (None, None, None);
}

/// Returns a workspace of which only the metadata is known.
fn named_workspace(metadata: ObjectMeta) -> RototoWorkspace {
    RototoWorkspace { metadata, ..RototoWorkspace::new("", RototoWorkspaceSpec::default()) }
}

fn after<T>(ready: impl Future<Output = ()>, stream: impl Stream<Item = T>) -> impl Stream<Item = T> {
    stream::once(ready).filter_map(|()| future::ready(None)).chain(stream)
}

/// The number of objects in a page of a list. A page is in memory as a whole, and an object may have a megabyte.
const PAGE: u32 = 20;
/// The number of pods in a page. A cluster may have very many, and a list must be complete within the five minutes for
/// which the API server continues it.
const PAGE_OF_PODS: u32 = 50;

/// Configures a watch: a list, and then watch requests. The client limits the time of each page of a list, and a failed
/// list begins again.
fn watched() -> watcher::Config {
    watcher::Config::default().timeout(fastrand::u32(WATCH_LASTS)).page_size(PAGE)
}

/// Configures the watch of the marker maps. The grant on ConfigMaps is for this one name, and covers a list or watch
/// only with this selector.
fn named_markers() -> watcher::Config {
    watched().fields(&format!("metadata.name={MARKERS}"))
}

fn map_changed(event: &watcher::Event<ConfigMap>, context: &OperatorContext, caches: &WatchCaches) {
    match event {
        watcher::Event::Apply(map) => {
            let namespace = map.namespace().unwrap_or_default();
            // This process's own writes come back too: only a workspace for which the map says something new is
            // reconciled.
            requeue_each(context, caches, |workspace| {
                workspace.namespace().as_deref() == Some(&namespace) && !context.knows(workspace, map)
            });
        }
        watcher::Event::Delete(map) => {
            let namespace = map.namespace().unwrap_or_default();
            context.markers().deleted(map);
            requeue_each(context, caches, |workspace| workspace.namespace().as_deref() == Some(&namespace));
        }
        // A list shows a deletion only by the absence of the map.
        watcher::Event::InitDone => {
            context.markers().listed();
            requeue_each(context, caches, |_| true);
        }
        watcher::Event::Init | watcher::Event::InitApply(_) => return,
    }
    caches.request_sweep();
}

fn pod_changed(
    event: &watcher::Event<Pod>,
    before: Option<&PodLabels>,
    context: &OperatorContext,
    caches: &WatchCaches,
) {
    let pod = match event {
        watcher::Event::Apply(pod) | watcher::Event::Delete(pod) => pod,
        // A list shows an end only by the absence of the pod.
        watcher::Event::InitDone => return requeue_each(context, caches, |_| true),
        watcher::Event::Init | watcher::Event::InitApply(_) => return,
    };
    requeue_each(context, caches, |workspace| concerns(workspace, pod, before));
}

/// Returns whether an event of a pod, which had the labels `before`, concerns a workspace: its label selects the pod, or
/// did so before, or it has a selector of its own.
fn concerns(workspace: &RototoWorkspace, pod: &Pod, before: Option<&PodLabels>) -> bool {
    let chosen = workspace.spec.fleet.as_ref().is_some_and(|fleet| fleet.selector.is_some());
    let selects = || {
        let label = workspace_label(&workspace.name_any());
        pod.labels().contains_key(&label) || before.is_some_and(|before| before.may_have(&label))
    };
    workspace.namespace() == pod.namespace() && (chosen || selects())
}

fn requeue_each(context: &OperatorContext, caches: &WatchCaches, affected: impl Fn(&RototoWorkspace) -> bool) {
    for workspace in caches.workspaces().state().iter().filter(|workspace| affected(workspace)) {
        context.cluster().requeue(&WorkspaceKey::of(workspace));
    }
}

fn on_error(workspace: Arc<RototoWorkspace>, error: &ReconcileError, context: Arc<OperatorContext>) -> Action {
    let key = WorkspaceKey::of(&workspace);
    let wait = if context.cluster().is_refused(&key.namespace) { RETRY_REFUSED } else { RETRY };
    let error = error.to_string();
    let new = context.failures().is_new(&key, &error);
    let WorkspaceKey { namespace, name } = key;
    if new {
        warn!(namespace, name, error, "a reconcile failed, and is tried again in {wait:?}");
    } else {
        debug!(namespace, name, error, "a reconcile failed again");
    }
    Action::requeue(wait)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::reconcile::cluster_view::ClusterView;

    fn workspace(name: &str, fleet: Value) -> RototoWorkspace {
        let spec = json!({ "source": "https://example.com/config.git", "fleet": fleet });
        let metadata = json!({ "namespace": "prod", "name": name });
        let (api_version, kind) = ("rototo.dev/v1alpha1", "RototoWorkspace");
        serde_json::from_value(json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec }))
            .unwrap()
    }

    fn pod(namespace: &str, labels: &[&str]) -> Pod {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|name| (workspace_label(name), String::new())).collect();
        serde_json::from_value(json!({ "metadata": { "namespace": namespace, "name": "a", "labels": labels } }))
            .unwrap()
    }

    #[test]
    fn an_event_of_a_pod_concerns_the_workspaces_that_select_it_or_did_so_before() {
        let before = pod("prod", &["left", "kept"]).metadata.labels.map(|labels| PodLabels::of(&labels, usize::MAX));
        let concerned = |name, fleet, namespace, before| {
            concerns(&workspace(name, fleet), &pod(namespace, &["kept", "joined"]), before)
        };
        for (name, expected) in [("left", true), ("kept", true), ("joined", true), ("other", false)] {
            assert_eq!(concerned(name, json!(null), "prod", before.as_ref()), expected, "{name}");
            assert!(!concerned(name, json!(null), "test", before.as_ref()), "{name} in another namespace");
        }
        assert!(!concerned("left", json!(null), "prod", None));
        let selector = json!({ "selector": { "matchLabels": { "app": "config" } } });
        assert!(concerned("other", selector, "prod", None), "any pod may be of its selector");
    }

    #[test]
    fn an_object_is_kept_without_the_metadata_that_nothing_reads() {
        let named = json!({ "rototo.dev/markers": "true", "other.dev/large": "x", "notes": "y" });
        let metadata = json!({
            "namespace": "prod", "name": "a", "uid": "1", "resourceVersion": "7", "generation": 3,
            "deletionTimestamp": "2026-11-20T18:40:00Z", "labels": named, "annotations": named, "finalizers": ["f"],
            "managedFields": [{ "manager": "m" }],
            "ownerReferences": [{ "apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "2" }],
        });
        let mut map: ConfigMap = serde_json::from_value(json!({ "metadata": metadata, "data": { "a": "1" } })).unwrap();
        strip(&mut map);
        let ours = json!({ "rototo.dev/markers": "true" });
        let kept = json!({
            "namespace": "prod", "name": "a", "uid": "1", "resourceVersion": "7", "generation": 3,
            "deletionTimestamp": "2026-11-20T18:40:00Z", "labels": ours, "annotations": ours,
        });
        let map = serde_json::to_value(map).unwrap();
        assert_eq!((&map["metadata"], &map["data"]), (&kept, &json!({ "a": "1" })));
    }

    /// An API server that lists `items`, and then shows `events`.
    fn server(items: Value, events: Vec<Value>) -> Client {
        let list = json!({ "metadata": { "resourceVersion": "2" }, "items": items }).to_string();
        let events: String = events.iter().map(|event| format!("{event}\n")).collect();
        let answer = move |request: http::Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (list, events) = (list.clone(), events.clone());
            async move {
                let body = match query.contains("watch=true") {
                    false => list,
                    true if query.contains("resourceVersion=2") => events,
                    true => std::future::pending().await,
                };
                http::Response::builder().body(Body::from(body.into_bytes()))
            }
        };
        Client::new(tower::service_fn(answer), "prod")
    }

    #[tokio::test]
    async fn a_workspace_that_cannot_be_read_hides_no_other_and_is_known_to_exist() {
        let object = |name: &str, version: &str, fail_on: &str| {
            json!({
                "apiVersion": "rototo.dev/v1alpha1", "kind": "RototoWorkspace",
                "metadata": { "namespace": "prod", "name": name, "resourceVersion": version },
                "spec": { "source": "https://example.com/config.git", "lint": { "failOn": fail_on } },
            })
        };
        let event = |kind: &str, object: Value| json!({ "type": kind, "object": object });
        let items = json!([object("a", "1", "ofALaterVersion"), object("b", "2", "error")]);
        let events = vec![
            event("MODIFIED", object("b", "3", "ofALaterVersion")),
            event("DELETED", object("a", "4", "ofALaterVersion")),
            event("MODIFIED", object("b", "5", "warning")),
        ];
        let api = WatchScope::Cluster.api::<DeserializeGuard<RototoWorkspace>>(&server(items, events));
        let (store, writer) = reflector::store();
        let (requeues, _) = unbounded_channel();
        let caches = WatchCaches::new(WatchScope::Cluster, store.clone(), reflector::store().0, requeues);
        let caches = Arc::new(caches);
        let cluster = ClusterView::new(vec![caches.clone()]);
        let objects = keep_watching(api, watched(), |_| ());
        let observe = |event: &_| caches.unreadable().observe(event);
        let shown = readable_objects(objects, named_workspace, observe).reflect(writer).map(|event| {
            let known = store.state().into_iter().map(|object| object.name_any()).collect::<Vec<_>>().concat();
            let key = |name: &&str| WorkspaceKey { namespace: "prod".to_owned(), name: (*name).to_owned() };
            let exist = ["a", "b"].into_iter().filter(|name| cluster.exists(&key(name))).collect::<String>();
            let (read, exists) = match event.unwrap() {
                watcher::Event::Init => ("lists".to_owned(), String::new()),
                watcher::Event::InitApply(object) => (format!("{} is listed", object.name_any()), String::new()),
                watcher::Event::InitDone => (format!("listed: {known}"), exist),
                watcher::Event::Apply(object) => (format!("{} is changed: {known}", object.name_any()), exist),
                watcher::Event::Delete(object) => (format!("{} is not read: {known}", object.name_any()), exist),
            };
            format!("{read}; {exists}")
        });
        let shown: Vec<_> = shown.take(6).collect().await;
        let expected = [
            "lists; ",
            "b is listed; ",
            "listed: b; ab",
            "b is not read: ; ab",
            "a is not read: ; b",
            "b is changed: b; b",
        ];
        assert_eq!(shown, expected);
        assert!(cluster.unreadable().is_empty());
    }
}
