//! Looks run beside the reconciler: each is a task of its own that rings when it is through. So a host that hangs holds up
//! nothing else, neither the counting of the fleet nor the repair of a marker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceSpec};
use rototo_source::{Access, Source};
use tracing::{Instrument, debug, info_span, warn};

use crate::reconcile::context::OperatorContext;
use crate::reconcile::record_store::{SharedRecord, WorkspaceKey};
use crate::reconcile::workspace_record::Verified;
use crate::source::credentials as secrets;
use crate::source::poll::{LintVerdict, Poll, PollError, PollResult};
use crate::source::schedule::{PollReason, PollTrigger};

/// Starts a look at the source if one is due.
pub(crate) fn poll_if_due(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    now: Instant,
) {
    let spec = &workspace.spec;
    let trigger = PollTrigger {
        generation: workspace.metadata.generation,
        request: workspace.annotations().get(ANNOTATION_RECONCILE).cloned(),
    };
    let mut record = shared.lock();
    record.stale_after = spec.stale_after();
    record.suspended = spec.suspend;
    record.webhook = spec.webhook.as_ref().map(|webhook| webhook.secret_ref.name.clone());
    record.source.clear_finished_poll();
    if spec.suspend {
        return;
    }
    let Some(due) = record.source.schedule.due(&trigger, now) else { return };
    let key = WorkspaceKey::of(workspace);
    let span = info_span!("look", namespace = key.namespace, name = key.name);
    let known = record.source.candidate.clone().zip(record.source.pinned.clone());
    let known = known.map(|(candidate, pinned)| PollResult { candidate, pinned, linted: record.source.linted.clone() });
    let (spec, context, shared) = (spec.clone(), context.clone(), shared.clone());
    // A neighbour's failure of late is no answer: whoever retries asks anew.
    let age =
        if due == PollReason::Interval && record.source.failures == 0 { spec.interval() / 2 } else { Duration::ZERO };
    let task = async move {
        let result = poll(&spec, age, known, &context, &key).await;
        log_poll(&result);
        let verified = Verified { at: Instant::now(), time: Timestamp::now() };
        context.metrics.poll_ended(&key, &result, verified.time);
        shared.lock().source.poll_ended(now, result, verified, spec.interval(), fastrand::f64());
        context.requeue(&key);
    };
    record.source.poll_started(tokio::spawn(task.instrument(span)).abort_handle(), trigger, now);
}

async fn poll(
    spec: &RototoWorkspaceSpec,
    age: Duration,
    known: Option<PollResult>,
    context: &OperatorContext,
    key: &WorkspaceKey,
) -> Result<PollResult, PollError> {
    let source = spec.source.parse().map_err(PollError::Invalid)?;
    let access = access(spec, source, context, key).await?;
    let custom_rules = context.custom_rules.clone();
    let poll = Poll { access, age, timeout: spec.timeout(), fail_on: spec.fail_on(), custom_rules, known };
    poll.run(&context.reader, context.snapshots.store(key)?).await
}

/// A source, and what opens it for this workspace.
pub(crate) async fn access(
    spec: &RototoWorkspaceSpec,
    source: Source,
    context: &OperatorContext,
    key: &WorkspaceKey,
) -> Result<Access, PollError> {
    let secret = spec.secret_ref.as_ref().map(|secret| secret.name.as_str());
    Ok(Access::new(source, secrets::credentials(&context.client, &key.namespace, secret).await?))
}

fn log_poll(result: &Result<PollResult, PollError>) {
    match result {
        Ok(PollResult { candidate, .. }) => {
            let revision = candidate.revision.as_ref().map(ToString::to_string);
            let accepted = candidate.verdict == LintVerdict::Accepted;
            debug!(revision, fingerprint = %candidate.fingerprint, accepted, "looked at the source");
        }
        Err(error) => warn!(code = error.code(), %error, "the source could not be read"),
    }
}
