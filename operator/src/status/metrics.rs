//! The metrics of the operator. [`Metrics`] has a method for each thing that is counted. Labels are names and codes,
//! never values.

use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};
use rototo_source::{GitRequest, Reader};

use crate::load::metrics::LoadMetrics;
use crate::source::poll::PollResult;
use crate::source::poll_error::PollError;
use crate::workspace_key::WorkspaceKey;
use rototo_protocol::analysis::Outcome;
use rototo_protocol::fleet::{FleetView, Moment, PublishTimes};
use rototo_protocol::publisher::AcceptedPublish;

/// The buckets of durations, in seconds: from five milliseconds to a minute and a half.
const BUCKETS: [f64; 15] = [0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.0, 2.0, 5.0, 10.0, 20.0, 45.0, 90.0];

/// The states of processes in metrics.
const PROCESS_STATES: [&str; 5] = ["applied", "rejected", "silent", "pending", "missing"];

/// All metrics of the operator.
pub struct Metrics {
    registry: Registry,
    propagation: Family<StageLabels, Histogram>,
    processes: Family<ProcessLabels, Gauge>,
    polls: Family<OutcomeLabels, Counter>,
    verified: Family<WorkspaceLabels, Gauge>,
    stale: Family<WorkspaceLabels, Gauge>,
    held: Family<WorkspaceLabels, Gauge>,
    unreadable: Family<WorkspaceLabels, Gauge>,
    measurements: Family<OutcomeLabels, Counter>,
    commit_statuses: Family<OutcomeLabels, Counter>,
    publishes: Counter,
    publish_failed: Counter,
    put_back: Counter,
    published_without_copy: Counter,
    leading: Gauge,
    replicas: Gauge,
    git_requests: Family<GitLabels, Counter>,
    reconciles_overdue: Gauge,
    reconciles_given_up: Counter,
    namespaces_watched: Family<NamespaceLabels, Gauge>,
    certificate_end: Gauge,
    certificate_unusable: Gauge,
}

/// One overdue reconcile. It counts as overdue until this is dropped.
pub(crate) struct Overdue(Gauge);

impl Drop for Overdue {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProcessLabels {
    namespace: String,
    workspace: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkspaceLabels {
    namespace: String,
    workspace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NamespaceLabels {
    namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GitLabels {
    kind: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(&LoadMetrics::default())
    }
}

impl Metrics {
    /// Registers the metrics of the operator, and those of `load`.
    #[must_use]
    pub(crate) fn new(load: &LoadMetrics) -> Self {
        let mut registry = Registry::with_prefix("rototo");
        load.register(&mut registry);
        let to = &mut registry;
        Self {
            propagation: durations_in_seconds(
                to,
                "propagation",
                "Time from the detection of a new commit to the end of each stage",
            ),
            processes: registered(to, "processes", "Processes that follow a workspace, by state"),
            polls: registered(to, "polls", "Polls of a source, by outcome"),
            verified: in_seconds(to, "source_verified_timestamp", "The last answer of the source, in Unix time"),
            stale: registered(to, "workspace_stale", "1 where the condition Stale is True, and else 0"),
            held: registered(to, "workspace_held", "1 where the newest revision is held, and else 0"),
            unreadable: registered(
                to,
                "workspace_unreadable",
                "1 for each workspace that this version of the operator can't read",
            ),
            measurements: registered(to, "analysis_measurements", "Measurements of analyses, by outcome"),
            commit_statuses: registered(to, "commit_statuses", "Commit statuses for git hosts, by outcome"),
            publishes: registered(to, "publishes", "Markers written because content changed"),
            publish_failed: registered(to, "publish_failures", "Markers that could not be written"),
            put_back: registered(to, "markers_put_back", "Markers that somebody else had changed"),
            published_without_copy: registered(
                to,
                "publishes_without_copy",
                "Markers written before another replica had a copy of the snapshot",
            ),
            leading: registered(to, "leading", "1 where the operator holds the Lease, and else 0"),
            replicas: registered(to, "replicas", "Other replicas that announce themselves to this one"),
            git_requests: registered(to, "git_requests", "Requests to git hosts, by kind and outcome"),
            reconciles_overdue: registered(to, "reconciles_overdue", "Reconciles that have taken long so far"),
            reconciles_given_up: registered(to, "reconciles_given_up", "Reconciles that did not end"),
            namespaces_watched: registered(
                to,
                "namespace_watched",
                "1 for each namespace that is watched, and 0 for each that can't be",
            ),
            certificate_end: in_seconds(
                to,
                "certificate_end_timestamp",
                "The end of the certificate that is served, in Unix time",
            ),
            certificate_unusable: registered(
                to,
                "certificate_unusable",
                "1 where the Secret with the operator's certificate can't be used, and else 0",
            ),
            registry,
        }
    }

    /// Adds the metrics of another part.
    pub(crate) fn register(&mut self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry);
    }

    /// Returns the text that Prometheus reads. `reader` counts its requests to git hosts itself, `replicas` is the number
    /// of other replicas, and `leads` says whether this process holds the Lease: if it does not, it shows no workspace.
    #[must_use]
    pub fn text(&self, reader: &Reader, replicas: usize, leads: bool) -> String {
        self.leading.set(leads.into());
        if !leads {
            self.forget_all();
        }
        self.replicas.set(i64::try_from(replicas).unwrap_or(i64::MAX));
        for (GitRequest { kind, outcome }, count) in reader.git_requests() {
            let counter = self.git_requests.get_or_create(&GitLabels { kind, outcome });
            counter.inner().store(count, std::sync::atomic::Ordering::Relaxed);
        }
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Records that a poll of a source has ended.
    pub fn poll_ended(&self, result: &Result<PollResult, PollError>) {
        let outcome = result.as_ref().map_or_else(PollError::code, |_| "success");
        self.polls.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Records that the API server has accepted a marker.
    pub fn published(&self, times: &PublishTimes) {
        self.publishes.inc();
        let stages = [("fetched", times.fetched), ("linted", times.linted), ("published", times.published)];
        for (stage, time) in stages {
            self.observe(stage, times.detected, time);
        }
    }

    /// Records that a process has applied a publish for the first time, this long `after` its detection.
    pub fn applied(&self, after: Duration) {
        self.observe("applied", Moment::ZERO, after);
    }

    /// Records the processes whose report that they run a publish came before the answer of the API server.
    pub fn applied_early(&self, accepted: &AcceptedPublish) {
        for _ in 0..accepted.applied {
            self.applied(accepted.times.published.saturating_sub(accepted.times.detected));
        }
    }

    fn observe(&self, stage: &'static str, since: Moment, time: Moment) {
        self.propagation.get_or_create(&StageLabels { stage }).observe(time.saturating_sub(since).as_secs_f64());
    }

    /// Records that a marker could not be written.
    pub fn publish_failed(&self) {
        self.publish_failed.inc();
    }

    /// Records that a marker was written before another replica had a copy of the snapshot.
    pub fn published_without_copy(&self) {
        self.published_without_copy.inc();
    }

    /// Records that a marker that somebody else had changed was put back.
    pub fn put_back(&self) {
        self.put_back.inc();
    }

    /// Records that the Secret with the operator's certificate was read. The certificate that is served ends at `end`.
    pub(crate) fn certificate(&self, end: Option<Timestamp>, unusable: bool) {
        self.certificate_end.set(end.map_or(0, Timestamp::as_second));
        self.certificate_unusable.set(unusable.into());
    }

    /// Records that a reconcile takes long. It counts as overdue until the returned value is dropped.
    pub(crate) fn reconcile_is_overdue(&self) -> Overdue {
        self.reconciles_overdue.inc();
        Overdue(self.reconciles_overdue.clone())
    }

    /// Records that a reconcile did not end, and was given up.
    pub(crate) fn reconcile_given_up(&self) {
        self.reconciles_given_up.inc();
    }

    /// Records that a namespace is watched, or can't be. It has no name where all namespaces are watched together.
    pub(crate) fn namespace_watched(&self, namespace: &str, watched: bool) {
        let labels = NamespaceLabels { namespace: namespace.to_owned() };
        self.namespaces_watched.get_or_create(&labels).set(watched.into());
    }

    /// Returns the number of reconciles that are overdue now.
    #[cfg(test)]
    pub(crate) fn reconciles_overdue(&self) -> i64 {
        self.reconciles_overdue.get()
    }

    /// Returns the number of reconciles that were given up.
    #[cfg(test)]
    pub(crate) fn reconciles_given_up(&self) -> u64 {
        self.reconciles_given_up.get()
    }

    /// Records that the fleet of a workspace was counted.
    pub fn fleet(&self, key: &WorkspaceKey, view: &FleetView) {
        // Those of a stage run what they should.
        let known = view.applied + view.running_next + view.rejected + view.silent;
        let pending = view.processes.saturating_sub(known);
        // Pods that should have reported.
        let missing = view.expected.unwrap_or_default().saturating_sub(view.processes);
        let counts = [view.applied, view.rejected, view.silent, pending, missing];
        let states = PROCESS_STATES.into_iter().zip(counts);
        for (state, count) in states {
            self.processes.get_or_create(&labels(key, state)).set(i64::from(count));
        }
    }

    /// Records the time of the source's last answer, if it has answered.
    pub(crate) fn verified(&self, key: &WorkspaceKey, last: Option<Timestamp>) {
        if let Some(last) = last {
            self.verified.get_or_create(&workspace(key)).set(last.as_second());
        }
    }

    /// Records that the status of a workspace was derived. A pinned or suspended workspace is never stale.
    pub(crate) fn stale(&self, key: &WorkspaceKey, is_stale: bool) {
        self.stale.get_or_create(&workspace(key)).set(i64::from(is_stale));
    }

    /// Records that the newest revision of a workspace is held until a person allows it, or is not.
    pub(crate) fn held(&self, key: &WorkspaceKey, is_held: bool) {
        self.held.get_or_create(&workspace(key)).set(i64::from(is_held));
    }

    /// Records the workspaces that this version can't read. Others have no such series.
    pub(crate) fn unreadable(&self, keys: &[WorkspaceKey]) {
        self.unreadable.clear();
        for key in keys {
            self.unreadable.get_or_create(&workspace(key)).set(1);
        }
    }

    /// Records that a status of a commit was sent (`sent`), or not, and is tried again (`retried`, or
    /// `waiting` where it was not tried because the host has asked to wait) or not (`given_up`).
    pub(crate) fn commit_status(&self, outcome: &'static str) {
        self.commit_statuses.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Records that a measurement of an analysis has ended.
    pub(crate) fn measured(&self, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Successful => "successful",
            Outcome::Failed => "failed",
            Outcome::Inconclusive => "inconclusive",
        };
        self.measurements.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Removes the series of all workspaces: they are those of the process that leads. A process that leads again reconciles
    /// every workspace, and so shows it anew.
    fn forget_all(&self) {
        self.processes.clear();
        self.verified.clear();
        self.stale.clear();
        self.held.clear();
        self.unreadable.clear();
    }

    /// Removes the series of a workspace that is gone.
    pub fn forget(&self, key: &WorkspaceKey) {
        for state in PROCESS_STATES {
            self.processes.remove(&labels(key, state));
        }
        self.verified.remove(&workspace(key));
        self.stale.remove(&workspace(key));
        self.held.remove(&workspace(key));
    }
}

fn workspace(key: &WorkspaceKey) -> WorkspaceLabels {
    WorkspaceLabels { namespace: key.namespace.clone(), workspace: key.name.clone() }
}

fn labels(key: &WorkspaceKey, state: &'static str) -> ProcessLabels {
    ProcessLabels { namespace: key.namespace.clone(), workspace: key.name.clone(), state }
}

/// Registers a metric, and returns its handle.
fn registered<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// Registers a metric whose name ends in `_seconds`, and returns its handle.
fn in_seconds<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

/// Registers durations by stage, and returns their handle.
fn durations_in_seconds(registry: &mut Registry, name: &str, help: &str) -> Family<StageLabels, Histogram> {
    let metric = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

#[cfg(test)]
mod tests {
    use rototo_protocol::fleet::{Fleet, FleetStart};
    use rototo_source::ReaderOptions;

    use super::*;

    fn text(metrics: &Metrics) -> String {
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        text
    }

    #[test]
    fn a_pod_that_never_reported_is_counted_as_missing() {
        let metrics = Metrics::default();
        let key = WorkspaceKey { namespace: "checkout".to_owned(), name: "config".to_owned() };
        let nobody = Fleet::new(FleetStart::New, Duration::from_secs(15), Moment::ZERO).view(Moment::ZERO);
        metrics.fleet(&key, &FleetView { expected: Some(3), ..nobody });
        assert!(text(&metrics).contains("state=\"missing\"} 3\n"), "{}", text(&metrics));
        metrics.forget(&key);
        assert!(!text(&metrics).contains("missing"), "{}", text(&metrics));
    }

    #[test]
    fn a_process_that_does_not_lead_shows_no_workspace() {
        let metrics = Metrics::default();
        let key = WorkspaceKey { namespace: "checkout".to_owned(), name: "config".to_owned() };
        let nobody = Fleet::new(FleetStart::New, Duration::from_secs(15), Moment::ZERO).view(Moment::ZERO);
        metrics.fleet(&key, &nobody);
        metrics.stale(&key, false);
        metrics.held(&key, false);
        metrics.verified.get_or_create(&workspace(&key)).set(1);
        let reader = Reader::new(ReaderOptions::default()).unwrap();
        let series = "{namespace=\"checkout\",workspace=\"config\"";
        let names = ["processes", "source_verified_timestamp_seconds", "workspace_stale", "workspace_held"];
        let shows = |leads| {
            let text = metrics.text(&reader, 0, leads);
            names.map(|name| text.contains(&format!("rototo_{name}{series}")))
        };
        assert_eq!(shows(true), [true; 4]);
        assert_eq!(shows(false), [false; 4], "its Lease has lapsed");
        metrics.stale(&key, false);
        metrics.verified(&key, None);
        assert_eq!(shows(true), [false, false, true, false], "it leads again, and reports");
        metrics.verified(&key, Some(Timestamp::UNIX_EPOCH));
        assert_eq!(shows(true), [false, true, true, false], "it also reports the last answer");
    }

    #[test]
    fn a_stale_workspace_is_shown_until_it_is_gone() {
        let metrics = Metrics::default();
        let key = WorkspaceKey { namespace: "checkout".to_owned(), name: "config".to_owned() };
        let series =
            |value: &str| format!("rototo_workspace_stale{{namespace=\"checkout\",workspace=\"config\"}} {value}\n");
        metrics.stale(&key, true);
        assert!(text(&metrics).contains(&series("1")), "{}", text(&metrics));
        metrics.stale(&key, false);
        assert!(text(&metrics).contains(&series("0")), "{}", text(&metrics));
        metrics.forget(&key);
        assert!(!text(&metrics).contains("rototo_workspace_stale{"), "{}", text(&metrics));
    }
}
