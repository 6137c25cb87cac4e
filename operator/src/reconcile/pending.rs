//! The newest content, while it is not published: the reason for which it is held, the progress of its rollout, and the people
//! who steer it.

use rototo_api::names::{ANNOTATION_ALLOW_SHRINK, ANNOTATION_PUBLISH_ANYWAY, ANNOTATION_ROLLOUT};
use rototo_api::rollout::RequestState;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::analysis::MeasuredStep;
use rototo_protocol::fleet::{RehearsalVerdict, RehearsalView};
use rototo_protocol::rollout::{Action, Promotable};

use crate::reconcile::asked::Asked;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::hold::name_to_allow;
use crate::reconcile::rehearsal::{self, is_published_anyway};
use crate::reconcile::rollout::{queues, request, request_status, revision_of, steps};
use crate::reconcile::workspace_record::WorkspaceRecord;
use crate::status::command::AnnotateCommand;
use crate::status::input::{HeldInput, HeldReason, RolloutInput, SteeringInput};
use crate::workspace_key::WorkspaceKey;

/// Returns the newest content, if it is held.
pub(super) fn held(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    rehearsal: Option<&RehearsalView>,
    context: &OperatorContext,
) -> Option<HeldInput> {
    let candidate = record.source.accepted()?;
    let fingerprint = candidate.fingerprint.to_string();
    let revision = candidate.revision.as_ref();
    let name = name_to_allow(workspace, record, candidate);
    let released = record.released();
    let taken_back = record.marker.publisher().marked().and_then(|marked| marked.held);
    let taken_back = taken_back.filter(|(held, _)| released == Some(held.fingerprint));
    let rehearsed = rehearsal.filter(|view| released == Some(view.next.fingerprint)).and_then(rehearsal::held);
    let (reason, annotation, value) = if let Some(held) = record.held() {
        (HeldReason::Shrinks(held.shrink), ANNOTATION_ALLOW_SHRINK, name)
    } else if let Some((held, gate)) = taken_back {
        let analysis = record.analysis.failure(held).cloned();
        let processes = record.taken_back_for(held);
        (
            HeldReason::TakenBack { announced_as: held.updated_at, gate, analysis, processes },
            ANNOTATION_ROLLOUT,
            format!("retry {name} of={}", held.updated_at),
        )
    } else {
        (rehearsed?, ANNOTATION_PUBLISH_ANYWAY, name)
    };
    Some(HeldInput {
        revision: revision.map_or_else(|| fingerprint.clone(), ToString::to_string),
        fingerprint,
        reason,
        release: command(workspace, context).setting(annotation, &value),
    })
}

/// Returns the rollout that is under way.
pub(super) fn rollout(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    context: &OperatorContext,
) -> Option<RolloutInput> {
    let marked = record.marker.publisher().marked()?;
    let (next, stage) = marked.next.zip(marked.stage)?;
    let newest = record.source.accepted().filter(|newest| newest.fingerprint != next.fingerprint);
    let queued = newest
        .filter(|_| queues(workspace, record, context))
        .map(|newest| newest.revision.as_ref().map_or_else(|| newest.fingerprint.to_string(), ToString::to_string));
    Some(RolloutInput {
        revision: revision_of(workspace, record, next).unwrap_or_else(|| next.fingerprint.to_string()),
        next,
        queued,
        stage,
        steps: steps(workspace).len(),
        counts: record.stage_counts(),
        analysis: record.analysis.statuses(MeasuredStep { publish: next, stage }),
        command: command(workspace, context),
    })
}

/// Returns the requests of people, and the users behind them.
pub(super) fn steering(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    rehearsal: Option<&RehearsalView>,
    context: &OperatorContext,
) -> SteeringInput {
    let rehearsed = rehearsal.is_some_and(|view| view.verdict == RehearsalVerdict::Passed);
    let promotable = Promotable { rehearsed, confirmed: record.source.is_confirmed() };
    let verified = context.requests_policy().verifies_since();
    let by = |annotation| Asked::in_annotation(workspace, annotation).map(|asked| asked.by(verified, None));
    let status = request_status(workspace, record, verified, promotable);
    let (published, asked) = (record.marker.publisher().published(), request(workspace));
    let promoted = published.zip(asked).and_then(|(published, asked)| asked.about(published.updated_at));
    let promoted = promoted == Some(Action::Promote);
    let over = status.as_ref().is_some_and(|request| request.state == RequestState::Over);
    let aborted = over && asked.is_some_and(|asked| asked.action == Action::Abort);
    let anyway = is_published_anyway(workspace, record);
    let user = |asked: bool| status.as_ref().filter(|_| asked).map(|request| request.by.clone());
    SteeringInput {
        promoted_by: user(promoted),
        aborted_by: user(aborted),
        request: status,
        anyway_by: anyway.then(|| by(ANNOTATION_PUBLISH_ANYWAY)).flatten(),
        shrink_by: by(ANNOTATION_ALLOW_SHRINK),
    }
}

/// Returns the command that sets an annotation of the workspace.
fn command(workspace: &RototoWorkspace, context: &OperatorContext) -> AnnotateCommand {
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    AnnotateCommand { namespace, name, signs: context.requests_policy().verifies_since().is_some() }
}
