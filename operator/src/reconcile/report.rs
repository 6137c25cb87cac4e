//! Writes the status and Events: no more often than they say anything new.
//!
//! A status is a claim. It is written with the version of the object that it was decided on and in the lease term in which it
//! was decided, and compared with the object as it is, whoever wrote that: where they differ it is written again.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event as KubeEvent, EventType, Recorder};
use kube::{Api, Resource, ResourceExt};
use rototo_api::condition::CONVERGED;
use rototo_api::convergence::Convergence;
use rototo_api::names::OPERATOR;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_protocol::fleet::{FleetView, Verdict};
use serde_json::json;
use tracing::warn;

use crate::fleet::clock;
use crate::fleet::pods::PodSelection;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::record_store::{SharedRecord, WorkspaceKey};
use crate::reconcile::workspace_record::{WorkspaceRecord, WrittenStatus};
use crate::status;
use crate::status::{EventSeverity, SourceInput, SourceProblem, StatusInput, WorkspaceEvent};

/// A status that still moves is written at most this often.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// A conflict is settled by the object's next version, which rings when it comes; and so long after at the latest.
const AFTER_CONFLICT: Duration = Duration::from_secs(1);
/// How long a reconcile that nobody asks for is put off at most.
const AT_LEAST_EVERY: Duration = Duration::from_secs(300);

/// Why a report is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The status could not be written.
    #[error("the status of {namespace}/{name} could not be written: {source}")]
    Status {
        /// The workspace's namespace.
        namespace: String,
        /// The workspace's name.
        name: String,
        /// What the API server says.
        source: Box<kube::Error>,
    },
}

/// A status that was decided, beside the one that the object has.
struct StatusDecision {
    next: RototoWorkspaceStatus,
    /// As the object has it, as far as this process knows.
    actual: RototoWorkspaceStatus,
    /// The version that has it.
    resource_version: u64,
    /// As this process has written it last, whoever changed it since.
    remembered: RototoWorkspaceStatus,
    /// When the answer may change although nothing happens.
    wake: Instant,
}

/// Writes the status if it says anything new, and answers when it may change by itself. `term` is the lease term in which
/// this reconcile began.
pub(crate) async fn report(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
    term: u64,
) -> Result<Instant, ReportError> {
    let now = Instant::now();
    let wrote = shared.lock().written.as_ref().map(|written| written.at);
    let StatusDecision { next, actual, resource_version, remembered, wake } = decide(workspace, shared, context);
    if !status::worth_writing(&actual, &next) {
        return Ok(wake);
    }
    // A status that comes to rest is written at once; one that moves, or moves on from rest, about once a second.
    let comes_to_rest = status::settled(&next) && !status::settled(&actual);
    if let Some(earliest) = wrote.map(|wrote| wrote + STATUS_EVERY).filter(|earliest| *earliest > now && !comes_to_rest)
    {
        return Ok(wake.min(earliest));
    }
    if context.leadership.term(Instant::now()) != Some(term) {
        return Ok(wake);
    }
    match write_status(workspace, context, &next, resource_version).await? {
        StatusWrite::Written(resource_version) => {
            for event in status::events(&remembered, &next) {
                write_event(workspace, context, event).await;
            }
            shared.lock().written = Some(WrittenStatus { status: next, resource_version, at: Instant::now() });
            Ok(wake)
        }
        StatusWrite::Conflict => Ok(wake.min(Instant::now() + AFTER_CONFLICT)),
        StatusWrite::Gone => Ok(wake),
    }
}

fn decide(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) -> StatusDecision {
    let now = Instant::now();
    let pods = context.pods(workspace);
    let mut record = shared.lock();
    record.fleet.turned_away(context.turned_away.last());
    record.fleet.observe(pods);
    let fleet = record.fleet.view(clock::now());
    context.metrics.fleet(&WorkspaceKey::of(workspace), &fleet);
    let seen = version(workspace);
    // The watch is behind one's own writes for a moment.
    let (actual, resource_version) = match &record.written {
        Some(written) if written.resource_version >= seen => (written.status.clone(), written.resource_version),
        _ => (workspace.status.clone().unwrap_or_default(), seen),
    };
    let remembered = record.written.as_ref().map_or_else(|| actual.clone(), |written| written.status.clone());
    let next = status::status(&facts(workspace, &record, &fleet, &remembered, now));
    let wake = next_wake(workspace, &record, &fleet, now);
    StatusDecision { next, actual, resource_version, remembered, wake }
}

/// The answer to whoever asks now whether what is published runs everywhere.
pub(crate) fn convergence(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
) -> Convergence {
    let StatusDecision { next, .. } = decide(workspace, shared, context);
    let condition = next.conditions.iter().find(|condition| condition.type_ == CONVERGED);
    let (status, reason, message) = condition.map_or_else(Default::default, |condition| {
        (condition.status.clone(), condition.reason.clone(), condition.message.clone())
    });
    let refused = next.rejected.as_ref().and_then(|rejected| rejected.revision.clone());
    let source_revision = next.source.and_then(|source| source.revision);
    let published = next.published;
    let revisions = published.as_ref().map(|published| published.revisions.clone()).unwrap_or_default();
    let fleet = next.fleet.unwrap_or_default();
    Convergence {
        as_of: Timestamp::now(),
        uid: workspace.uid().unwrap_or_default(),
        observed_generation: next.observed_generation,
        fingerprint: published.as_ref().map(|published| published.fingerprint.clone()),
        updated_at: published.map(|published| published.updated_at),
        settled: source_revision
            .as_ref()
            .is_some_and(|newest| revisions.contains(newest) || refused.as_ref() == Some(newest)),
        revisions,
        source_revision,
        status,
        reason,
        message,
        expected: fleet.expected,
        processes: fleet.processes,
        applied: fleet.applied,
        behind: fleet.behind,
    }
}

fn facts<'a>(
    workspace: &'a RototoWorkspace,
    record: &'a WorkspaceRecord,
    fleet: &'a FleetView,
    previous: &'a RototoWorkspaceStatus,
    now: Instant,
) -> StatusInput<'a> {
    let source = &record.source;
    let polled_for = source.schedule.answered();
    StatusInput {
        spec: &workspace.spec,
        generation: workspace.metadata.generation,
        now: Timestamp::now(),
        source: SourceInput {
            candidate: source.candidate.as_deref(),
            last_success: source.verified.map(|verified| verified.time),
            verified_ago: record.verified_ago(now),
            failures: source.failures,
            error: source.error.as_ref().map(|failure| SourceProblem {
                code: failure.code,
                message: failure.message.clone(),
                transient: failure.transient,
            }),
            current: workspace.spec.suspend
                || polled_for.is_some_and(|trigger| trigger.generation == workspace.metadata.generation),
        },
        published: record.publisher.published(),
        problem: record.problem.as_ref(),
        fleet,
        behind_for: behind_for(fleet),
        selector_usable: !PodSelection::of(workspace).is_unusable(),
        handled_request: handled_request(workspace, record),
        previous,
    }
}

/// The request for a reconcile that is answered by this status: for a suspended workspace, whose source is not asked, the
/// last one.
fn handled_request<'a>(workspace: &'a RototoWorkspace, record: &'a WorkspaceRecord) -> Option<&'a str> {
    if workspace.spec.suspend {
        return workspace.annotations().get(rototo_api::names::ANNOTATION_RECONCILE).map(String::as_str);
    }
    record.source.schedule.answered().and_then(|trigger| trigger.request.as_deref())
}

fn behind_for(fleet: &FleetView) -> Option<Duration> {
    match fleet.verdict {
        Verdict::Progressing { since } => Some(clock::now().saturating_sub(since)),
        _ => None,
    }
}

/// When the answer may change although nothing happens.
fn next_wake(workspace: &RototoWorkspace, record: &WorkspaceRecord, fleet: &FleetView, now: Instant) -> Instant {
    let within = workspace.spec.converge_within();
    let deadline = behind_for(fleet).filter(|since| *since <= within);
    let deadline = deadline.map(|since| now + (within - since) + Duration::from_millis(1));
    let change = fleet.next_change.map(|change| now + change.saturating_sub(clock::now()) + Duration::from_millis(1));
    let stale = record.source.verified.map(|verified| verified.at + record.stale_after);
    let retry = record
        .problem
        .as_ref()
        .map(|_| now + Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(record.publish_failures.min(6))));
    let poll = record.source.schedule.next().filter(|_| !workspace.spec.suspend);
    let wakes = [poll, change, deadline, stale, retry];
    let wakes = wakes.into_iter().flatten().filter(|wake| *wake > now);
    wakes.min().unwrap_or(now + AT_LEAST_EVERY).min(now + AT_LEAST_EVERY)
}

/// The outcome of a write of the status.
enum StatusWrite {
    /// The object has it, at this version.
    Written(u64),
    /// The object is not as it was when this was decided: it is decided again.
    Conflict,
    /// Deleted, or deleted and created again: nothing is left to report on.
    Gone,
}

async fn write_status(
    workspace: &RototoWorkspace,
    context: &OperatorContext,
    status: &RototoWorkspaceStatus,
    resource_version: u64,
) -> Result<StatusWrite, ReportError> {
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    let workspaces: Api<RototoWorkspace> = Api::namespaced(context.client.clone(), &namespace);
    let body = json!({
        "apiVersion": RototoWorkspace::api_version(&()),
        "kind": RototoWorkspace::kind(&()),
        "metadata": { "name": name, "uid": workspace.uid(), "resourceVersion": resource_version.to_string() },
        "status": status,
    });
    // Applied by its one owner, so that what is left out disappears.
    let params = PatchParams::apply(OPERATOR).force();
    match workspaces.patch_status(&name, &params, &Patch::Apply(body)).await {
        Ok(written) => Ok(StatusWrite::Written(version(&written))),
        Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(StatusWrite::Conflict),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(StatusWrite::Gone),
        Err(source) => Err(ReportError::Status { namespace, name, source: Box::new(source) }),
    }
}

/// Resource versions of one resource grow (a promise of the Kubernetes API since 1.35, and true of etcd before).
fn version(workspace: &RototoWorkspace) -> u64 {
    workspace.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Writes an Event.
pub(crate) async fn write_event(workspace: &RototoWorkspace, context: &OperatorContext, event: WorkspaceEvent) {
    let event = KubeEvent {
        type_: match event.severity {
            EventSeverity::Normal => EventType::Normal,
            EventSeverity::Warning => EventType::Warning,
        },
        reason: event.reason.to_owned(),
        note: Some(event.message),
        action: event.reason.to_owned(),
        secondary: None,
    };
    // An Event is a courtesy: the status says the same, and stays.
    // A recorder that is kept would count events of one reason as one, and show only the message of the first.
    let recorder = Recorder::new(context.client.clone(), context.reporter.clone());
    if let Err(error) = recorder.publish(&event, &workspace.object_ref(&())).await {
        warn!(%error, reason = event.reason, "an Event could not be written");
    }
}
