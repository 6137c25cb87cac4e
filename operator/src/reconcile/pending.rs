//! The newest content, while it is not published: the reason for which it is held, and the progress of its rollout.

use rototo_api::names::{ANNOTATION_ALLOW_SHRINK, ANNOTATION_PUBLISH_ANYWAY, ANNOTATION_ROLLOUT};
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::RehearsalView;

use crate::reconcile::rehearsal;
use crate::reconcile::rollout::steps;
use crate::reconcile::workspace_record::WorkspaceRecord;
use crate::status::input::{HeldInput, HeldReason, RolloutInput};
use crate::workspace_key::WorkspaceKey;

/// Returns the newest content, if it is held.
pub(super) fn held(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    rehearsal: Option<&RehearsalView>,
) -> Option<HeldInput> {
    let candidate = record.source.accepted()?;
    let fingerprint = candidate.fingerprint.to_string();
    let revision = candidate.revision.as_ref();
    let name = revision.map_or_else(|| fingerprint.clone(), |revision| revision.commit().to_string());
    let publishable = record.publishable();
    let taken_back = record.marker.publisher().marked().and_then(|marked| marked.held);
    let taken_back = taken_back.filter(|(held, _)| publishable == Some(held.fingerprint));
    let rehearsed = rehearsal.filter(|view| publishable == Some(view.next.fingerprint)).and_then(rehearsal::held);
    let (reason, annotation, value) = if let Some(held) = record.held() {
        (HeldReason::Shrinks(held.shrink), ANNOTATION_ALLOW_SHRINK, name)
    } else if let Some((held, gate)) = taken_back {
        let analysis = record.analysis.failure(held).cloned();
        let processes = record.taken_back_for(held);
        (
            HeldReason::TakenBack { gate, analysis, processes },
            ANNOTATION_ROLLOUT,
            format!("'retry {name} of={}'", held.updated_at),
        )
    } else {
        (rehearsed?, ANNOTATION_PUBLISH_ANYWAY, name)
    };
    Some(HeldInput {
        revision: revision.map_or_else(|| fingerprint.clone(), ToString::to_string),
        fingerprint,
        reason,
        release: format!("{}{annotation}={value}", annotate(workspace)),
    })
}

/// Returns the rollout that is under way.
pub(super) fn rollout(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> Option<RolloutInput> {
    let marked = record.marker.publisher().marked()?;
    let (next, stage) = marked.next.zip(marked.stage)?;
    let candidate = record.source.candidate_of(next.fingerprint);
    let revision = candidate.and_then(|candidate| candidate.revision.as_ref()).map(ToString::to_string);
    Some(RolloutInput {
        revision: revision.unwrap_or_else(|| next.fingerprint.to_string()),
        stage,
        steps: steps(workspace).len(),
        counts: record.stage_counts(),
        analysis: record.analysis.statuses((next, stage)),
        command: format!("{}{ANNOTATION_ROLLOUT}=", annotate(workspace)),
    })
}

/// Returns the command that sets an annotation of the workspace, without the annotation.
fn annotate(workspace: &RototoWorkspace) -> String {
    let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
    format!("kubectl annotate rototoworkspace {name} -n {namespace} --overwrite ")
}
