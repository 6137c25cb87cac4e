//! Brings each workspace forward: polls its source, publishes what lint accepts, and reports what became of it.
//!
//! [`reconcile()`] is the list of these stages. It runs whenever something may have changed, as [`watches`] says, and
//! each stage compares what is with what should be; none depends on why it was called. [`workspace_record`] is the
//! memory of one workspace, and [`context`] has the means that all stages share. Nothing but `run` imports [`watches`].

mod analysis;
mod asked;
mod cluster_view;
mod commit_status;
pub(crate) mod context;
mod hold;
pub(crate) mod hold_record;
mod pending;
mod poll;
pub(crate) mod progress;
mod publish;
mod record_store;
mod recover;
mod rehearsal;
pub(crate) mod report;
pub(crate) mod requests_policy;
mod rollout;
pub(crate) mod scope;
pub(crate) mod sweep;
pub(crate) mod unreadable;
pub(crate) mod watch_caches;
mod watch_health;
mod watch_stream;
mod watchdog;
pub(crate) mod watches;
mod webhook_notice;
mod workspace_quota;
pub(crate) mod workspace_record;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::controller::Action;
use rototo_api::workspace::RototoWorkspace;

use crate::reconcile::analysis::measure_if_due;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::poll::poll_if_due;
use crate::reconcile::publish::publish;
use crate::reconcile::report::report;
use crate::reconcile::watchdog::ReconcileTimeout;
use crate::status::write::ReportError;
use crate::workspace_key::WorkspaceKey;

/// The time until an operator that does not write asks again whether it may. A gained Lease requeues every workspace.
const UNTIL_LEADING: Duration = Duration::from_secs(30);

/// The reason why a reconcile is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// The status could not be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The reconcile did not end.
    #[error(transparent)]
    GivenUp(#[from] ReconcileTimeout),
}

/// Brings one workspace forward. Returns the latest time of its next reconcile.
pub(crate) async fn reconcile(
    workspace: Arc<RototoWorkspace>,
    context: Arc<OperatorContext>,
) -> Result<Action, ReconcileError> {
    let stages = Box::pin(reconcile_workspace(&workspace, &context));
    let done = watchdog::watch(&WorkspaceKey::of(&workspace), context.metrics(), stages).await;
    context.loop_turned();
    let done = done??;
    context.failures().has_ended(&WorkspaceKey::of(&workspace));
    Ok(done)
}

async fn reconcile_workspace(
    workspace: &RototoWorkspace,
    context: &Arc<OperatorContext>,
) -> Result<Action, ReportError> {
    let now = Instant::now();
    let Some(term) = context.leadership().term(now) else { return Ok(Action::requeue(UNTIL_LEADING)) };
    let record = context.record(workspace);
    poll_if_due(workspace, &record, context, now);
    publish(workspace, &record, context, term).await;
    measure_if_due(workspace, &record, context);
    context.requests_policy().ask(context.client()).await;
    let next = report(workspace, &record, context, term).await;
    context.send_spans(&record);
    let next = next?;
    Ok(Action::requeue(next.saturating_duration_since(Instant::now())))
}
