//! Writes the status and Events: no more often than they say anything new.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event as KubeEvent, EventType, Recorder};
use kube::{Api, Resource, ResourceExt};
use rototo_api::names::OPERATOR;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use serde_json::json;
use tracing::warn;

use crate::context::Context;
use crate::fleet::{Convergence, FleetView};
use crate::record::Record;
use crate::records::{Key, SharedRecord};
use crate::status::{self, Event, Facts, Severity, SourceFacts, SourceProblem};

/// A status that still moves is written at most this often.
const STATUS_EVERY: Duration = Duration::from_secs(1);
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

/// Writes the status if it says anything new, and answers when it may change by itself.
pub(crate) async fn report(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Context,
) -> Result<Instant, ReportError> {
    let now = Instant::now();
    let pods = context.pods(workspace);
    let (previous, next, mut wake, wrote) = {
        let mut record = shared.lock();
        let wrote = record.written.as_ref().map(|(_, at)| *at);
        let previous = match &record.written {
            Some((status, _)) => status.clone(),
            None => workspace.status.clone().unwrap_or_default(),
        };
        let fleet = record.fleet.view(&pods, now);
        let next = status::status(&facts(workspace, &record, &fleet, &previous, now));
        context.metrics.fleet(&Key::of(workspace), &fleet);
        (previous, next, next_wake(workspace, &record, &fleet, now), wrote)
    };
    if !status::worth_writing(&previous, &next) {
        return Ok(wake);
    }
    // A status that comes to rest is written at once; one that moves, or moves on from rest, about once a second.
    let comes_to_rest = status::settled(&next) && !status::settled(&previous);
    if let Some(earliest) = wrote.map(|wrote| wrote + STATUS_EVERY).filter(|earliest| *earliest > now && !comes_to_rest)
    {
        wake = wake.min(earliest);
        return Ok(wake);
    }
    if !context.leadership.is_held(Instant::now()) {
        return Ok(wake);
    }
    write_status(workspace, context, &next).await?;
    for event in status::events(&previous, &next) {
        tell(workspace, context, event).await;
    }
    shared.lock().written = Some((next, Instant::now()));
    Ok(wake)
}

fn facts<'a>(
    workspace: &'a RototoWorkspace,
    record: &'a Record,
    fleet: &'a FleetView,
    previous: &'a RototoWorkspaceStatus,
    now: Instant,
) -> Facts<'a> {
    let source = &record.source;
    let looked_for = source.schedule.answered();
    Facts {
        spec: &workspace.spec,
        generation: workspace.metadata.generation,
        now: Timestamp::now(),
        source: SourceFacts {
            head: source.head.as_deref(),
            last_success: source.verified.map(|verified| verified.time),
            verified_ago: record.verified_ago(now),
            failures: source.failures,
            error: source.error.as_ref().map(|failure| SourceProblem {
                code: failure.code,
                message: failure.message.clone(),
                transient: failure.transient,
            }),
            current: workspace.spec.suspend
                || looked_for.is_some_and(|cause| cause.generation == workspace.metadata.generation),
        },
        published: record.published.as_ref(),
        problem: record.problem.as_ref(),
        fleet,
        handled_request: looked_for.and_then(|cause| cause.request.as_deref()),
        previous,
    }
}

/// When the answer may change although nothing happens.
fn next_wake(workspace: &RototoWorkspace, record: &Record, fleet: &FleetView, now: Instant) -> Instant {
    let within = workspace.spec.converge_within();
    let deadline = match fleet.convergence {
        Convergence::Progressing(Some(since)) if since <= within => {
            Some(now + (within - since) + Duration::from_millis(1))
        }
        Convergence::Recounting => Some(now + Duration::from_secs(1)),
        _ => None,
    };
    let stale = record.source.verified.map(|verified| verified.at + record.stale_after);
    let retry = record
        .problem
        .as_ref()
        .map(|_| now + Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(record.publish_failures.min(6))));
    let look = record.source.schedule.next().filter(|_| !workspace.spec.suspend);
    let wakes = [look, fleet.next_change, deadline, stale, retry];
    let wakes = wakes.into_iter().flatten().filter(|wake| *wake > now);
    wakes.min().unwrap_or(now + AT_LEAST_EVERY).min(now + AT_LEAST_EVERY)
}

async fn write_status(
    workspace: &RototoWorkspace,
    context: &Context,
    status: &RototoWorkspaceStatus,
) -> Result<(), ReportError> {
    let Key { namespace, name } = Key::of(workspace);
    let workspaces: Api<RototoWorkspace> = Api::namespaced(context.client.clone(), &namespace);
    let body = json!({
        "apiVersion": RototoWorkspace::api_version(&()),
        "kind": RototoWorkspace::kind(&()),
        "metadata": { "name": name, "uid": workspace.uid() },
        "status": status,
    });
    // Applied by its one owner, so that what is left out disappears.
    let params = PatchParams::apply(OPERATOR).force();
    match workspaces.patch_status(&name, &params, &Patch::Apply(body)).await {
        Ok(_) => Ok(()),
        // Deleted, or deleted and created again: nothing is left to report on.
        Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => Ok(()),
        Err(source) => Err(ReportError::Status { namespace, name, source: Box::new(source) }),
    }
}

/// Writes an Event.
pub(crate) async fn tell(workspace: &RototoWorkspace, context: &Context, event: Event) {
    let event = KubeEvent {
        type_: match event.severity {
            Severity::Normal => EventType::Normal,
            Severity::Warning => EventType::Warning,
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
