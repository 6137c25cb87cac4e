//! Starts polls. Each is a task of its own, which requeues the workspace at its end: a git host that hangs holds up
//! nothing else, neither the counting of the fleet nor the repair of a marker.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use kube::ResourceExt;
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::workspace::RototoWorkspace;
use tracing::{Instrument, info_span};

use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::SharedRecord;
use crate::source::record::Verified;
use crate::source::schedule::PollTrigger;
use crate::workspace_key::WorkspaceKey;

/// Starts a poll of the source if one is due.
pub(crate) fn poll_if_due(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    now: Instant,
) {
    let spec = workspace.spec.clone();
    let trigger = PollTrigger {
        generation: workspace.metadata.generation,
        request: workspace.annotations().get(ANNOTATION_RECONCILE).cloned(),
    };
    let mut record = shared.lock();
    record.follow(&spec);
    if spec.suspend {
        // A poll of a slow source would keep its turn, which others wait for.
        record.source.abort_poll();
    }
    let Some(due) = record.source.due(&trigger, spec.interval(), now).filter(|_| !spec.suspend) else { return };
    let key = WorkspaceKey::of(workspace);
    let span = info_span!("poll", namespace = key.namespace, name = key.name);
    let (context, shared) = (context.clone(), shared.clone());
    let task = async move {
        let result = match context.admits(&key) {
            Ok(()) => context.sources().poll(&spec, due, &key).await,
            Err(refused) => Err(refused),
        };
        let ended = Verified { at: Instant::now(), time: Timestamp::now() };
        context.metrics().poll_ended(&result);
        let mut record = shared.lock();
        if record.source.poll_ended(now, result, ended, &spec, fastrand::f64()) {
            record.note_other_rules();
        }
        if context.telemetry().is_on() {
            record.trace_change(&key);
        }
        drop(record);
        context.cluster().requeue(&key);
    };
    record.source.poll_started(tokio::spawn(task.instrument(span)), trigger, now);
}
