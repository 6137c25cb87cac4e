//! The story of one workspace, told again whenever something may have changed: look at the source, publish what it
//! says, report what became of it. Each step compares what is with what should be; none depends on why it was called.

pub mod context;
pub(crate) mod poll;
pub mod progress;
pub(crate) mod publish;
pub mod record_store;
pub(crate) mod recover;
pub(crate) mod report;
pub mod sweep;
pub mod watchdog;
pub mod watches;
pub mod workspace_record;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::controller::Action;
use rototo_api::workspace::RototoWorkspace;

use crate::reconcile::context::OperatorContext;
use crate::reconcile::poll::poll_if_due;
use crate::reconcile::publish::publish;
use crate::reconcile::record_store::WorkspaceKey;
use crate::reconcile::report::{ReportError, report};
use crate::reconcile::watchdog::ReconcileTimeout;

/// Another operator writes: how long to wait before asking whether that is still so. Gaining the Lease rings.
const UNTIL_LEADING: Duration = Duration::from_secs(30);

/// Why a reconcile is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The status could not be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// It did not end.
    #[error(transparent)]
    GivenUp(#[from] ReconcileTimeout),
}

/// Brings one workspace forward, and says when to come back at the latest.
pub async fn reconcile(
    workspace: Arc<RototoWorkspace>,
    context: Arc<OperatorContext>,
) -> Result<Action, ReconcileError> {
    let done =
        watchdog::watch(&WorkspaceKey::of(&workspace), &context.metrics, reconcile_workspace(&workspace, &context))
            .await;
    context.progress.touch(Instant::now());
    Ok(done??)
}

async fn reconcile_workspace(
    workspace: &RototoWorkspace,
    context: &Arc<OperatorContext>,
) -> Result<Action, ReportError> {
    let now = Instant::now();
    let Some(term) = context.leadership.term(now) else { return Ok(Action::requeue(UNTIL_LEADING)) };
    let record = context.record(workspace);
    poll_if_due(workspace, &record, context, now);
    publish(workspace, &record, context, term).await;
    let next = report(workspace, &record, context, term).await?;
    Ok(Action::requeue(next.saturating_duration_since(Instant::now())))
}
