//! The rules of the rehearsal of the newest content, and the reason for which it is held.

use rototo_api::names::ANNOTATION_PUBLISH_ANYWAY;
use rototo_api::rollout::RehearsalMode as SpecMode;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::{RehearsalMode, RehearsalRules, RehearsalVerdict, RehearsalView};

use crate::reconcile::asked::Asked;
use crate::reconcile::hold::names_content;
use crate::reconcile::rollout::{awaited, revision_of};
use crate::reconcile::workspace_record::WorkspaceRecord;
use crate::status::input::HeldReason;

/// Returns the rules by which the newest content is rehearsed. Content that a person publishes anyway is not.
pub(super) fn rules(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> RehearsalRules {
    let spec = workspace.spec.rehearsal();
    let mode = match spec.mode {
        _ if is_published_anyway(workspace, record) => RehearsalMode::Off,
        SpecMode::Off => RehearsalMode::Off,
        SpecMode::BestEffort => RehearsalMode::BestEffort,
        SpecMode::Require => RehearsalMode::Require,
    };
    RehearsalRules { mode, within: spec.within(), min_prepared: spec.min_prepared() }
}

/// Returns whether a person has asked to publish the content that is on its way whatever processes report about it.
pub(super) fn is_published_anyway(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> bool {
    let Some(asked) = Asked::in_annotation(workspace, ANNOTATION_PUBLISH_ANYWAY) else { return false };
    let candidate = record.source.accepted();
    // Newer content may wait for the end of a rollout, and the request is about one of both.
    let (fingerprint, revision) = match awaited(workspace, record) {
        Some(next) => (Some(next.fingerprint), revision_of(workspace, record, next)),
        None => (
            candidate.map(|candidate| candidate.fingerprint),
            candidate.and_then(|candidate| candidate.revision.as_ref()).map(ToString::to_string),
        ),
    };
    fingerprint.is_some_and(|fingerprint| {
        names_content(workspace, record, asked.text, (revision.as_deref(), &fingerprint.to_string()))
    })
}

/// Returns the reason for which a rehearsal holds the announced publish, if it does.
pub(super) fn held(view: &RehearsalView) -> Option<HeldReason> {
    match view.verdict {
        RehearsalVerdict::Refused => Some(HeldReason::Refused { processes: view.refused.clone() }),
        RehearsalVerdict::Incomplete => Some(HeldReason::Incomplete {
            prepared: view.prepared,
            expected: view.expected,
            processes: view.missing.clone(),
        }),
        RehearsalVerdict::Waiting | RehearsalVerdict::Passed => None,
    }
}
