//! Makes the marker say what the source says: decides, writes, and decides again when the map has changed meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::Publish;
use rototo_protocol::plan::{MapVersion, MarkerMap, MarkerPlan, WriteReason};
use rototo_protocol::publisher::{AcceptedPublish, Detection, PublishInput};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::fleet::clock;
use crate::marker::map as markers;
use crate::marker::map::WriteError;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::record_store::{SharedRecord, WorkspaceKey};
use crate::reconcile::recover::recover_if_lost;
use crate::reconcile::report::write_event;
use crate::reconcile::workspace_record::WorkspaceRecord;
use crate::source::poll::{LintVerdict, PollTimes};
use crate::status::{PublishProblem, WorkspaceEvent};

/// How often a decision is made again because the map has changed under it.
const ATTEMPTS: u32 = 5;
/// An API server that has not answered by then is asked what has become of the write.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Writes the marker if it does not say what the source says. `term` is the lease term in which this reconcile began: in
/// another one, nothing is written.
pub(crate) async fn publish(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    term: u64,
) {
    let namespace = WorkspaceKey::of(workspace).namespace;
    // All workspaces of a namespace share one map: taking turns costs less than conflicts.
    let turn = context.maps.turn(&namespace);
    let events = {
        let _turn = turn.lock().await;
        take_turn(workspace, shared, context, term).await
    };
    for event in events {
        write_event(workspace, context, event).await;
    }
}

/// What [`publish`] does while it has the turn. Returns the Events to write afterwards, so that one which gets no answer
/// holds up no other workspace.
async fn take_turn(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    term: u64,
) -> Vec<WorkspaceEvent> {
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    let mut events = Vec::new();
    for _ in 0..ATTEMPTS {
        // Deleted while this waited for its turn: what it would write, nobody would take away again soon.
        if context.leadership.term(Instant::now()) != Some(term) || !context.still_exists(workspace) {
            return events;
        }
        let map = context.maps.newest(&namespace);
        let map = context.map_metadata.read(map.as_deref(), &name);
        events.extend(landed_before(workspace, shared, context, &map));
        let plan = decide(workspace, shared, context, map);
        let (publish, at, reason) = match plan {
            MarkerPlan::Wait => {
                shared.lock().marker_confirmed(None);
                return events;
            }
            MarkerPlan::Keep(publish) => {
                shared.lock().marker_confirmed(Some(publish));
                recover_if_lost(workspace, shared, context, &publish);
                return events;
            }
            MarkerPlan::Forbidden { owner } => {
                shared.lock().problem = Some(PublishProblem::Foreign { owner });
                return events;
            }
            MarkerPlan::VerifyAgain => {
                if !verify_source_and_map(workspace, shared, context).await {
                    return events;
                }
                continue;
            }
            MarkerPlan::Readdress { publish, at } => (publish, at, None),
            MarkerPlan::Write { publish, at, reason } => (publish, at, Some(reason)),
        };
        if reason.is_some_and(|reason| !begin_attempt(workspace, shared, context, publish, &at, reason)) {
            return events;
        }
        match write(context, &namespace, &name, publish, &at).await {
            Ok(()) => {
                if reason.is_some() {
                    events.extend(accepted(workspace, shared, context));
                } else {
                    shared.lock().marker_confirmed(Some(publish));
                }
                forget_old_snapshots(workspace, shared, context).await;
                return events;
            }
            Err(WriteError::Refused(message)) => {
                shared.lock().publisher.refused();
                failed(shared, context, PublishProblem::Refused(message));
                return events;
            }
            // The map shows what has become of the write.
            Err(WriteError::Conflict | WriteError::Unavailable(_)) => {
                if let Err(problem) = read_map(context, &namespace).await {
                    failed(shared, context, problem);
                    return events;
                }
            }
        }
    }
    failed(shared, context, PublishProblem::Unavailable(WriteError::Conflict.to_string()));
    events
}

/// Notices in the map that an earlier write has landed whose answer was lost.
fn landed_before(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
    map: &MarkerMap,
) -> Option<WorkspaceEvent> {
    let accepted_publish = {
        let WorkspaceRecord { publisher, fleet, .. } = &mut *shared.lock();
        publisher.map_observed(map, fleet, clock::now())?
    };
    note(workspace, context, &accepted_publish)
}

fn decide(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext, map: MarkerMap) -> MarkerPlan {
    let published = shared.lock().publisher.published();
    // What status remembers matters only while nothing is known: no disk is asked for it otherwise.
    let remembered = if published.is_none() { remembered(workspace, context) } else { None };
    let record = shared.lock();
    let accepted = record.source.candidate.as_ref().filter(|candidate| candidate.verdict == LintVerdict::Accepted);
    let facts = PublishInput {
        accepted: accepted.map(|candidate| candidate.fingerprint),
        remembered,
        last_published_name: last_published_name(workspace),
        polled_at: record.source.schedule.answered_at().map(clock::moment),
        suspended: workspace.spec.suspend,
    };
    record.publisher.decide(&record.fleet, map, facts, Timestamp::now())
}

/// The last name of a publish that status knows of.
fn last_published_name(workspace: &RototoWorkspace) -> Option<UpdatedAt> {
    let status = workspace.status.as_ref()?;
    let history = status.history.iter().map(|entry| entry.updated_at);
    history.chain(status.published.as_ref().map(|published| published.updated_at)).max()
}

/// What status says was published last, if its content is on this disk.
fn remembered(workspace: &RototoWorkspace, context: &OperatorContext) -> Option<Publish> {
    let published = workspace.status.as_ref()?.published.as_ref()?;
    let fingerprint = published.fingerprint.parse().ok()?;
    let kept = context.snapshots.has(&WorkspaceKey::of(workspace), &fingerprint);
    kept.then_some(Publish { fingerprint, updated_at: published.updated_at })
}

/// Has source and map asked anew before a change of somebody else is undone. Says whether the map is to be looked at again.
async fn verify_source_and_map(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) -> bool {
    {
        let mut record = shared.lock();
        if !record.publisher.doubt(clock::now()) {
            return false;
        }
        record.source.schedule.request(Instant::now());
    }
    context.requeue(&WorkspaceKey::of(workspace));
    // The watch may lag behind what processes have seen.
    read_map(context, &WorkspaceKey::of(workspace).namespace).await.is_ok()
}

async fn read_map(context: &OperatorContext, namespace: &str) -> Result<(), PublishProblem> {
    match timeout(ANSWERS_WITHIN, markers::get(&context.client, namespace)).await {
        Ok(Ok(map)) => {
            context.maps.saw(namespace, map.map(Arc::new));
            Ok(())
        }
        Ok(Err(error)) => Err(PublishProblem::Unavailable(error.to_string())),
        Err(_) => Err(PublishProblem::Unavailable(format!("the API server did not answer within {ANSWERS_WITHIN:?}"))),
    }
}

/// Whether it makes sense to try this write now. If so, remembers that it is tried.
fn begin_attempt(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &OperatorContext,
    publish: Publish,
    at: &MapVersion,
    reason: WriteReason,
) -> bool {
    let now = Instant::now();
    // The disk is not ours alone: what can't be had must not be named.
    if !context.snapshots.has(&WorkspaceKey::of(workspace), &publish.fingerprint) {
        shared.lock().source.lost(now);
        let gone = format!("the snapshot {} is gone", publish.fingerprint);
        failed(shared, context, PublishProblem::Unavailable(gone));
        return false;
    }
    let pods = context.pods(workspace);
    let mut record = shared.lock();
    let same = record.publisher.attempted().is_some_and(|attempted| attempted.fingerprint == publish.fingerprint);
    if same && record.next_attempt.is_some_and(|next| now < next) {
        return false;
    }
    let candidate = record.source.candidate.as_ref().filter(|candidate| candidate.fingerprint == publish.fingerprint);
    let detection = candidate.map(|candidate| detection(candidate.times));
    let WorkspaceRecord { publisher, fleet, .. } = &mut *record;
    fleet.observe(pods);
    publisher.begin_patch(publish, at, reason, detection, fleet, clock::now());
    true
}

fn detection(times: PollTimes) -> Detection {
    let [detected, fetched, linted] = [times.detected, times.fetched, times.linted].map(clock::moment);
    Detection { detected, fetched, linted }
}

async fn write(
    context: &OperatorContext,
    namespace: &str,
    name: &str,
    publish: Publish,
    at: &MapVersion,
) -> Result<(), WriteError> {
    let data = markers::published(name, &publish);
    let written = timeout(ANSWERS_WITHIN, context.map_metadata.write(&context.client, namespace, data, at)).await;
    let map = written.unwrap_or_else(|_| Err(WriteError::Unavailable("no answer".to_owned())))?;
    context.maps.saw(namespace, Some(Arc::new(map)));
    Ok(())
}

/// The API server has accepted the patch: from now on the fleet is counted against this publish.
fn accepted(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) -> Option<WorkspaceEvent> {
    let pods = context.pods(workspace);
    let accepted_publish = {
        let mut record = shared.lock();
        record.fleet.observe(pods);
        record.accepted()?
    };
    note(workspace, context, &accepted_publish)
}

/// Logs and counts a publish. Returns the Event that tells of it, if one does.
fn note(
    workspace: &RototoWorkspace,
    context: &OperatorContext,
    accepted_publish: &AcceptedPublish,
) -> Option<WorkspaceEvent> {
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    let fingerprint = accepted_publish.publish.fingerprint;
    match accepted_publish.reason {
        WriteReason::ContentChanged => {
            context.metrics.published(&accepted_publish.times);
            info!(namespace, name, %fingerprint, "published");
            None
        }
        WriteReason::PutBack => {
            context.metrics.put_back();
            warn!(namespace, name, %fingerprint, "put back a marker that somebody else had changed");
            Some(WorkspaceEvent::marker_put_back(&fingerprint.to_string()))
        }
    }
}

async fn forget_old_snapshots(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) {
    let kept = {
        let record = shared.lock();
        // What a look is just keeping is not known here yet; the next publish tidies up as well.
        if record.source.task.is_some() {
            return;
        }
        record.kept()
    };
    if let Err(error) = context.snapshots.retain(&WorkspaceKey::of(workspace), kept).await {
        warn!(%error, "old snapshots could not be deleted");
    }
}

fn failed(shared: &SharedRecord, context: &OperatorContext, problem: PublishProblem) {
    warn!(?problem, "the marker could not be written");
    context.metrics.publish_refused();
    let mut record = shared.lock();
    record.publish_failures = record.publish_failures.saturating_add(1);
    let wait = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(record.publish_failures.min(6) - 1));
    record.next_attempt = Some(Instant::now() + wait);
    record.problem = Some(problem);
}
