//! Everything that every reconcile and every request share.
//!
//! [`OperatorContext`] joins the rooms and knows no stage. Everything in it is private: a stage asks for what it needs,
//! and whatever needs several of these has a method here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, ResourceExt};
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::Moment;
use rototo_protocol::plan::{MarkerEntry, MarkerMap};

use crate::fleet::clock;
use crate::fleet::inheritance::{Handover, Inheritance};
use crate::fleet::turned_away::TurnedAway;
use crate::leader::peers::Peers;
use crate::leader::{Leadership, LeadershipChange};
use crate::load::lasting::Lasting;
use crate::load::metrics::LoadMetrics;
use crate::marker::markers::Markers;
use crate::outbound::analysis::prometheus::Prometheus;
use crate::outbound::notify::sender::CommitStatuses;
use crate::outbound::telemetry::Telemetry;
use crate::reconcile::cluster_view::ClusterView;
use crate::reconcile::progress::Progress;
use crate::reconcile::record_store::{NAMESAKES_REMEMBERED, RecordStore};
use crate::reconcile::requests_policy::RequestsPolicy;
use crate::reconcile::watch_caches::WatchCaches;
use crate::reconcile::webhook_notice::WebhookNotices;
use crate::reconcile::workspace_quota::WorkspaceQuota;
use crate::reconcile::workspace_record::SharedRecord;
use crate::source::copies::Copies;
use crate::source::poll_error::PollError;
use crate::source::sources::Sources;
use crate::status::events::WorkspaceEvent;
use crate::status::metrics::Metrics;
use crate::status::write::StatusWriter;
use crate::workspace_key::WorkspaceKey;

/// Everything that the reconciles and requests of one operator process share.
pub(crate) struct OperatorContext {
    client: Client,
    sources: Sources,
    prometheus: Prometheus,
    commit_statuses: CommitStatuses,
    markers: Markers,
    statuses: StatusWriter,
    metrics: Metrics,
    records: RecordStore,
    cluster: ClusterView,
    leadership: Leadership,
    turned_away: TurnedAway,
    /// The evidence that the last leader has passed on.
    inheritance: Inheritance,
    /// Copies on other replicas, if this install has any.
    copies: Option<Arc<Copies>>,
    /// The heartbeat of a small fleet.
    heartbeat: Duration,
    progress: Arc<Progress>,
    failures: Lasting<WorkspaceKey>,
    workspace_quota: WorkspaceQuota,
    webhook_notices: WebhookNotices,
    requests_policy: RequestsPolicy,
    telemetry: Telemetry,
}

/// The parts that a context is made of.
pub(crate) struct ContextParts {
    /// The client of the API server.
    pub(crate) client: Client,
    /// The sources of workspaces.
    pub(crate) sources: Sources,
    /// The servers that measure rollouts.
    pub(crate) prometheus: Prometheus,
    /// The git hosts that show what became of commits.
    pub(crate) commit_statuses: CommitStatuses,
    /// The marker maps.
    pub(crate) markers: Markers,
    /// One for each set of watches.
    pub(crate) caches: Vec<Arc<WatchCaches>>,
    /// The other replicas, if this install has any.
    pub(crate) peers: Option<Peers>,
    /// The heartbeat of a small fleet.
    pub(crate) heartbeat: Duration,
    /// The progress of the process's loops.
    pub(crate) progress: Arc<Progress>,
    /// The admission policy that verifies the users of requests.
    pub(crate) requests_policy: RequestsPolicy,
    /// The way of the traces of changes.
    pub(crate) telemetry: Telemetry,
}

impl OperatorContext {
    /// Creates the context of a process that does not hold the Lease yet.
    pub(crate) fn new(parts: ContextParts) -> Self {
        let ContextParts {
            client,
            sources,
            prometheus,
            commit_statuses,
            markers,
            caches,
            peers,
            heartbeat,
            progress,
            requests_policy,
            telemetry,
        } = parts;
        let mut metrics = Metrics::new(sources.load());
        metrics.register(|registry| telemetry.register(registry));
        let copies = peers.map(|peers| Arc::new(Copies::new(peers, sources.snapshots().clone())));
        Self {
            copies,
            inheritance: Inheritance::default(),
            markers,
            statuses: StatusWriter::new(client.clone()),
            metrics,
            sources,
            prometheus,
            commit_statuses,
            records: RecordStore::default(),
            cluster: ClusterView::new(caches),
            leadership: Leadership::default(),
            turned_away: TurnedAway::default(),
            heartbeat,
            progress,
            failures: Lasting::default(),
            workspace_quota: WorkspaceQuota::default(),
            webhook_notices: WebhookNotices::default(),
            requests_policy,
            telemetry,
            client,
        }
    }

    /// Returns the admission policy that verifies the users of requests.
    pub(crate) fn requests_policy(&self) -> &RequestsPolicy {
        &self.requests_policy
    }

    /// Returns the client of the API server.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the way to the sources, and to the content that was read from them.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Returns the way to the metrics of rollouts.
    pub(crate) fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// Returns the way to the statuses of commits.
    pub(crate) fn commit_statuses(&self) -> &CommitStatuses {
        &self.commit_statuses
    }

    /// Returns the copies of snapshots on other replicas. `None` if this install has no other replicas.
    pub(crate) fn copies(&self) -> Option<&Arc<Copies>> {
        self.copies.as_ref()
    }

    /// Returns the way to the marker maps.
    pub(crate) fn markers(&self) -> &Markers {
        &self.markers
    }

    /// Returns the writer of statuses and Events.
    pub(crate) fn statuses(&self) -> &StatusWriter {
        &self.statuses
    }

    /// Returns the metrics of the process.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns the metrics as Prometheus reads them.
    pub(crate) fn metrics_text(&self) -> String {
        let replicas = self.copies.as_ref().map_or(0, |copies| copies.replicas());
        self.metrics.unreadable(&self.cluster.unreadable());
        self.metrics.text(self.sources.reader(), replicas, self.leadership.is_held(Instant::now()))
    }

    /// Counts what is refused because of a limit.
    pub(crate) fn load(&self) -> &LoadMetrics {
        self.sources.load()
    }

    /// Returns everything that the watches have shown.
    pub(crate) fn cluster(&self) -> &ClusterView {
        &self.cluster
    }

    /// Returns the memory of all workspaces.
    pub(crate) fn records(&self) -> &RecordStore {
        &self.records
    }

    /// Returns the Lease that lets one process write at a time.
    pub(crate) fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// Returns the heartbeat of a small fleet.
    pub(crate) fn heartbeat(&self) -> Duration {
        self.heartbeat
    }

    /// Returns the failures of reconciles that were logged last.
    pub(crate) fn failures(&self) -> &Lasting<WorkspaceKey> {
        &self.failures
    }

    /// Writes an Event about a call for `workspace` that was refused because of its Secret, unless the same was written
    /// within the last hour.
    pub(crate) fn webhook_unusable(self: &Arc<Self>, workspace: &RototoWorkspace, why: &str) {
        if !self.webhook_notices.is_new(&WorkspaceKey::of(workspace), why, tokio::time::Instant::now()) {
            return;
        }
        let (context, workspace) = (self.clone(), workspace.clone());
        let event = WorkspaceEvent::webhook_unusable(why);
        tokio::spawn(async move { context.statuses().write_event(&workspace, event).await });
    }

    /// Sends the traces of changes.
    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Sends the spans of a workspace that are ready.
    pub(crate) fn send_spans(&self, record: &SharedRecord) {
        self.telemetry.send(record.lock().traces.take());
    }

    /// Ends the traces of all workspaces: another process sees their changes to the end.
    pub(crate) fn end_traces(&self) {
        for (_, record) in self.records.all() {
            record.lock().traces.abandon(clock::now());
            self.send_spans(&record);
        }
    }

    /// Forgets a workspace that is gone.
    pub(crate) fn forget_workspace(&self, key: &WorkspaceKey) {
        if let Some(record) = self.records.get(key) {
            record.lock().traces.abandon(clock::now());
            self.send_spans(&record);
        }
        self.records.remove(key);
        self.metrics.forget(key);
        self.failures.has_ended(key);
        self.sources.forget_failure(key);
    }

    /// Records that a loop of the process makes progress.
    pub(crate) fn loop_turned(&self) {
        self.progress.touch(Instant::now());
    }

    /// Returns whether the source of a workspace is read: whether its namespace has not too many older ones.
    pub(crate) fn admits(&self, key: &WorkspaceKey) -> Result<(), PollError> {
        let limit = self.sources.workspaces_per_namespace();
        let all = || self.cluster.workspaces();
        if self.workspace_quota.admits(key, limit, all, Instant::now()) {
            return Ok(());
        }
        let error = PollError::TooManyWorkspaces(limit);
        self.load().refused(error.code());
        Err(error)
    }

    /// Returns the record of a workspace, begun if there is none.
    pub(crate) fn record(&self, workspace: &RototoWorkspace) -> SharedRecord {
        let new = || {
            let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
            let marker = self.markers.read(&namespace, &name);
            let marked = !matches!(marker, MarkerMap::Missing | MarkerMap::Ours { marker: MarkerEntry::Nothing, .. });
            // Another operator may have removed a namesake whose processes run on.
            let removed_by_another = self.leadership.others_wrote_within(NAMESAKES_REMEMBERED, Instant::now());
            workspace.status.is_none() && !marked && !removed_by_another
        };
        let inherited = |uid: &str| self.inheritance.fleet(uid, self.leadership.transitions(), self.heartbeat);
        self.records.of(workspace, self.heartbeat, new, inherited)
    }

    /// Takes the evidence of a leader that is about to end.
    pub(crate) fn inherit(&self, handover: Handover) {
        self.inheritance.received(handover);
    }

    /// Ends this process's term, and passes its evidence on to the other replicas. One of them leads next.
    pub(crate) async fn hand_over(&self) {
        let Some(copies) = self.copies.as_ref().filter(|_| self.leadership.is_held(Instant::now())) else { return };
        self.leadership.end();
        let transitions = self.leadership.transitions();
        let mut fleets = HashMap::new();
        for workspace in self.cluster.workspaces() {
            // A workspace that was not reconciled in this term inherits its evidence here, and passes it on.
            let record = self.record(&workspace);
            let pods = self.cluster.pods(&workspace);
            fleets.extend(record.lock().hand_over(pods, self.last_turned_away()));
        }
        copies.hand_over(&Handover { transitions, fleets }).await;
    }

    /// Returns whether `map` says of a workspace just what is known of it.
    pub(crate) fn knows(&self, workspace: &RototoWorkspace, map: &ConfigMap) -> bool {
        let record = self.records.get(&WorkspaceKey::of(workspace));
        let known = record.and_then(|record| record.lock().marker.publisher().marked());
        match (self.markers.read_in(map, &workspace.name_any()), known) {
            (MarkerMap::Ours { addressed: true, marker: MarkerEntry::Published(marked), .. }, Some(known)) => {
                marked == known
            }
            _ => false,
        }
    }

    /// Records that a report was turned away at `now`, here or on another replica.
    pub(crate) fn report_turned_away(&self, now: Moment) {
        self.turned_away.note(now);
    }

    /// Returns the time of the last report that was turned away.
    pub(crate) fn last_turned_away(&self) -> Moment {
        self.turned_away.last()
    }

    /// Returns the time since this process last turned away a report, if it ever did.
    pub(crate) fn turned_away_ago(&self) -> Option<Duration> {
        let last = Some(self.turned_away.last()).filter(|last| !last.is_zero())?;
        Some(clock::now().saturating_sub(last))
    }

    /// Handles a change of the process that writes.
    pub(crate) fn leadership_changed(&self, change: LeadershipChange) {
        match change {
            LeadershipChange::Gained => self.begin_term(),
            LeadershipChange::Lapsed => self.recount(),
            LeadershipChange::Lost => self.forget(),
        }
    }

    /// Begins a term, in which this process writes: every workspace is reconciled, and everything left over is swept.
    fn begin_term(&self) {
        self.cluster.request_sweeps();
        for workspace in self.cluster.workspaces() {
            self.cluster.requeue(&WorkspaceKey::of(&workspace));
        }
    }

    /// Handles a time in which this process could not write, and nobody else did. Everything known of sources and
    /// markers is still right; but reports were turned away meanwhile, so who runs what is counted anew.
    fn recount(&self) {
        self.inheritance.lapsed();
        for (_, record) in self.records.all() {
            record.lock().lapsed();
        }
    }

    /// Handles that another process writes from now on: everything known here is about to grow old.
    fn forget(&self) {
        self.end_traces();
        for key in self.records.clear() {
            self.metrics.forget(&key);
            self.sources.forget_failure(&key);
        }
    }
}
