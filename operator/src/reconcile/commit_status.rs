//! Starts the reports about commits to their git host. Each is a task of its own, which requeues the workspace if another
//! one is due: a git host that hangs holds up nothing else.

use std::sync::Arc;
use std::time::Instant;

use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_protocol::fleet::RehearsalView;
use tracing::{Instrument, debug, info, info_span};

use crate::outbound::notify::outbox::{Consequences, Destination, FailureKind};
use crate::outbound::notify::state::{CommitState, commit_state};
use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::SharedRecord;
use crate::status::events::WorkspaceEvent;
use crate::workspace_key::WorkspaceKey;

/// Sends the state of the newest commit, as `status` and the rehearsal that was counted for it show it, if the git host
/// does not have it. `term` is the lease term in which this reconcile began.
pub(super) fn send_if_due(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    (status, rehearsal): (&RototoWorkspaceStatus, Option<&RehearsalView>),
    term: u64,
) {
    let now = Instant::now();
    let spec = workspace.spec.commit_status().cloned();
    let destination = spec.map(|spec| Destination { source: workspace.spec.source.clone(), spec });
    // A status that speaks of another spec, or of a source that can't be read, may name a commit of another repository.
    let is_of_source = status.observed_generation == workspace.metadata.generation
        && status.source.as_ref().is_some_and(|source| source.last_error.is_none());
    let mut record = shared.lock();
    let state = destination.as_ref().filter(|_| is_of_source).and_then(|_| commit_state(status, rehearsal));
    record.outbox.follow(destination);
    if let Some(state) = state {
        record.outbox.offer(state, now);
    }
    if context.leadership().term(now) != Some(term) {
        return;
    }
    let Some((destination, state)) = record.begin_commit_status(now) else { return };
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    let span = info_span!("commit_status", namespace, name, commit = state.commit);
    let (workspace, shared, context) = (workspace.clone(), shared.clone(), context.clone());
    let task = async move { send(&workspace, (&destination, &state), &shared, &context, term).await };
    record.commit_status.replace(tokio::spawn(task.instrument(span)));
}

/// Sends one state, and asks for a reconcile if that leaves something to send.
async fn send(
    workspace: &RototoWorkspace,
    (destination, state): (&Destination, &CommitState),
    shared: &SharedRecord,
    context: &OperatorContext,
    term: u64,
) {
    let key = WorkspaceKey::of(workspace);
    let leads = || context.leadership().term(Instant::now()) == Some(term);
    let event = match context.commit_statuses().send(&key, destination, state, leads).await {
        Ok(()) => {
            shared.lock().outbox.sent(destination, state, Instant::now());
            context.metrics().commit_status("sent");
            debug!(step = ?state.step, "the git host has the status of the commit");
            None
        }
        Err(error) => {
            let failure = error.failure();
            let failed = shared.lock().outbox.failed(destination, state, failure, Instant::now(), fastrand::f64());
            let Consequences { gives_up, is_event } = failed;
            context.metrics().commit_status(match failure.kind {
                _ if gives_up => "given_up",
                FailureKind::Unsent => "waiting",
                _ => "retried",
            });
            info!(code = failure.code, %error, gives_up, "the git host does not have the status of the commit");
            is_event.then(|| WorkspaceEvent::commit_status_failed(&state.commit, &error.to_string()))
        }
    };
    // The task ends here: the next one may begin.
    context.statuses().send_events(workspace, event.into_iter().collect());
    if shared.lock().outbox.next_due().is_some() {
        context.cluster().requeue(&key);
    }
}
