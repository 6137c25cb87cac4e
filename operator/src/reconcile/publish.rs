//! Makes the marker name what the source has: decides, writes, and decides again when the map has changed meanwhile.

use std::sync::Arc;
use std::time::Instant;

use rototo_api::UpdatedAt;
use rototo_api::condition::reason;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::analysis::AnalysisRun;
use rototo_protocol::plan::{MapVersion, MarkerMap, MarkerPlan, WriteReason};
use rototo_protocol::publisher::{AcceptedPublish, PublishInput};
use rototo_protocol::rollout::Step;
use rototo_protocol::{Marked, Publish};
use tracing::{debug, info, warn};

use crate::fleet::clock;
use crate::marker::map::WriteError;
use crate::marker::problem::PublishProblem;
use crate::reconcile::analysis::runs;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::hold::hold_if_shrunk;
use crate::reconcile::recover::recover_if_lost;
use crate::reconcile::rehearsal::{is_published_anyway, rules};
use crate::reconcile::rollout::{queues, request, steps};
use crate::reconcile::workspace_record::{SharedRecord, WorkspaceRecord};
use crate::status::events::WorkspaceEvent;
use crate::workspace_key::WorkspaceKey;

/// The number of decisions on one map that keeps changing.
const ATTEMPTS: u32 = 5;

/// Writes the marker if it does not name what the source has. `term` is the lease term in which this reconcile began:
/// in another one, nothing is written.
pub(crate) async fn publish(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    term: u64,
) {
    hold_if_shrunk(workspace, shared, context).await;
    copy_to_replicas(workspace, shared, context).await;
    // All workspaces of a namespace share one map: taking turns costs less than conflicts.
    let turn = context.markers().turn(&WorkspaceKey::of(workspace).namespace);
    let events = {
        let _turn = turn.lock().await;
        take_turn(workspace, shared, context, term).await
    };
    for event in events {
        context.statuses().write_event(workspace, event).await;
    }
}

/// Sends accepted content to the other replicas before its marker is written. Only this workspace waits, and for a
/// second at most.
async fn copy_to_replicas(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) {
    let Some(copies) = context.copies() else { return };
    let key = WorkspaceKey::of(workspace);
    let (accepted, published, announced, alone) = {
        let record = shared.lock();
        let marked = record.marker.marked();
        let announced = marked.and_then(|marked| marked.next).map(|next| next.fingerprint);
        let rolling = announced.filter(|_| queues(workspace, &record, context));
        let accepted = rolling.or(record.publishable());
        (accepted, marked.map(|marked| marked.publish.fingerprint), announced, record.marker.is_alone())
    };
    let next = accepted.filter(|accepted| Some(*accepted) != published);
    if let Some(next) = next.filter(|next| Some(*next) == announced) {
        // It was sent before it was announced: a publish does not wait for the same replicas twice.
        if copies.is_copied(&key, next) {
            shared.lock().marker.copied(next, true);
        }
    } else if let Some(next) = next.filter(|next| context.sources().snapshots().has(&key, next)) {
        let kept = shared.lock().kept();
        let copied = copies.copy(&key, next, published, kept).await;
        shared.lock().marker.copied(next, copied);
    } else if let Some(published) = published.filter(|published| alone && copies.is_copied(&key, *published)) {
        shared.lock().marker.copied(published, true);
    }
}

/// Decides and writes while [`publish`] has the turn. Returns the Events to write afterwards, so that one without an
/// answer holds up no other workspace.
async fn take_turn(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    term: u64,
) -> Vec<WorkspaceEvent> {
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    let mut events = Vec::new();
    for _ in 0..ATTEMPTS {
        // The workspace may have been deleted during the wait for the turn. A marker of it would stay until the next
        // sweep.
        if context.leadership().term(Instant::now()) != Some(term) || !context.still_exists(workspace) {
            return events;
        }
        let map = context.markers().read(&namespace, &name);
        events.extend(landed_before(workspace, shared, context, &map));
        let (marked, at, reason) = match decide(workspace, shared, context, map) {
            MarkerPlan::Wait => {
                shared.lock().marker_confirmed(None);
                return events;
            }
            MarkerPlan::Keep(marked) => {
                shared.lock().marker_confirmed(Some(marked));
                recover_if_lost(workspace, shared, context, &marked.publish);
                return events;
            }
            MarkerPlan::Forbidden { owner } => {
                shared.lock().marker.foreign(owner);
                return events;
            }
            MarkerPlan::VerifyAgain => {
                if !verify_source_and_map(workspace, shared, context).await {
                    return events;
                }
                continue;
            }
            MarkerPlan::Readdress { marked, at } => (marked, at, None),
            MarkerPlan::Write { marked, at, reason } => (marked, at, Some(reason)),
        };
        match write(workspace, shared, context, marked, &at, reason).await {
            Attempt::Ended(event) => {
                events.extend(event);
                return events;
            }
            Attempt::Unclear => {}
        }
    }
    failed(workspace, shared, context, PublishProblem::Unavailable(WriteError::Conflict.to_string()));
    events
}

/// The outcome of one attempt to write the marker.
enum Attempt {
    /// Nothing more is to be done now. A write that happened may have an Event.
    Ended(Option<WorkspaceEvent>),
    /// The map shows what has become of the write, so the decision is made again.
    Unclear,
}

/// Writes the marker, if that makes sense now. Without a `reason`, only the contents of the map beside the markers
/// change.
async fn write(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
    marked: Marked,
    at: &MapVersion,
    reason: Option<WriteReason>,
) -> Attempt {
    if reason.is_some_and(|reason| !begin_write(workspace, shared, context, marked, at, reason)) {
        return Attempt::Ended(None);
    }
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    match context.markers().publish(&namespace, &name, marked, at).await {
        Ok(()) => {
            let event = if reason.is_some() {
                accepted(workspace, shared, context)
            } else {
                shared.lock().marker_confirmed(Some(marked));
                None
            };
            if reason == Some(WriteReason::Announcement) {
                let (announced, namespace, name) = (marked.next.map(|next| next.fingerprint), &namespace, &name);
                debug!(namespace, name, ?announced, "the marker announces something else");
            }
            delete_old_snapshots(workspace, shared, context).await;
            Attempt::Ended(event)
        }
        Err(WriteError::Refused(message)) => {
            failed(workspace, shared, context, PublishProblem::Refused(message));
            Attempt::Ended(None)
        }
        Err(WriteError::Conflict | WriteError::Unavailable(_)) => match context.markers().refresh(&namespace).await {
            Ok(()) => Attempt::Unclear,
            Err(problem) => {
                failed(workspace, shared, context, problem);
                Attempt::Ended(None)
            }
        },
    }
}

/// Notices in the map that an earlier write happened whose answer was lost.
fn landed_before(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
    map: &MarkerMap,
) -> Option<WorkspaceEvent> {
    let accepted = shared.lock().map_observed(map)?;
    note(workspace, shared, context, &accepted)
}

fn decide(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext, map: MarkerMap) -> MarkerPlan {
    let published = shared.lock().marker.published();
    // Status matters only while nothing is known to be published: otherwise the disk is not asked for its content.
    let remembered = if published.is_none() { remembered(workspace, context) } else { None };
    let (record, steps) = (shared.lock(), steps(workspace));
    let analyses = runs(workspace, &record);
    let queues = queues(workspace, &record, context);
    let input = PublishInput { remembered, queues, ..input(workspace, &record, (&steps, &analyses)) };
    record.decide(map, input)
}

/// Returns what a decision about the marker is made from, without what the disk has.
pub(super) fn input<'a>(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    (steps, analyses): (&'a [Step], &'a [AnalysisRun]),
) -> PublishInput<'a> {
    PublishInput {
        accepted: record.publishable(),
        remembered: None,
        last_published_name: last_published_name(workspace),
        polled_at: record.source.answered_at().map(clock::moment),
        candidate_known: record.source.candidate().is_some(),
        suspended: workspace.spec.suspend,
        rehearsal: rules(workspace, record),
        steps,
        analyses,
        request: request(workspace),
        anyway: is_published_anyway(workspace, record),
        queues: false,
    }
}

/// The last name of a publish that status knows of.
fn last_published_name(workspace: &RototoWorkspace) -> Option<UpdatedAt> {
    let status = workspace.status.as_ref()?;
    let history = status.history.iter().map(|entry| entry.updated_at);
    history.chain(status.published.as_ref().map(|published| published.updated_at)).max()
}

/// The last publish by status, if its content is on the disk.
fn remembered(workspace: &RototoWorkspace, context: &OperatorContext) -> Option<Publish> {
    let published = workspace.status.as_ref()?.published.as_ref()?;
    let fingerprint = published.fingerprint.parse().ok()?;
    let kept = context.sources().snapshots().has(&WorkspaceKey::of(workspace), &fingerprint);
    kept.then_some(Publish { fingerprint, updated_at: published.updated_at })
}

/// Polls the source and reads the map again before a change of somebody else is undone. Returns whether to decide again
/// now.
async fn verify_source_and_map(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) -> bool {
    {
        let mut record = shared.lock();
        if !record.marker.doubt(clock::now()) {
            return false;
        }
        record.source.request_poll(Instant::now());
    }
    context.requeue(&WorkspaceKey::of(workspace));
    // The watch may lag behind what processes have seen.
    context.markers().refresh(&WorkspaceKey::of(workspace).namespace).await.is_ok()
}

/// Notes that a write is about to be sent. Returns `false` if it must not be sent now.
fn begin_write(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
    marked: Marked,
    at: &MapVersion,
    reason: WriteReason,
) -> bool {
    // Others use the disk too: a marker must not name, or announce, content that can't be served. What it already names
    // stays.
    let written = marked.next.or((reason != WriteReason::Announcement).then_some(marked.publish));
    let is_kept =
        |publish: &Publish| context.sources().snapshots().has(&WorkspaceKey::of(workspace), &publish.fingerprint);
    if let Some(Publish { fingerprint, .. }) = written.filter(|written| !is_kept(written)) {
        shared.lock().source.content_lost(Instant::now());
        let gone = format!("the snapshot {fingerprint} is gone");
        failed(workspace, shared, context, PublishProblem::Unavailable(gone));
        return false;
    }
    let pods = context.pods(workspace);
    let mut record = shared.lock();
    if let Some((taken_back, _)) = marked.held {
        record.note_taken_back(taken_back);
    }
    record.begin_write(marked, at, reason, pods)
}

/// The API server has accepted the write: from now on the fleet is counted against this publish.
fn accepted(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) -> Option<WorkspaceEvent> {
    let pods = context.pods(workspace);
    let accepted = shared.lock().accepted(pods)?;
    note(workspace, shared, context, &accepted)
}

/// Logs and counts a publish. Returns its Event, if it has one.
fn note(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
    accepted: &AcceptedPublish,
) -> Option<WorkspaceEvent> {
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    let fingerprint = accepted.publish.fingerprint;
    match accepted.reason {
        WriteReason::ContentChanged => {
            context.metrics().published(&accepted.times);
            if shared.lock().marker.is_alone() {
                context.metrics().published_alone();
            }
            let trace_id = shared.lock().trace_of(reason::PUBLISHED);
            info!(namespace, name, %fingerprint, trace_id, "published");
            None
        }
        WriteReason::PutBack => {
            context.metrics().put_back();
            warn!(namespace, name, %fingerprint, "put back a marker that somebody else had changed");
            Some(WorkspaceEvent::marker_put_back(&fingerprint.to_string()))
        }
        // An announcement publishes nothing.
        WriteReason::Announcement => None,
    }
}

async fn delete_old_snapshots(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) {
    let kept = {
        let record = shared.lock();
        // The record does not know yet what a running poll keeps. The next publish deletes old snapshots as well.
        if record.source.is_polling() {
            return;
        }
        record.kept()
    };
    if let Err(error) = context.sources().snapshots().retain(&WorkspaceKey::of(workspace), kept).await {
        let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
        warn!(namespace, name, %error, "old snapshots could not be deleted");
    }
}

fn failed(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext, problem: PublishProblem) {
    context.metrics().publish_refused();
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    let mut record = shared.lock();
    // A failure that lasts is one line, and a condition.
    if record.marker.problem() != Some(&problem) {
        warn!(namespace, name, error = %problem, "the marker could not be written, and is tried again");
    }
    record.marker.write_failed(problem, Instant::now());
}
