//! Makes the marker say what the source says: decides, writes, and decides again when the map has changed meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rototo_api::workspace::RototoWorkspace;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::context::Context;
use crate::fleet::{Publish, PublishTimes};
use crate::head::Verdict;
use crate::markers::{self, WriteError};
use crate::plan::{At, Because, Found, MarkerMap, Observed, Plan, plan};
use crate::record::Record;
use crate::records::{Key, SharedRecord};
use crate::recover::recover_if_lost;
use crate::report::tell;
use crate::status::{Event, PublishProblem};

/// How often a decision is made again because the map has changed under it.
const ATTEMPTS: u32 = 5;
/// An API server that has not answered by then is asked what has become of the write.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Writes the marker if it does not say what the source says.
pub(crate) async fn publish(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Arc<Context>) {
    let Key { namespace, name } = Key::of(workspace);
    // All workspaces of a namespace share one map: taking turns costs less than conflicts.
    let turn = context.maps.turn(&namespace);
    let _turn = turn.lock().await;
    for _ in 0..ATTEMPTS {
        // Deleted while this waited for its turn: what it would write, nobody would take away again soon.
        if !context.leadership.is_held(Instant::now()) || !context.still_exists(workspace) {
            return;
        }
        let map = context.maps.newest(&namespace);
        let map = context.address.read(map.as_deref(), &name);
        settle_attempt(workspace, shared, context, &map);
        let plan = plan(observe(&mut shared.lock(), workspace, map));
        let (publish, at, because) = match plan {
            Plan::Wait => return shared.lock().saw_published(None, Instant::now()),
            Plan::Keep(publish) => {
                shared.lock().saw_published(Some(publish.clone()), Instant::now());
                return recover_if_lost(workspace, shared, context, &publish);
            }
            Plan::Forbidden { owner } => {
                shared.lock().problem = Some(PublishProblem::Foreign { owner });
                return;
            }
            Plan::AskAgain => return ask_again(workspace, shared, context),
            Plan::Readdress { publish, at } => (publish, at, None),
            Plan::Write { publish, at, because } => (publish, at, Some(because)),
        };
        if because.is_some() && !may_try(workspace, shared, context, &publish) {
            return;
        }
        match write(context, &namespace, &name, &publish, &at).await {
            Ok(()) => {
                if let Some(because) = because {
                    rang(workspace, shared, context, &publish, because, Instant::now());
                    told(workspace, context, &publish, because).await;
                }
                shared.lock().saw_published(Some(publish), Instant::now());
                return forget_old_snapshots(workspace, shared, context).await;
            }
            Err(WriteError::Refused(message)) => return failed(shared, context, PublishProblem::Refused(message)),
            // What has become of the write is seen in the map.
            Err(WriteError::Conflict | WriteError::Unavailable(_)) => {
                match timeout(ANSWERS_WITHIN, markers::get(&context.client, &namespace)).await {
                    Ok(Ok(map)) => context.maps.saw(&namespace, map.map(Arc::new)),
                    Ok(Err(error)) => return failed(shared, context, PublishProblem::Unavailable(error.to_string())),
                    Err(_) => return failed(shared, context, no_answer()),
                }
            }
        }
    }
    failed(shared, context, PublishProblem::Unavailable(WriteError::Conflict.to_string()));
}

fn observe(record: &mut Record, workspace: &RototoWorkspace, map: MarkerMap) -> Observed {
    let suspended = workspace.spec.suspend;
    let head = record.source.head.as_ref().filter(|head| head.verdict == Verdict::Accepted && !suspended);
    let answered = record.meddled_since.is_some_and(|since| record.source.schedule.has_answered_since(since));
    Observed {
        accepted: head.map(|head| head.fingerprint.to_string()),
        map,
        known: record.published.clone(),
        // Suspended, the source is not asked: what is known to be published is what shall be.
        asked_again: suspended || answered,
        now: Timestamp::now(),
    }
}

/// An earlier write whose answer got lost, and which the map shows now, has happened.
fn settle_attempt(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context, map: &MarkerMap) {
    let MarkerMap::Ours { marker: Found::Marker(marker), .. } = map else { return };
    let attempted = shared.lock().attempted.take_if(|attempted| {
        marker.updated_at() == attempted.updated_at && markers::names(marker, &attempted.fingerprint)
    });
    if let Some(publish) = attempted {
        let now = Instant::now();
        rang(workspace, shared, context, &publish, Because::ContentChanged, now);
        shared.lock().saw_published(Some(publish), now);
    }
}

fn ask_again(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context) {
    let now = Instant::now();
    let mut record = shared.lock();
    if record.meddled_since.is_none() {
        record.meddled_since = Some(now);
        record.source.schedule.want(now);
        context.ring(&Key::of(workspace));
    }
}

/// Whether it makes sense to try this write now; and remembers that it was tried.
fn may_try(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context, publish: &Publish) -> bool {
    let now = Instant::now();
    // The disk is not ours alone: what can't be had must not be named.
    if !context.snapshots.has(&Key::of(workspace), &publish.fingerprint) {
        shared.lock().source.lost(now);
        let gone = format!("the snapshot {} is gone", publish.fingerprint);
        failed(shared, context, PublishProblem::Unavailable(gone));
        return false;
    }
    let mut record = shared.lock();
    let same = record.attempted.as_ref().is_some_and(|attempted| attempted.fingerprint == publish.fingerprint);
    if same && record.next_attempt.is_some_and(|next| now < next) {
        return false;
    }
    record.attempted = Some(publish.clone());
    true
}

async fn write(context: &Context, namespace: &str, name: &str, publish: &Publish, at: &At) -> Result<(), WriteError> {
    let data = markers::published(name, publish);
    let written = timeout(ANSWERS_WITHIN, context.address.write(&context.client, namespace, data, at)).await;
    let map = written.unwrap_or_else(|_| Err(WriteError::Unavailable("no answer".to_owned())))?;
    context.maps.saw(namespace, Some(Arc::new(map)));
    Ok(())
}

/// Begins to count who has the publish that the API server has accepted.
fn rang(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Context,
    publish: &Publish,
    because: Because,
    now: Instant,
) {
    let pods = context.pods(workspace);
    let mut record = shared.lock();
    let times = match because {
        Because::ContentChanged => record.publish_times(now),
        // No commit was detected: the clock runs from here.
        Because::PutBack => Some(PublishTimes { detected: now, fetched: now, linted: now, published: now }),
    };
    if let Some(times) = times {
        record.fleet.published(publish.clone(), times, &pods, now);
        if because == Because::ContentChanged {
            context.metrics.published(&times);
        }
    }
}

async fn told(workspace: &RototoWorkspace, context: &Context, publish: &Publish, because: Because) {
    let Key { namespace, name } = Key::of(workspace);
    let fingerprint = &publish.fingerprint;
    match because {
        Because::ContentChanged => info!(namespace, name, fingerprint, "published"),
        Because::PutBack => {
            warn!(namespace, name, fingerprint, "put back a marker that somebody else had changed");
            context.metrics.put_back();
            tell(workspace, context, Event::marker_put_back(fingerprint)).await;
        }
    }
}

async fn forget_old_snapshots(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context) {
    let kept = {
        let record = shared.lock();
        // What a look is just keeping is not known here yet; the next publish tidies up as well.
        if record.source.task.is_some() {
            return;
        }
        record.kept()
    };
    if let Err(error) = context.snapshots.retain(&Key::of(workspace), kept).await {
        warn!(%error, "old snapshots could not be deleted");
    }
}

fn failed(shared: &SharedRecord, context: &Context, problem: PublishProblem) {
    warn!(?problem, "the marker could not be written");
    context.metrics.publish_refused();
    let mut record = shared.lock();
    record.publish_failures = record.publish_failures.saturating_add(1);
    let wait = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(record.publish_failures.min(6) - 1));
    record.next_attempt = Some(Instant::now() + wait);
    record.problem = Some(problem);
}

fn no_answer() -> PublishProblem {
    PublishProblem::Unavailable(format!("the API server did not answer within {ANSWERS_WITHIN:?}"))
}
