//! The steps of a rollout, as the spec names them, and what a person asks for in the annotation `rototo.dev/rollout`.
//!
//! [`rototo_protocol::rollout`] decides about them.

use kube::ResourceExt;
use rototo_api::names::ANNOTATION_ROLLOUT;
use rototo_api::rollout::RolloutStep;
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::hold::names_revision;
use rototo_protocol::rollout::{Request, Step};

use crate::reconcile::workspace_record::WorkspaceRecord;

/// Returns the steps by which new content reaches the fleet.
pub(super) fn steps(workspace: &RototoWorkspace) -> Vec<Step> {
    let rollout = workspace.spec.rollout.as_ref();
    rollout.map(|rollout| rollout.steps.iter().map(step).collect()).unwrap_or_default()
}

/// Returns whether a step is a pause.
pub(super) fn is_pause(workspace: &RototoWorkspace, step: u32) -> bool {
    matches!(steps(workspace).get(step as usize), Some(Step::Pause(_)))
}

fn step(step: &RolloutStep) -> Step {
    match step {
        RolloutStep { pods: Some(pods), .. } => Step::Pods(*pods),
        RolloutStep { set_weight: Some(weight), .. } => Step::Weight(u8::try_from(*weight).unwrap_or(100)),
        RolloutStep { pause, .. } => {
            let duration = pause.as_ref().and_then(|pause| pause.duration);
            Step::Pause(duration.map(Into::into))
        }
    }
}

/// Returns what a person asks for about the newest content.
pub(super) fn request(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> Option<Request> {
    let candidate = record.source.accepted()?;
    let (revision, request) = parse(workspace.annotations().get(ANNOTATION_ROLLOUT)?)?;
    let named = candidate.revision.as_ref().map(ToString::to_string);
    names_revision(revision, named.as_deref(), &candidate.fingerprint.to_string()).then_some(request)
}

/// Reads `ACTION REVISION`, with `step=N` after `promote`, and `of=NAME` after `retry`.
fn parse(text: &str) -> Option<(&str, Request)> {
    let mut words = text.split_whitespace();
    let (action, revision) = (words.next()?, words.next()?);
    let option = |name: &str| text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let request = match action {
        "promote" => match option("step") {
            Some(step) => Request::PromoteStep(step.parse().ok()?),
            None => Request::Promote,
        },
        "hold" => Request::Hold,
        "abort" => Request::Abort,
        "retry" => Request::Retry(option("of")?.parse().ok()?),
        _ => return None,
    };
    Some((revision, request))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_an_action_and_a_revision() {
        let name = "2026-11-20T18:40:00.000000Z";
        for (text, expected) in [
            ("promote 4d123d6", Some(("4d123d6", Request::Promote))),
            ("promote 4d123d6 step=2 user=alice", Some(("4d123d6", Request::PromoteStep(2)))),
            ("hold 4d123d6", Some(("4d123d6", Request::Hold))),
            ("  abort   4d123d6 user=bob ", Some(("4d123d6", Request::Abort))),
            (&format!("retry 4d123d6 of={name}"), Some(("4d123d6", Request::Retry(name.parse().unwrap())))),
            ("retry 4d123d6", None),
            ("retry 4d123d6 of=now", None),
            ("promote 4d123d6 step=two", None),
            ("promote", None),
            ("publish 4d123d6", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
