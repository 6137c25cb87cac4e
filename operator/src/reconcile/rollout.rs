//! The steps of a rollout, as the spec names them, and what a person asks for in the annotation `rototo.dev/rollout`.
//!
//! [`rototo_protocol::rollout`] decides about them.

use jiff::Timestamp;
use rototo_api::names::ANNOTATION_ROLLOUT;
use rototo_api::rollout::{OnNewCommit, RequestState, RequestStatus, RolloutStep};
use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::Publish;
use rototo_protocol::rollout::{Action, Promotable, Request, RequestState as Effect, Step};

use crate::reconcile::asked::Asked;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::WorkspaceRecord;
use crate::workspace_key::WorkspaceKey;

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

/// Returns the announced publish for the end of whose rollout newer content is to wait.
pub(super) fn awaited(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> Option<Publish> {
    let waits = workspace.spec.rollout.as_ref().is_some_and(|rollout| rollout.on_new_commit == OnNewCommit::Queue);
    let marked = record.marker.publisher().marked()?;
    marked.next.filter(|_| waits && marked.stage.is_some())
}

/// Returns the revision of the announced content: as the source has it, or as the status names it once the source has newer
/// content, or as it was read before a status could name it.
pub(super) fn revision_of(workspace: &RototoWorkspace, record: &WorkspaceRecord, next: Publish) -> Option<String> {
    let candidate = record.source.candidate_of(next.fingerprint);
    let shown = || {
        let rollout = record.status.rollout(workspace)?;
        let is_named = rollout.revision != next.fingerprint.to_string();
        (rollout.announced_as == Some(next.updated_at) && is_named).then(|| rollout.revision.clone())
    };
    let seen = || record.source.seen().of(next.fingerprint).first().cloned();
    let revision = candidate.and_then(|candidate| candidate.revision.as_ref()).map(ToString::to_string);
    revision.or_else(shown).or_else(seen)
}

/// Returns whether newer content waits for the end of a rollout. It does not once the content of the rollout is lost: nobody
/// could go on with it. Nor does it while nobody knows what the source accepts.
pub(super) fn queues(workspace: &RototoWorkspace, record: &WorkspaceRecord, context: &OperatorContext) -> bool {
    let kept = |next: &Publish| context.sources().snapshots().has(&WorkspaceKey::of(workspace), &next.fingerprint);
    awaited(workspace, record).is_some_and(|next| record.is_awaited(next) && kept(&next))
}

/// Returns whether the source has found that the announced revision has no valid signature, or may have none: nobody knows
/// which revision it is, as after a restart without a status, and the newest one has none.
pub(super) fn is_rejected(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> bool {
    let Some(next) = record.marker.publisher().marked().and_then(|marked| marked.next) else { return false };
    let own = revision_of(workspace, record, next);
    if own.is_none() {
        return record.source.unsigned().is_some();
    }
    let layers = record.source.candidate_of(next.fingerprint).map(|candidate| candidate.layers.as_slice());
    let of_layers = layers.unwrap_or_default().iter().filter_map(|layer| layer.commit.clone());
    own.into_iter().chain(of_layers).any(|revision| record.source.rejects(&revision))
}

/// Returns what a person asks for about a rollout.
pub(super) fn request(workspace: &RototoWorkspace) -> Option<Request> {
    parse(Asked::in_annotation(workspace, ANNOTATION_ROLLOUT)?.text).ok()
}

/// Returns the request of a person and its effect, as the status shows them. Users are verified since `verified`.
pub(super) fn request_status(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    verified: Option<Timestamp>,
    promotable: Promotable,
) -> Option<RequestStatus> {
    let asked = Asked::in_annotation(workspace, ANNOTATION_ROLLOUT)?;
    let request = parse(asked.text);
    let (state, reason) = match request {
        Err(invalid) => (RequestState::Refused, Some(invalid.to_owned())),
        Ok(request) => match request.state(&record.marker.publisher().marked()?, promotable) {
            Effect::InForce => (RequestState::InForce, None),
            Effect::Over => (RequestState::Over, None),
            Effect::Refused(refusal) => (RequestState::Refused, Some(refusal.to_string())),
        },
    };
    // Nobody can name a publish before it is announced.
    let by = match request {
        Ok(request) => asked.by(verified, Some(request.of.timestamp())),
        Err(_) => asked.by(None, None),
    };
    Some(RequestStatus { request: asked.text.to_owned(), by, state, reason })
}

const REQUEST_FORMAT: &str = "it must read `ACTION REVISION of=NAME`, where ACTION is promote, hold, abort, or retry: `rototo promote` writes it";

/// Reads `ACTION REVISION of=NAME`, with `step=N` after `promote`.
pub(super) fn parse(text: &str) -> Result<Request, &'static str> {
    let mut words = text.split_whitespace();
    let (action, _revision) = (words.next(), words.next().ok_or(REQUEST_FORMAT)?);
    let option = |name: &str| text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let action = match action {
        Some("promote") => match option("step") {
            Some(step) => Action::PromoteStep(step.parse().map_err(|_| "its step is no number")?),
            None => Action::Promote,
        },
        Some("hold") => Action::Hold,
        Some("abort") => Action::Abort,
        Some("retry") => Action::Retry,
        _ => return Err(REQUEST_FORMAT),
    };
    let of = option("of").ok_or("it does not name an announced publish, as of=NAME")?;
    Ok(Request { action, of: of.parse().map_err(|_| "what follows of= is not the name of a publish")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_an_action_and_an_announced_publish() {
        let name = "2026-11-20T18:40:00.000000Z";
        let request = |action| Ok(Request { action, of: name.parse().unwrap() });
        for (text, expected) in [
            (format!("promote 4d123d6 of={name}"), request(Action::Promote)),
            (format!("promote 4d123d6 of={name} step=2"), request(Action::PromoteStep(2))),
            (format!("hold 4d123d6 of={name}"), request(Action::Hold)),
            (format!("  abort   4d123d6   of={name} "), request(Action::Abort)),
            (format!("retry 4d123d6 of={name}"), request(Action::Retry)),
            ("promote 4d123d6".to_owned(), Err("it does not name an announced publish, as of=NAME")),
            ("retry 4d123d6 of=now".to_owned(), Err("what follows of= is not the name of a publish")),
            (format!("promote 4d123d6 of={name} step=two"), Err("its step is no number")),
            ("promote".to_owned(), Err(REQUEST_FORMAT)),
            (format!("publish 4d123d6 of={name}"), Err(REQUEST_FORMAT)),
            (String::new(), Err(REQUEST_FORMAT)),
        ] {
            assert_eq!(parse(&text), expected, "{text}");
        }
    }
}
