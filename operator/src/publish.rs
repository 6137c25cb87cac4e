//! Makes the marker say what the source says: decides, writes, and decides again when the map has changed meanwhile.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use rototo_api::workspace::RototoWorkspace;
use tracing::{info, warn};

use crate::context::{Context, Key, SharedRecord};
use crate::fleet::Publish;
use crate::head::Verdict;
use crate::markers::{self, WriteError};
use crate::plan::{Because, MarkerMap, Observed, Plan, plan};
use crate::record::Record;
use crate::recover::recover_if_lost;
use crate::report::tell;
use crate::status::{Event, PublishProblem};

/// How often a decision is made again because the map has changed under it.
const ATTEMPTS: u32 = 5;

/// Writes the marker if it does not say what the source says.
pub(crate) async fn publish(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Arc<Context>) {
    let Key { namespace, name } = Key::of(workspace);
    for _ in 0..ATTEMPTS {
        if !context.leadership.is_held(Instant::now()) {
            return;
        }
        let map = context.maps.newest(&namespace);
        let map = context.address.read(map.as_deref(), &name);
        let plan = plan(observe(&shared.lock(), workspace, map));
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
            Plan::AskAgain => {
                if shared.lock().source.ask_again() {
                    context.ring(&Key::of(workspace));
                }
                return;
            }
            Plan::Readdress { publish, at } => (publish, at, None),
            Plan::Write { publish, at, because } => {
                // The disk is not ours alone: what can't be had must not be named.
                if !context.snapshots.has(&Key::of(workspace), &publish.fingerprint) {
                    shared.lock().source.lost(Instant::now());
                    let gone = WriteError::Unavailable(format!("the snapshot {} is gone", publish.fingerprint));
                    return failed(shared, context, &gone);
                }
                (publish, at, Some(because))
            }
        };
        let data = markers::published(&name, &publish);
        match context.address.write(&context.client, &namespace, data, &at).await {
            Ok(map) => {
                let now = Instant::now();
                context.maps.saw(&namespace, Some(Arc::new(map)));
                if let Some(because) = because {
                    rang(workspace, shared, context, &publish, now);
                    told(workspace, context, &publish, because).await;
                }
                shared.lock().saw_published(Some(publish), now);
                return forget_old_snapshots(workspace, shared, context).await;
            }
            Err(WriteError::Conflict) => match markers::get(&context.client, &namespace).await {
                Ok(map) => context.maps.saw(&namespace, map.map(Arc::new)),
                Err(error) => return failed(shared, context, &error),
            },
            Err(error) => {
                // The write may have happened although its answer got lost: what is there is asked for.
                if let (WriteError::Unavailable(_), Ok(map)) = (&error, markers::get(&context.client, &namespace).await)
                {
                    context.maps.saw(&namespace, map.map(Arc::new));
                    continue;
                }
                return failed(shared, context, &error);
            }
        }
    }
    failed(shared, context, &WriteError::Conflict);
}

/// Begins to count who has the publish that the API server has just accepted.
fn rang(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context, publish: &Publish, now: Instant) {
    let pods = context.pods(workspace);
    let mut record = shared.lock();
    if let Some(times) = record.publish_times(now) {
        record.fleet.published(publish.clone(), times, &pods, now);
        context.metrics.published(&times);
    }
}

async fn forget_old_snapshots(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Context) {
    let kept = {
        let record = shared.lock();
        // What a look is just keeping is not known here yet; the next publish tidies up as well.
        if record.source.looking.is_some() {
            return;
        }
        record.kept()
    };
    if let Err(error) = context.snapshots.retain(&Key::of(workspace), kept).await {
        warn!(%error, "old snapshots could not be deleted");
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

fn observe(record: &Record, workspace: &RototoWorkspace, map: MarkerMap) -> Observed {
    let head = record.source.head.as_ref().filter(|head| head.verdict == Verdict::Accepted && !workspace.spec.suspend);
    Observed {
        accepted: head.map(|head| head.fingerprint.to_string()),
        map,
        known: record.published.clone(),
        asked_again: record.source.was_asked_again(),
        now: Timestamp::now(),
    }
}

fn failed(shared: &SharedRecord, context: &Context, error: &WriteError) {
    warn!(%error, "the marker could not be written");
    context.metrics.publish_refused();
    let mut record = shared.lock();
    record.publish_failures = record.publish_failures.saturating_add(1);
    record.problem = Some(match error {
        WriteError::Refused(message) => PublishProblem::Refused(message.clone()),
        WriteError::Conflict | WriteError::Unavailable(_) => PublishProblem::Unavailable(error.to_string()),
    });
}
