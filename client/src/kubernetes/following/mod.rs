//! Follows one workspace: turns observations into events, lets the state decide, and carries out its actions.
//!
//! The entry point is [`follow`]. Everything runs in one task, so a workspace is swapped in at one place, and the end
//! of that task ends every operation.

mod cache;
pub(crate) mod direct;
mod in_flight;
mod last_observed;
mod messages;
mod snapshots;
pub(crate) mod target;
#[cfg(test)]
mod tests;

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rototo_api::fleet::ReportResponse;
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::follower::{
    DiskCache, FollowerAction, FollowerEvent, FollowerState, ReportedState, StepTime, next_drained_report, step,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::current::refresh_request::{RefreshOutcome, RefreshRequest};
use crate::current::{Current, FollowerStatus};
use crate::error::Error;
use crate::kubernetes::cluster::NamespaceWatch;
use crate::kubernetes::cluster::doorbell::Doorbell;
use crate::kubernetes::cluster::endpoint::Endpoint;
use crate::kubernetes::cluster::token;
use crate::kubernetes::cluster::watch_cache::WatchCache;
use crate::kubernetes::following::cache::Cache;
use crate::kubernetes::following::in_flight::InFlight;
use crate::kubernetes::following::last_observed::LastObserved;
use crate::kubernetes::following::snapshots::{LoadError, Loaded, SnapshotLoader};
use crate::kubernetes::following::target::FollowTarget;
use crate::kubernetes::reporting::drained::Drained;
use crate::kubernetes::reporting::handles::{CombinedState, Degraded, FollowedWorkspace, HandleRegistration};
use crate::kubernetes::reporting::siblings::Siblings;
use crate::kubernetes::{PATH, reporting};
use crate::workspace::Workspace;

/// The longest wait for the response to the last report.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Follows `target` until `stop`, and then drains.
pub(crate) async fn follow(
    target: FollowTarget,
    current: Arc<Current>,
    refresh_requests: mpsc::Receiver<RefreshRequest>,
    stop: CancellationToken,
) {
    let joined = tokio::select! {
        joined = target.join(&current) => joined,
        () = stop.cancelled() => return,
    };
    Follower::new(target, joined, current, refresh_requests).follow(stop).await;
}

/// One handle's follower: the state that decides, and the operations in flight.
pub(super) struct Follower {
    target: FollowTarget,
    namespace: String,
    current: Arc<Current>,
    doorbell: Arc<Doorbell>,
    registration: Arc<HandleRegistration>,
    health: watch::Receiver<Option<Degraded>>,
    /// The time since which the application is degraded, as the state knows it.
    degraded: Option<Instant>,
    siblings: Siblings,
    watch_cache: watch::Receiver<WatchCache>,
    last_observed: LastObserved,
    refresh_requests: mpsc::Receiver<RefreshRequest>,
    /// Refresh requests without a response, each with the publish that ran when it came.
    waiting: Vec<(RefreshRequest, Option<Publish>)>,
    began: Instant,
    state: FollowerState,
    /// The UID of the pod of this process, once a token has shown it.
    pod: Option<String>,
    loader: Arc<SnapshotLoader>,
    /// The endpoint of the last request, held so that its connection stays open between requests.
    endpoint: Option<Arc<Endpoint>>,
    fetch: InFlight<(Fingerprint, Loaded)>,
    /// The last applied publish, and the time of the swap.
    applied: Option<(Publish, Instant)>,
    /// A workspace that is loaded, and swapped in or held by the next step, or dropped.
    loaded: Option<Workspace>,
    /// The announced workspace, compiled and checked, which the application does not resolve from.
    held: Option<Workspace>,
    report: InFlight<Result<ReportResponse, Fault>>,
    recall: InFlight<Option<(Publish, Workspace)>>,
    keep: InFlight<()>,
}

impl Follower {
    pub(super) fn new(
        target: FollowTarget,
        NamespaceWatch { cluster, namespace, doorbell }: NamespaceWatch,
        current: Arc<Current>,
        refresh_requests: mpsc::Receiver<RefreshRequest>,
    ) -> Self {
        let mut watch_cache = doorbell.watch_cache();
        // The state that the doorbell already shows is new to this follower.
        watch_cache.mark_changed();
        let cache = target.cache_dir.as_ref().map(|directory| Cache::new(directory, &namespace, &target.workspace));
        let disk = if cache.is_some() { DiskCache::Enabled } else { DiskCache::None };
        let state = FollowerState::new(target.stale_after, disk);
        let (registration, workspace) = (target.registration.clone(), target.workspace.clone());
        let followed = FollowedWorkspace { cluster, namespace: namespace.clone(), workspace };
        let prepares = registration.enter(followed, target.prepares);
        if prepares != target.prepares {
            let (source, decided) = (&target.source, if prepares { "on" } else { "off" });
            tracing::warn!(source, decided, "the first handle of this process has decided about preparation");
        }
        let state = if prepares { state } else { state.without_preparing() };
        let pod = token::pod_uid(&target.token_file, &namespace);
        let state = state.in_pod(pod.clone());
        let loader = SnapshotLoader {
            namespace: namespace.clone(),
            workspace: target.workspace.clone(),
            source: target.source.clone(),
            checks: target.checks.clone(),
            cache,
            direct: target.direct.clone(),
        };
        Self {
            state,
            pod,
            loader: Arc::new(loader),
            health: registration.health(),
            degraded: None,
            registration,
            siblings: Siblings::default(),
            target,
            namespace,
            current,
            doorbell,
            watch_cache,
            last_observed: LastObserved::default(),
            refresh_requests,
            waiting: Vec::new(),
            began: Instant::now(),
            endpoint: None,
            fetch: InFlight::empty(),
            applied: None,
            loaded: None,
            held: None,
            report: InFlight::empty(),
            recall: InFlight::empty(),
            keep: InFlight::empty(),
        }
    }

    pub(super) async fn follow(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.run() => {}
            () = stop.cancelled() => {}
        }
        self.drain().await;
    }

    async fn run(&mut self) {
        loop {
            let mut events = self.next_events().await;
            events.extend(self.pod_events());
            for event in events {
                self.take(event);
            }
        }
    }

    /// Decides on one event, and carries out the actions. Reports of this handle or another mention the result only
    /// after the swap, because the registration is updated in between.
    pub(super) fn take(&mut self, event: FollowerEvent) {
        let before = self.state.reported(self.now());
        let mut reports = self.step(event);
        let resolves = self.resolves();
        if self.state.running() != resolves {
            tracing::error!(source = self.target.source, "the content to swap in was missing: it is fetched again");
            reports |= self.step(FollowerEvent::NotSwapped(resolves));
        }
        // Nothing needs content that this step neither swapped in nor holds.
        self.loaded = None;
        self.held = self.held.take().filter(|held| Some(held.fingerprint()) == self.state.held());
        self.registration.update(self.state.reported(self.now()), self.applied, self.degraded);
        if reports {
            self.begin_report();
        }
        self.update_status(&before);
    }

    /// Carries out every action except reports, and returns whether a report is due.
    fn step(&mut self, event: FollowerEvent) -> bool {
        let tick = StepTime { now: self.now(), chance: fastrand::f64() };
        let (state, actions) = step(self.state.clone(), event, tick);
        self.state = state;
        let mut reports = false;
        for action in actions {
            match action {
                FollowerAction::Fetch { fingerprint, base } => self.begin_fetch(fingerprint, base),
                FollowerAction::CancelFetch => self.fetch = InFlight::empty(),
                FollowerAction::Swap(publish) => self.swap(publish),
                FollowerAction::Hold(_) => self.held = self.loaded.take(),
                FollowerAction::Rename { publish, revision } => self.rename(publish, revision),
                FollowerAction::Report(_) => reports = true,
                FollowerAction::RestartWatch => self.doorbell.restart(),
                FollowerAction::Recall => self.recall = InFlight::run(self.loader.clone().recall()),
            }
        }
        reports
    }

    /// Returns the publish that the application resolves from.
    fn resolves(&self) -> Option<Publish> {
        let workspace = self.current.workspace().ok()?;
        Some(Publish { fingerprint: workspace.fingerprint(), updated_at: workspace.updated_at()? })
    }

    async fn next_events(&mut self) -> Vec<FollowerEvent> {
        let wake_at = self.state.wake_at(self.now()).map(|time| self.began + time);
        let timer = async {
            match wake_at {
                Some(time) => sleep_until(time).await,
                None => pending().await,
            }
        };
        tokio::select! {
            Ok(()) = self.watch_cache.changed() => self.watch_events(),
            fetched = self.fetch.next() => vec![self.fetched(fetched)],
            response = self.report.next() => vec![self.answered(response)],
            recalled = self.recall.next() => self.recalled(recalled).into_iter().collect(),
            () = self.keep.next() => Vec::new(),
            Some(request) = self.refresh_requests.recv() => {
                // A requester may have stopped waiting.
                self.waiting.retain(|(request, _)| !request.done.is_closed());
                self.waiting.push((request, self.state.running()));
                vec![FollowerEvent::RefreshRequested]
            }
            Ok(()) = self.health.changed() => vec![self.health_reported()],
            () = timer => vec![FollowerEvent::Timer],
        }
    }

    fn health_reported(&mut self) -> FollowerEvent {
        let health = self.health.borrow_and_update().clone();
        self.degraded = health.as_ref().map(|degraded| degraded.since);
        FollowerEvent::HealthReported(health.map(|degraded| degraded.reason))
    }

    fn watch_events(&mut self) -> Vec<FollowerEvent> {
        tracing::trace!(target: PATH, workspace = self.target.workspace, "notified");
        let watch_cache = self.watch_cache.borrow_and_update().clone();
        self.last_observed.observe(&watch_cache, &self.target.workspace)
    }

    /// Returns the events of what the doorbell shows, if the token of the last request shows the pod for the first time:
    /// its file may be written after the process joined. To a pod of a stage, the marker means something else.
    fn pod_events(&mut self) -> Vec<FollowerEvent> {
        if self.pod.is_none() {
            self.pod = self.endpoint.as_ref().and_then(|endpoint| endpoint.pod_uid(&self.namespace));
            if self.pod.is_some() {
                self.state = self.state.clone().in_pod(self.pod.clone());
                self.last_observed.forget_marker();
                return self.watch_events();
            }
        }
        Vec::new()
    }

    fn fetched(&mut self, (fingerprint, fetched): (Fingerprint, Loaded)) -> FollowerEvent {
        match fetched {
            Ok((workspace, from)) => {
                self.loaded = Some(workspace);
                FollowerEvent::Loaded(fingerprint, from)
            }
            Err(LoadError::Fetch(fault)) => {
                self.current.fetch_failed();
                FollowerEvent::FetchFailed(fault)
            }
            Err(LoadError::Refused(fault)) => {
                self.current.content_refused();
                FollowerEvent::Refused(fingerprint, fault)
            }
        }
    }

    fn recalled(&mut self, recalled: Option<(Publish, Workspace)>) -> Option<FollowerEvent> {
        let (publish, workspace) = recalled?;
        self.loaded = Some(workspace);
        Some(FollowerEvent::Recalled(publish))
    }

    fn answered(&mut self, response: Result<ReportResponse, Fault>) -> FollowerEvent {
        if let (Err(fault), None) = (&response, self.state.report_trouble()) {
            // Logged once, and again only after a report succeeded.
            tracing::warn!(source = self.target.source, code = fault.code, "{}", fault.message);
        }
        tracing::trace!(target: PATH, workspace = self.target.workspace, "answered");
        match &response {
            Ok(response) => self.confirm(response),
            Err(_) => self.current.report_failed(),
        }
        let response = response.map(|response| self.siblings.asked_by(response));
        response.map_or_else(FollowerEvent::ReportFailed, FollowerEvent::Answered)
    }

    /// Shows in the status that the operator's response confirms what runs, if it does.
    fn confirm(&self, response: &ReportResponse) {
        if let Some(ago) = self.state.verified_ago(response) {
            // An age beyond all times that can be written comes from no working operator.
            self.current.confirmed(Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH));
        }
    }

    fn begin_fetch(&mut self, fingerprint: Fingerprint, base: Option<Fingerprint>) {
        let running = self.current.workspace().ok().map(|workspace| workspace.content().clone());
        let base = running.filter(|content| Some(content.fingerprint()) == base);
        let (loader, endpoint) = (self.loader.clone(), self.endpoint());
        self.current.poll_started(Timestamp::now());
        self.fetch = InFlight::run(async move { (fingerprint, loader.load(endpoint, fingerprint, base).await) });
    }

    /// Begins a report for all handles of this process.
    fn begin_report(&mut self) {
        let Some(combined) = self.registration.combined() else { return };
        self.current.report_sent();
        self.report = InFlight::run(self.reporting(combined));
    }

    fn reporting(
        &mut self,
        combined: CombinedState,
    ) -> impl Future<Output = Result<ReportResponse, Fault>> + Send + use<> {
        let (namespace, workspace) = (self.namespace.clone(), self.target.workspace.clone());
        let endpoint = self.endpoint();
        let testimony = self.siblings.testify();
        async move { reporting::send(&*endpoint?, &namespace, &workspace, combined, testimony).await }
    }

    fn endpoint(&mut self) -> Result<Arc<Endpoint>, Fault> {
        let address = self
            .target
            .endpoint_overrides
            .apply(self.watch_cache.borrow().address())
            .ok_or_else(|| messages::no_address(&self.namespace))?;
        let endpoint = self.target.cluster.endpoint(&address, &self.target.token_file)?;
        self.endpoint = Some(endpoint.clone());
        Ok(endpoint)
    }

    fn swap(&mut self, publish: Publish) {
        let is_new = |workspace: &mut Workspace| workspace.fingerprint() == publish.fingerprint;
        let Some(workspace) = self.loaded.take_if(is_new).or_else(|| self.held.take_if(is_new)) else { return };
        self.applied = Some((publish, Instant::now()));
        self.keep(publish, &workspace);
        if let Ok(before) = self.current.workspace()
            && Some(before.fingerprint()) == self.state.held()
        {
            self.held = Some(Workspace::clone(&before));
        }
        self.current.swap(Arc::new(workspace.published(publish.updated_at, None)), Timestamp::now());
        tracing::trace!(target: PATH, workspace = self.target.workspace, "swapped");
    }

    fn rename(&mut self, publish: Publish, revision: Option<String>) {
        if let Ok(workspace) = self.current.workspace()
            && workspace.fingerprint() == publish.fingerprint
        {
            if workspace.updated_at() != Some(publish.updated_at) {
                self.applied = Some((publish, Instant::now()));
                self.keep(publish, &workspace);
            }
            self.current.rename(Arc::new(Workspace::clone(&workspace).published(publish.updated_at, revision)));
        }
    }

    /// Begins to write a copy to the disk. Nothing waits for it.
    fn keep(&mut self, publish: Publish, workspace: &Workspace) {
        self.keep = InFlight::run(self.loader.clone().keep(publish, workspace.content().clone()));
    }

    /// Updates the status, logs a changed state, and responds to refresh requests once nothing is in progress.
    fn update_status(&mut self, before: &ReportedState) {
        let now = self.now();
        let trouble = messages::trouble(&self.state, &self.namespace, &self.target.workspace);
        messages::log(&self.target.source, before, &self.state, now, trouble.as_deref());
        self.current.follower_stepped(FollowerStatus {
            state: self.state.shown(now),
            stale: self.state.is_stale(now),
            stale_at: self.state.stale_at().and_then(|time| self.began.checked_add(time)),
            refreshing: self.fetch.is_busy(),
            failures: u64::from(self.state.failures()),
            trouble,
            hydrates: self.last_observed.hydrates(),
        });
        if self.state.is_at_rest() {
            self.answer_refresh_requests();
        }
    }

    fn answer_refresh_requests(&mut self) {
        let running = self.state.running();
        let trouble = self.current.status().last_error;
        for (request, before) in self.waiting.drain(..) {
            let outcome = match &trouble {
                Some(reason) => {
                    Err(Error::RefreshFailed { source_name: self.target.source.clone(), reason: reason.clone() })
                }
                None if running == before => Ok(RefreshOutcome::Unchanged),
                None => Ok(RefreshOutcome::Refreshed),
            };
            // The requester may have stopped waiting.
            drop(request.done.send(outcome));
        }
    }

    /// Ends the handle: nothing resolves from it any more. The operator learns that it need not wait for this process,
    /// or the state of the other handles.
    async fn drain(mut self) {
        self.fetch = InFlight::empty();
        self.report = InFlight::empty();
        self.current.close();
        let Some(combined) = self.registration.leave() else { return };
        let is_drained = combined.is_drained();
        let reporting = self.reporting(combined);
        let response = match timeout(DRAIN_LIMIT, reporting).await {
            Ok(Ok(response)) => Some(response),
            Ok(Err(fault)) => {
                tracing::debug!(source = self.target.source, code = fault.code, "{}", fault.message);
                None
            }
            Err(_) => None,
        };
        if is_drained && let Ok(endpoint) = self.endpoint() {
            let (namespace, workspace) = (self.namespace, self.target.workspace);
            let drained = Drained { registration: self.registration, endpoint, namespace, workspace };
            tokio::spawn(drained.repeat(next_drained_report(response.as_ref())));
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}
