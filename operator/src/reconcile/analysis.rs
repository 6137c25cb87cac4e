//! Starts the measurements of a rollout. Each is a task of its own, which requeues the workspace at its end: a server that
//! hangs holds up nothing else.

use std::sync::Arc;
use std::time::Instant;

use rototo_api::analysis::RolloutAnalysis;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::analysis::{AnalysisRun, Condition, MeasuredStep, Outcome};
use tracing::{Instrument, debug, info, info_span};

use crate::reconcile::context::OperatorContext;
use crate::reconcile::rehearsal::is_published_anyway;
use crate::reconcile::rollout::is_pause;
use crate::reconcile::workspace_record::{SharedRecord, WorkspaceRecord};
use crate::workspace_key::WorkspaceKey;

/// Returns the analyses of the spec.
fn analyses(workspace: &RototoWorkspace) -> &[RolloutAnalysis] {
    workspace.spec.rollout.as_ref().map(|rollout| rollout.analysis.as_slice()).unwrap_or_default()
}

/// Returns what is known of the analyses, for a decision.
pub(super) fn runs(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> Vec<AnalysisRun> {
    record.analysis.runs(analyses(workspace))
}

/// Starts each measurement that is due.
pub(super) fn measure_if_due(workspace: &RototoWorkspace, shared: &SharedRecord, context: &Arc<OperatorContext>) {
    let now = Instant::now();
    let mut record = shared.lock();
    let step = measured_step(workspace, &record);
    record.analysis.follow(step, analyses(workspace), now);
    let Some(step) = step else { return };
    let due = record.analysis.due(now);
    if due.is_empty() {
        return;
    }
    let pods = record.stage_pods();
    for analysis in due.into_iter().filter(|_| !pods.is_empty()) {
        let key = WorkspaceKey::of(workspace);
        let span = info_span!("analysis", namespace = key.namespace, name = key.name, analysis = analysis.name);
        let (shared, context, pods, measured) = (shared.clone(), context.clone(), pods.clone(), analysis.clone());
        let task = async move { measure(&key, step, &measured, &pods, &shared, &context).await };
        record.analysis.started(&analysis, tokio::spawn(task.instrument(span)));
    }
}

/// Takes one measurement, and asks for a reconcile.
async fn measure(
    key: &WorkspaceKey,
    step: MeasuredStep,
    analysis: &RolloutAnalysis,
    pods: &[String],
    shared: &SharedRecord,
    context: &OperatorContext,
) {
    let fingerprint = step.publish.fingerprint.to_string();
    let (outcome, last, code) = match analysis.success_condition.parse::<Condition>() {
        Ok(condition) => match context.prometheus().measure(key, analysis, pods, &fingerprint).await {
            Ok(number) => (condition.judge(number), format!("{number:?}"), "number"),
            Err(error) => (Outcome::Inconclusive, error.to_string(), error.code()),
        },
        // A CRD of before this field takes any text.
        Err(invalid) => (Outcome::Inconclusive, invalid.to_string(), "condition_invalid"),
    };
    context.metrics().measured(outcome);
    match outcome {
        Outcome::Successful => debug!(last, "a measurement succeeded"),
        Outcome::Failed | Outcome::Inconclusive => info!(?outcome, code, last, "a measurement did not succeed"),
    }
    shared.lock().analysis.ended(step, analysis, outcome, last, Instant::now());
    context.cluster().requeue(key);
}

/// Returns the step that is under way, if its pods run the new revision, or did once.
fn measured_step(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> Option<MeasuredStep> {
    let marked = record.marker.publisher().marked().filter(|_| !workspace.spec.suspend)?;
    let (publish, stage) = marked.next.zip(marked.stage)?;
    let step = MeasuredStep { publish, stage };
    let facts = record.stage_facts();
    let converged = if is_published_anyway(workspace, record) { facts.others_converged } else { facts.converged };
    let begins = !facts.incomplete && (converged || is_pause(workspace, stage.step));
    (begins || record.analysis.follows(step)).then_some(step)
}
