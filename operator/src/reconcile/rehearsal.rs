//! The rules of the rehearsal of the newest content, and the reason for which it is held.

use kube::ResourceExt;
use rototo_api::names::ANNOTATION_PUBLISH_ANYWAY;
use rototo_api::rollout::RehearsalMode as SpecMode;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::fleet::{RehearsalMode, RehearsalRules, RehearsalVerdict, RehearsalView};
use rototo_protocol::hold::names_revision;

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

/// Returns whether a person has asked to publish the newest content whatever processes report about it.
pub(super) fn is_published_anyway(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> bool {
    let Some(candidate) = record.source.accepted() else { return false };
    let revision = candidate.revision.as_ref().map(ToString::to_string);
    let named = workspace.annotations().get(ANNOTATION_PUBLISH_ANYWAY);
    named.is_some_and(|text| names_revision(text, revision.as_deref(), &candidate.fingerprint.to_string()))
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
