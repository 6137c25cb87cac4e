//! The watches, and what each of them rings for. One set per watched namespace, or one for all of them.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use rototo_api::names::{LABEL_WORKSPACE_PREFIX, MARKERS};
use rototo_api::workspace::RototoWorkspace;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::fleet::pods::PodIndex;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::record_store::WorkspaceKey;
use crate::reconcile::sweep::sweep;
use crate::reconcile::{ReconcileError, reconcile};

/// How long to wait after a reconcile that failed.
const RETRY: Duration = Duration::from_secs(5);
/// How many seconds one watch request lasts. It has to be less than 295, where proxies commonly give up by themselves,
/// and a half-open connection may go unnoticed for as long. The spread keeps the watches from being renewed together.
pub(crate) const WATCH_LASTS: RangeInclusive<u32> = 210..=270;

/// Which namespaces one set of watches covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchScope {
    /// All of them.
    Cluster,
    /// One.
    Namespace(String),
}

impl WatchScope {
    /// The scopes of `--watch-namespace`.
    #[must_use]
    pub fn of(namespaces: &[String]) -> Vec<Self> {
        if namespaces.is_empty() {
            return vec![Self::Cluster];
        }
        namespaces.iter().cloned().map(Self::Namespace).collect()
    }

    /// Whether it covers a namespace.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespace(own) => own == namespace,
        }
    }

    fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self, client: &Client) -> Api<K> {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// The caches of one scope, before anything has filled them.
pub struct Watches {
    scope: WatchScope,
    /// The workspaces.
    pub workspaces: (Store<RototoWorkspace>, Writer<RototoWorkspace>),
    /// The maps with the markers.
    pub maps: (Store<ConfigMap>, Writer<ConfigMap>),
    /// The pods.
    pub pods: Arc<PodIndex>,
    /// Whether the first lists have come.
    pub watching: Arc<AtomicBool>,
    /// Asks for a sweep.
    pub sweeps: Arc<Notify>,
    requeues: UnboundedReceiver<ObjectRef<RototoWorkspace>>,
}

impl Watches {
    /// Watches of `scope`, whose workspaces are also reconciled when `requeues` ask for it.
    #[must_use]
    pub fn new(scope: WatchScope, requeues: UnboundedReceiver<ObjectRef<RototoWorkspace>>) -> Self {
        let (workspaces, maps, pods) = (reflector::store(), reflector::store(), Arc::default());
        Self { scope, workspaces, maps, pods, watching: Arc::default(), sweeps: Arc::default(), requeues }
    }

    /// Watches and reconciles until `shutdown`.
    pub async fn run(mut self, context: Arc<OperatorContext>, shutdown: CancellationToken) {
        let client = &context.client;
        let (workspaces, writer) = self.workspaces;
        let sweeps = self.sweeps.clone();

        let maps =
            watcher(self.scope.api::<ConfigMap>(client), named_markers()).backoff(watch_backoff()).reflect(self.maps.1);
        let maps = maps.for_each(|event| {
            note(event, "ConfigMaps", |event| map_changed(event, &context, &workspaces, &sweeps));
            future::ready(())
        });
        let pods = watcher(self.scope.api::<Pod>(client), watched()).backoff(watch_backoff());
        let pods = pods.for_each(|event| {
            note(event, "Pods", |event| {
                self.pods.apply(event);
                pod_changed(event, &context, &workspaces);
            });
            future::ready(())
        });
        let sweeper = async {
            if workspaces.wait_until_ready().await.is_err() || self.maps.0.wait_until_ready().await.is_err() {
                return;
            }
            self.watching.store(true, Ordering::Relaxed);
            loop {
                let all = sweep(&context, &self.scope, &self.maps.0).await;
                let again = if all { Duration::from_secs(3600) } else { RETRY };
                let _ = tokio::time::timeout(again, sweeps.notified()).await;
            }
        };

        let objects = watcher(self.scope.api::<RototoWorkspace>(client), watched());
        let objects = objects.backoff(watch_backoff()).reflect(writer).inspect_ok({
            let sweeps = sweeps.clone();
            move |event| {
                if matches!(event, watcher::Event::Delete(_) | watcher::Event::InitDone) {
                    sweeps.notify_one();
                }
            }
        });
        let ready = wait_for_caches(self.maps.0.clone(), self.pods.clone());
        let controller = Controller::for_stream(after(ready, objects.applied_objects()), workspaces.clone())
            .reconcile_on(stream::poll_fn(move |task| self.requeues.poll_recv(task)))
            .graceful_shutdown_on(shutdown.clone().cancelled_owned())
            .run(reconcile, on_error, context.clone())
            .for_each(|_| future::ready(()));

        // The watches go on for ever, whatever happens to them; what ends is the controller, and only on shutdown.
        tokio::select! {
            () = controller => {}
            () = maps => {}
            () = pods => {}
            () = sweeper => {}
        }
    }
}

/// How long to wait before a watch that failed is tried again: an API server that is back is noticed within seconds.
fn watch_backoff() -> watcher::ExponentialBackoff {
    let backoff = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200));
    backoff.with_max_delay(Duration::from_secs(5)).with_jitter().without_max_times().into()
}

/// A watch that failed goes on by itself after a while.
fn note<K>(event: Result<watcher::Event<K>, watcher::Error>, what: &str, changed: impl FnOnce(&watcher::Event<K>)) {
    match event {
        Ok(event) => changed(&event),
        Err(error) => warn!(%error, what, "a watch was interrupted"),
    }
}

/// A decision before the first list of the maps would see none of them.
async fn wait_for_caches(maps: Store<ConfigMap>, pods: Arc<PodIndex>) {
    let _ = maps.wait_until_ready().await;
    pods.wait_until_listed().await;
}

fn after<T>(ready: impl Future<Output = ()>, stream: impl Stream<Item = T>) -> impl Stream<Item = T> {
    stream::once(ready).filter_map(|()| future::ready(None)).chain(stream)
}

/// A list, and then watches. Each page of a list has its end in the client, and a list that failed begins anew.
fn watched() -> watcher::Config {
    watcher::Config::default().timeout(fastrand::u32(WATCH_LASTS))
}

/// The grant on ConfigMaps is for this one name, and covers a list or watch only with this selector.
fn named_markers() -> watcher::Config {
    watched().fields(&format!("metadata.name={MARKERS}"))
}

fn map_changed(
    event: &watcher::Event<ConfigMap>,
    context: &OperatorContext,
    workspaces: &Store<RototoWorkspace>,
    sweeps: &Notify,
) {
    match event {
        watcher::Event::Apply(map) => {
            let namespace = map.namespace().unwrap_or_default();
            // One's own writes come back too: only who sees something else than it knows has something to do.
            requeue_each(context, workspaces, |workspace| {
                workspace.namespace().as_deref() == Some(&namespace) && !context.knows(workspace, map)
            });
        }
        watcher::Event::Delete(map) => {
            let namespace = map.namespace().unwrap_or_default();
            context.maps.saw(&namespace, None);
            requeue_each(context, workspaces, |workspace| workspace.namespace().as_deref() == Some(&namespace));
        }
        // A list tells of a deletion only by what is not in it.
        watcher::Event::InitDone => {
            context.maps.listed();
            requeue_each(context, workspaces, |_| true);
        }
        watcher::Event::Init | watcher::Event::InitApply(_) => return,
    }
    sweeps.notify_one();
}

fn pod_changed(event: &watcher::Event<Pod>, context: &OperatorContext, workspaces: &Store<RototoWorkspace>) {
    let pod = match event {
        watcher::Event::Apply(pod) | watcher::Event::Delete(pod) => pod,
        // A list tells of an end only by what is not in it.
        watcher::Event::InitDone => return requeue_each(context, workspaces, |_| true),
        watcher::Event::Init | watcher::Event::InitApply(_) => return,
    };
    let namespace = pod.namespace();
    let follows = |name: &str| {
        pod.labels().keys().any(|label| label.strip_prefix(LABEL_WORKSPACE_PREFIX).is_some_and(|label| label == name))
    };
    requeue_each(context, workspaces, |workspace| {
        let chosen = workspace.spec.fleet.as_ref().is_some_and(|fleet| fleet.selector.is_some());
        workspace.namespace() == namespace && (chosen || follows(&workspace.name_any()))
    });
}

fn requeue_each(
    context: &OperatorContext,
    workspaces: &Store<RototoWorkspace>,
    affected: impl Fn(&RototoWorkspace) -> bool,
) {
    for workspace in workspaces.state().iter().filter(|workspace| affected(workspace)) {
        context.requeue(&WorkspaceKey::of(workspace));
    }
}

fn on_error(workspace: Arc<RototoWorkspace>, error: &ReconcileError, _: Arc<OperatorContext>) -> Action {
    warn!(name = workspace.name_any(), %error, "a reconcile failed, and is tried again in {RETRY:?}");
    Action::requeue(RETRY)
}
