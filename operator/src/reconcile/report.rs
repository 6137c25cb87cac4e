//! Writes the status and its Events, no more often than they say anything new.
//!
//! A status is a claim. It is written for the version of the object that it was decided on and in the lease term in
//! which it was decided. It is compared with the status that the object has, whoever wrote that, and written where they
//! differ.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use rototo_api::condition::{CONVERGED, STALE};
use rototo_api::convergence::{Convergence, Straggler};
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_protocol::fleet::{FleetView, RehearsalVerdict, RehearsalView, Verdict};
use rototo_protocol::rollout::RolloutDecision;

use crate::fleet::clock;
use crate::fleet::pods::PodSelection;
use crate::reconcile::analysis::runs;
use crate::reconcile::commit_status::send_if_due;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::pending::{held, rollout, steering};
use crate::reconcile::publish::input;
use crate::reconcile::rehearsal::rules;
use crate::reconcile::rollout::{queues, steps};
use crate::reconcile::workspace_record::{SharedRecord, WorkspaceRecord};
use crate::status::events::events;
use crate::status::input::{SourceInput, SourceProblem, StatusInput};
use crate::status::write::{ReportError, StatusWrite};
use crate::status::{settled, status, worth_writing};
use crate::workspace_key::WorkspaceKey;

/// The shortest time between two writes of a status that still changes.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// The wait after a conflict. The object's next version requeues the workspace too, and mostly earlier.
const AFTER_CONFLICT: Duration = Duration::from_secs(1);
/// The longest time until a reconcile that nothing asks for.
const AT_LEAST_EVERY: Duration = Duration::from_secs(300);

/// A decided status, beside the one that the object has.
struct StatusDecision {
    next: RototoWorkspaceStatus,
    /// The fleet as it was counted for it.
    fleet: FleetView,
    /// The status that the object has, as far as this process knows.
    actual: RototoWorkspaceStatus,
    /// The version of the object that has `actual`.
    resource_version: u64,
    /// The last status that this process wrote, whoever changed it since.
    remembered: RototoWorkspaceStatus,
    /// The time at which the status may change although nothing happens.
    wake: Instant,
    /// The rehearsal as it was counted for it.
    rehearsal: Option<RehearsalView>,
    /// A publish waits for a rehearsal that has just begun.
    rehearses: bool,
}

/// Writes the status if it says anything new. Returns the time at which it may change by itself. `term` is the lease
/// term in which this reconcile began.
pub(crate) async fn report(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    term: u64,
) -> Result<Instant, ReportError> {
    let now = Instant::now();
    if context.leadership().term(now) != Some(term) {
        // The metrics of a workspace are those of the process that leads.
        return Ok(now + STATUS_EVERY);
    }
    if !shared.lock().marker.is_known() {
        // This reconcile did not get its turn at the map. Until one does, the status stays as an earlier process wrote it.
        return Ok(now + STATUS_EVERY);
    }
    let wrote = shared.lock().status.last_write();
    let StatusDecision { next, fleet, actual, resource_version, remembered, wake, rehearsal, rehearses } =
        derive_status(workspace, shared, context);
    let verified = shared.lock().source.verified().map(|verified| verified.time);
    show_in_metrics(&WorkspaceKey::of(workspace), &next, (&fleet, verified), context);
    if !rehearses {
        send_if_due(workspace, shared, context, (&next, rehearsal.as_ref()), term);
    }
    // A publish must not wait for the API server's answer to a status that the publish changes in a moment.
    if rehearses || !worth_writing(&actual, &next) {
        return Ok(wake);
    }
    // A status that comes to rest is written at once; one that changes, also from rest, about once a second.
    let comes_to_rest = settled(&next) && !settled(&actual);
    if let Some(earliest) = wrote.map(|wrote| wrote + STATUS_EVERY).filter(|earliest| *earliest > now && !comes_to_rest)
    {
        return Ok(wake.min(earliest));
    }
    if context.leadership().term(Instant::now()) != Some(term) {
        return Ok(wake);
    }
    match context.statuses().write(workspace, &next, resource_version).await? {
        StatusWrite::Written(resource_version) => {
            let mut record = shared.lock();
            let events = events(&remembered, &next).into_iter().map(|event| {
                let trace = record.trace_of(event.reason);
                event.in_trace(trace)
            });
            context.statuses().send_events(workspace, events.collect());
            record.status.written(next, resource_version, Instant::now());
            Ok(wake)
        }
        StatusWrite::Conflict => {
            shared.lock().status.conflicted();
            Ok(wake.min(Instant::now() + AFTER_CONFLICT))
        }
        StatusWrite::Gone => Ok(wake),
    }
}

/// Sets the metrics of a workspace, all of them: a process that leads again shows each of its workspaces anew.
fn show_in_metrics(
    key: &WorkspaceKey,
    status: &RototoWorkspaceStatus,
    (fleet, verified): (&FleetView, Option<Timestamp>),
    context: &OperatorContext,
) {
    context.metrics().fleet(key, fleet);
    context.metrics().verified(key, verified);
    context.metrics().stale(key, status.is(STALE, "True"));
    context.metrics().held(key, status.held.is_some());
}

/// Derives the status from what is known now. It sets no metrics: requests over HTTP ask for it too, and a process that has
/// just lost the Lease would leave metrics behind that nobody removes.
fn derive_status(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) -> StatusDecision {
    let now = Instant::now();
    let pods = context.cluster().pods(workspace);
    let mut record = shared.lock();
    let fleet = record.count_fleet(pods, context.last_turned_away());
    let (actual, resource_version) = record.status.actual(workspace);
    let remembered = record.status.remembered(&actual);
    let rehearsal = record.rehearsal(rules(workspace, &record));
    let (steps, analyses) = (steps(workspace), runs(workspace, &record));
    let rollout_input = input(workspace, &record, queues(workspace, &record, context), (&steps, &analyses));
    let decided = rehearsal.as_ref().and_then(|view| record.rollout(view, &rollout_input));
    let step_ends = match decided {
        Some(RolloutDecision::Stay { until }) => until,
        // The next reconcile carries it out. Nothing but taking back goes on before it is known what the source has.
        Some(RolloutDecision::TakeBack(_)) => Some(Timestamp::now() + STATUS_EVERY),
        Some(_) if rollout_input.candidate_known => Some(Timestamp::now() + STATUS_EVERY),
        Some(_) | None => None,
    };
    let next = status(&status_input(workspace, &record, (&fleet, rehearsal.as_ref()), &remembered, (context, now)));
    let wake = next_wake(workspace, &record, (&fleet, rehearsal.as_ref()), now);
    let step_ends =
        step_ends.map(|end| now + Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default());
    let wake = step_ends.map_or(wake, |end| wake.min(end + Duration::from_millis(1)));
    let rehearses = next.rollout.is_none() && rehearsal.as_ref().is_some_and(is_short);
    let wake = if rehearses { wake.min(now + STATUS_EVERY) } else { wake };
    StatusDecision { next, fleet, actual, resource_version, remembered, wake, rehearsal, rehearses }
}

/// Returns a workspace with its status as it is now, which need not be written yet.
pub(crate) fn current(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
) -> RototoWorkspace {
    let status = derive_status(workspace, shared, context).next;
    RototoWorkspace { status: Some(status), ..workspace.clone() }
}

/// Returns the processes of a fleet, one by one, as they were counted last.
pub(crate) fn roster(shared: &SharedRecord) -> Vec<Straggler> {
    shared.lock().roster()
}

/// Returns the answer to the question whether what is published runs everywhere.
pub(crate) fn convergence(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
) -> Convergence {
    let StatusDecision { next, .. } = derive_status(workspace, shared, context);
    let condition = next.condition(CONVERGED);
    let (status, reason, message) = condition.map_or_else(Default::default, |condition| {
        (condition.status.clone(), condition.reason.clone(), condition.message.clone())
    });
    let settled = is_settled(&next);
    let source = next.source.unwrap_or_default();
    let published = next.published;
    let revisions = published.as_ref().map(|published| published.revisions.clone()).unwrap_or_default();
    let fleet = next.fleet.unwrap_or_default();
    Convergence {
        as_of: Timestamp::now(),
        uid: workspace.uid().unwrap_or_default(),
        observed_generation: next.observed_generation,
        fingerprint: published.as_ref().map(|published| published.fingerprint.clone()),
        updated_at: published.map(|published| published.updated_at),
        settled,
        revisions,
        source_revision: source.revision,
        source_fingerprint: source.fingerprint,
        status,
        reason,
        message,
        expected: fleet.expected,
        processes: fleet.processes,
        applied: fleet.applied,
        behind: fleet.behind,
    }
}

/// Returns whether the newest content of the source is published, refused, or held.
fn is_settled(status: &RototoWorkspaceStatus) -> bool {
    let Some(source) = &status.source else { return false };
    let Some(newest) = &source.fingerprint else { return false };
    let is_published = status.published.as_ref().is_some_and(|published| published.fingerprint == *newest);
    let is_held = status.held.as_ref().is_some_and(|held| held.fingerprint == *newest);
    is_published || is_held || status.rejected.as_ref().is_some_and(|rejected| rejected.revision == source.revision)
}

/// Returns whether a rehearsal that nothing holds has just begun.
fn is_short(view: &RehearsalView) -> bool {
    let goes_on = matches!(view.verdict, RehearsalVerdict::Waiting | RehearsalVerdict::Passed);
    goes_on && clock::now().saturating_sub(view.since) < STATUS_EVERY
}

fn status_input<'a>(
    workspace: &'a RototoWorkspace,
    record: &'a WorkspaceRecord,
    (fleet, rehearsal): (&'a FleetView, Option<&'a RehearsalView>),
    previous: &'a RototoWorkspaceStatus,
    (context, now): (&OperatorContext, Instant),
) -> StatusInput<'a> {
    let source = &record.source;
    StatusInput {
        spec: &workspace.spec,
        generation: workspace.metadata.generation,
        now: Timestamp::now(),
        source: SourceInput {
            candidate: source.candidate(),
            seen: source.seen(),
            last_success: source.verified().map(|verified| verified.time),
            verified_ago: record.verified_ago(now),
            failures: source.failures(),
            error: source.error().map(|failure| SourceProblem {
                reason: failure.reason,
                message: failure.message.clone(),
                transient: failure.transient,
            }),
            current: is_current(workspace, record, previous),
            confirmed: source.is_confirmed(),
            unread_for: source.unread_since().map(|since| now.saturating_duration_since(since)),
        },
        published: record.marker.publisher().published(),
        marker_is_known: record.marker.is_observed(),
        pods_missing: context.cluster().pods_missing(&WorkspaceKey::of(workspace).namespace),
        alone: record.marker.is_alone(),
        held: held(workspace, record, rehearsal, context),
        rollout: rollout(workspace, record, context),
        newest_announced: record.newest_announced(),
        rehearsal,
        steering: steering(workspace, record, rehearsal, context),
        problem: record.marker.problem(),
        fleet,
        behind_for: behind_for(fleet),
        selector_usable: !PodSelection::of(workspace).is_unusable(),
        handled_request: handled_request(workspace, record),
        previous,
    }
}

/// Returns whether what is known of the source is about the spec as it is now. A source that can't be read for a while stays
/// current if it was read before, whatever else the spec has changed; one that the spec names anew does not. `previous` is
/// the last known status.
fn is_current(workspace: &RototoWorkspace, record: &WorkspaceRecord, previous: &RototoWorkspaceStatus) -> bool {
    let (source, generation) = (&record.source, workspace.metadata.generation);
    if workspace.spec.suspend {
        return true;
    }
    if !source.was_polled(generation) {
        return false;
    }
    // Without a publish, nobody can take another source's content for that of this spec.
    let publishes = record.marker.publisher().published().is_some() || previous.published.is_some();
    let read_before = !source.has_answered() && previous.observed_generation == generation;
    source.unread_since().is_none() || source.is_stalled() || read_before || !publishes
}

/// Returns the request for a reconcile that this status answers: for a suspended workspace, whose source is not polled,
/// the last one.
fn handled_request<'a>(workspace: &'a RototoWorkspace, record: &'a WorkspaceRecord) -> Option<&'a str> {
    if workspace.spec.suspend {
        return workspace.annotations().get(ANNOTATION_RECONCILE).map(String::as_str);
    }
    record.source.last_poll().and_then(|trigger| trigger.request.as_deref())
}

fn behind_for(fleet: &FleetView) -> Option<Duration> {
    match fleet.verdict {
        Verdict::Progressing { since } => Some(clock::now().saturating_sub(since)),
        _ => None,
    }
}

/// Returns the time at which the status may change although nothing happens.
fn next_wake(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    (fleet, rehearsal): (&FleetView, Option<&RehearsalView>),
    now: Instant,
) -> Instant {
    let within = workspace.spec.converge_within();
    let deadline = behind_for(fleet).filter(|since| *since <= within);
    let deadline = deadline.map(|since| now + (within - since) + Duration::from_millis(1));
    let change = fleet.next_change.into_iter().chain(rehearsal.and_then(|view| view.next_change)).min();
    let change = change.map(|change| now + change.saturating_sub(clock::now()) + Duration::from_millis(1));
    let later = [record.marker.retry_at(now), record.outbox.next_due(), change, deadline, record.stale_at()];
    let later = later.into_iter().flatten().filter(|wake| *wake > now);
    let poll = record.source.next_poll().filter(|_| !workspace.spec.suspend);
    // Without a pod in the stage nothing is measured, and a pod that comes is an event.
    let measurement = record.analysis.next_due().filter(|due| *due > now || !record.stage_pods().is_empty());
    // Both may have become due since this reconcile looked at them. The next one begins them.
    let due = [poll, measurement].into_iter().flatten().map(|due| due.max(now));
    later.chain(due).min().unwrap_or(now + AT_LEAST_EVERY).min(now + AT_LEAST_EVERY)
}

#[cfg(test)]
mod tests {
    use rototo_api::analysis::RolloutAnalysis;
    use rototo_api::marker::Stage;
    use rototo_protocol::analysis::MeasuredStep;
    use rototo_protocol::fleet::{Container, Fleet, FleetStart, Pod, PodObjectState, Pods};
    use rototo_protocol::windows::HEARTBEAT;
    use rototo_protocol::{Marked, Publish};
    use serde_json::json;

    use super::*;
    use crate::http::server_tests::TestServer;
    use crate::source::poll_error::PollError;
    use crate::source::record::tests::{found, poll, spec};

    fn workspace(source: &str, generation: i64) -> RototoWorkspace {
        let metadata = json!({ "namespace": "prod", "name": "policy", "uid": "1", "generation": generation });
        RototoWorkspace {
            spec: spec(source, "10s"),
            ..serde_json::from_value(json!({ "metadata": metadata, "spec": { "source": source } })).unwrap()
        }
    }

    fn record(workspace: &RototoWorkspace) -> WorkspaceRecord {
        let fleet = Fleet::new(FleetStart::New, HEARTBEAT, clock::now());
        WorkspaceRecord::new("1".to_owned(), &workspace.spec, fleet)
    }

    fn published() -> Publish {
        let fingerprint = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        Publish { fingerprint, updated_at: "2026-11-20T18:40:00.000000Z".parse().unwrap() }
    }

    fn unread() -> PollError {
        PollError::TimedOut(Duration::from_secs(1))
    }

    #[tokio::test]
    async fn a_process_that_leads_again_shows_all_metrics_of_a_workspace_anew() {
        let (server, now) = (TestServer::start().await, Instant::now());
        let (context, found) = (&server.context, found(false).await);
        let workspace = context.cluster().workspace(&TestServer::key()).unwrap();
        let shared = context.record(&workspace);
        poll(&mut shared.lock().source, (&workspace.spec, 1), Ok(found), now);
        shared.lock().marker.foreign(None, String::new());
        let term = context.leadership().term(now).unwrap();
        for _ in 0..2 {
            report(&workspace, &shared, context, term).await.unwrap();
            let shown = context.metrics_text();
            for name in ["processes", "source_verified_timestamp_seconds", "workspace_stale", "workspace_held"] {
                assert!(shown.contains(&format!("rototo_{name}{{namespace=\"prod\"")), "{name}: {shown}");
            }
            // The Lease has lapsed for a moment, and nobody has polled the source meanwhile.
            assert!(!context.metrics().text(context.sources().reader(), 0, false).contains("rototo_processes{"));
        }
    }

    #[test]
    fn a_status_waits_for_a_rehearsal_that_has_just_begun_and_goes_on() {
        let view = RehearsalView {
            next: published(),
            since: clock::now() + Duration::from_secs(3600),
            verdict: RehearsalVerdict::Waiting,
            prepared: 0,
            expected: 1,
            refused: Vec::new(),
            missing: Vec::new(),
            next_change: None,
        };
        let is = |verdict| is_short(&RehearsalView { verdict, ..view.clone() });
        // The rollout of what has passed begins in a moment.
        assert!(is(RehearsalVerdict::Waiting) && is(RehearsalVerdict::Passed));
        assert!(!is(RehearsalVerdict::Refused) && !is(RehearsalVerdict::Incomplete));
    }

    /// The revision of a layered source stays when a base moves.
    #[test]
    fn an_answer_is_settled_once_the_newest_content_is_published_or_will_not_be() {
        const REVISION: &str = "main@sha1:4d123d61";
        let is = |newest: &str, beside: serde_json::Value| {
            let mut status = json!({
                "source": { "revision": REVISION, "fingerprint": newest },
                "published": { "fingerprint": "sha256:1", "revision": REVISION, "revisions": [REVISION],
                    "updatedAt": "2026-11-20T18:40:00.000000Z" },
            });
            status.as_object_mut().unwrap().extend(beside.as_object().unwrap().clone());
            is_settled(&serde_json::from_value(status).unwrap())
        };
        let since = "2026-11-20T18:40:00Z";
        let held = json!({ "held": { "revision": REVISION, "fingerprint": "sha256:2", "reason": "ShrinkHeld",
            "since": since, "release": "" } });
        let rejected = json!({ "rejected": { "revision": REVISION, "time": since, "errors": 1, "warnings": 0 } });
        assert!(is("sha256:1", json!({})) && !is("sha256:2", json!({})));
        assert!(is("sha256:2", held.clone()) && !is("sha256:3", held) && is("sha256:2", rejected));
    }

    #[tokio::test]
    async fn a_source_that_was_never_read_is_not_taken_for_the_one_that_was() {
        let (first, second) =
            (workspace("git+https://example.com/a.git", 1), workspace("git+https://example.com/b.git", 2));
        let (mut record, now, before) = (record(&first), Instant::now(), RototoWorkspaceStatus::default());
        // Without a publish there is nothing that could be taken for it.
        poll(&mut record.source, (&first.spec, 1), Err(unread()), now);
        assert!(is_current(&first, &record, &before));
        poll(&mut record.source, (&first.spec, 1), Ok(found(false).await), now);
        record.marker_confirmed(Some(published().into()));
        assert!(is_current(&first, &record, &before));

        poll(&mut record.source, (&second.spec, 2), Err(unread()), now);
        assert!(!is_current(&second, &record, &before));
        poll(&mut record.source, (&second.spec, 2), Ok(found(false).await), now);
        assert!(is_current(&second, &record, &before));
        poll(&mut record.source, (&second.spec, 2), Err(unread()), now);
        assert!(is_current(&second, &record, &before));
        poll(
            &mut record.source,
            (&first.spec, 3),
            Err(PollError::Invalid("ftp://x".parse::<rototo_source::Source>().unwrap_err())),
            now,
        );
        assert!(is_current(&workspace("git+https://example.com/a.git", 3), &record, &before), "it stalls");
    }

    #[tokio::test]
    async fn a_source_that_an_earlier_operator_has_read_stays_read_after_a_restart() {
        let first = workspace("git+https://example.com/a.git", 2);
        let (mut record, now) = (record(&first), Instant::now());
        record.marker_confirmed(Some(published().into()));
        poll(&mut record.source, (&first.spec, 2), Err(unread()), now);
        for (generation, current) in [(1, false), (2, true)] {
            let before = RototoWorkspaceStatus { observed_generation: Some(generation), ..Default::default() };
            assert_eq!(is_current(&first, &record, &before), current);
        }
    }

    fn wake(workspace: &RototoWorkspace, record: &mut WorkspaceRecord, pods: Pods, now: Instant) -> Instant {
        let fleet = record.count_fleet(pods, Duration::ZERO);
        next_wake(workspace, record, (&fleet, None), now)
    }

    #[tokio::test]
    async fn a_poll_that_becomes_due_during_its_own_reconcile_is_not_forgotten() {
        let workspace = workspace("git+https://example.com/a.git", 1);
        let (mut record, start) = (record(&workspace), Instant::now());
        poll(&mut record.source, (&workspace.spec, 1), Ok(found(false).await), start);
        let due = record.source.next_poll().unwrap();
        let later = due + Duration::from_millis(5);
        for (now, expected) in [(due - Duration::from_millis(5), due), (due, due), (later, later)] {
            assert_eq!(wake(&workspace, &mut record, Pods::default(), now), expected);
        }
        record.source.poll_started(tokio::spawn(std::future::pending()), Default::default(), later);
        let wake = wake(&workspace, &mut record, Pods::default(), later);
        assert!(wake > later, "the end of the poll that runs is an event");
    }

    #[test]
    fn a_measurement_that_becomes_due_during_its_own_reconcile_is_not_forgotten() {
        let workspace = workspace("git+https://example.com/a.git", 1);
        let (mut record, start) = (record(&workspace), Instant::now());
        let next = Publish { updated_at: "2026-11-20T18:40:01.000000Z".parse().unwrap(), ..published() };
        let stage = Stage { step: 0, since: "2026-11-20T18:40:01Z".parse().unwrap(), below: 1 << 32 };
        record.marker_confirmed(Some(Marked { next: Some(next), stage: Some(stage), ..published().into() }));
        let provider = json!({ "prometheus": { "address": "http://prometheus:9090", "query": "errors" } });
        let analysis = json!({ "name": "errors", "provider": provider, "successCondition": "result < 1" });
        let analyses: [RolloutAnalysis; 1] = [serde_json::from_value(analysis).unwrap()];
        record.analysis.follow(Some(MeasuredStep { publish: next, stage }), &analyses, start);
        let late = record.analysis.next_due().unwrap() + Duration::from_millis(5);
        assert!(wake(&workspace, &mut record, Pods::default(), late) > late, "there is no pod to measure");
        let app = Container { name: "app".to_owned(), running: true, expected: true, ended: None };
        let pod = Pod {
            name: "a".to_owned(),
            selected: true,
            terminating: false,
            seen_running: None,
            containers: vec![app],
            passing: Vec::new(),
            object_state: PodObjectState::Exists,
        };
        let pods = Pods { by_uid: [("a".into(), pod.into())].into(), incomplete: false };
        assert_eq!(wake(&workspace, &mut record, pods, late), late);
    }
}
