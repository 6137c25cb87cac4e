//! The requests of people about rollouts. Each is about one announced publish, by its name, so that none outlives what it
//! was meant for, and none ends with a commit that leaves the workspace as it is.

use std::fmt;

use rototo_api::UpdatedAt;
use rototo_api::marker::Gate;

use crate::Marked;

/// A request of a person about one announced publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The wanted action.
    pub action: Action,
    /// The name of the announced publish, or of the one that was taken back.
    pub of: UpdatedAt,
}

/// The action that a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Publish it in the whole fleet now.
    Promote,
    /// Go on to the next step, if the rollout is at this one.
    PromoteStep(u32),
    /// Stay at the present step.
    Hold,
    /// Take it back.
    Abort,
    /// Begin a rollout that was taken back anew.
    Retry,
}

/// The effect that a request has, by what the marker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// It counts.
    InForce,
    /// It asks for what has happened.
    Over,
    /// It has no effect.
    Refused(Refusal),
}

/// The reason for which a request has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is announced.
    NothingAnnounced,
    /// Another publish is announced.
    OtherPublish(UpdatedAt),
    /// The rollout has not reached that step.
    OtherStep(u32),
    /// The announced publish has no stage yet.
    NoStep,
    /// Nothing was taken back, or under another name.
    NotTakenBack,
    /// The announced publish has not passed its rehearsal, which no promotion goes past.
    NotRehearsed,
    /// The source has not confirmed the announced content under the spec as it is now.
    Unconfirmed,
}

/// The circumstances under which a promotion has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promotable {
    /// True if the announced publish has passed its rehearsal.
    pub rehearsed: bool,
    /// True if the source has confirmed the announced content under the spec as it is now.
    pub confirmed: bool,
}

impl Request {
    /// Returns the action, if the request is about the publish of this name.
    #[must_use]
    pub fn about(self, name: UpdatedAt) -> Option<Action> {
        (self.of == name).then_some(self.action)
    }

    /// Returns the effect that the request has, where the marker says `marked`.
    #[must_use]
    pub fn state(self, marked: &Marked, promotable: Promotable) -> RequestState {
        let Self { action, of } = self;
        let held = marked.held.filter(|(held, _)| held.updated_at == of);
        let later = marked.next.into_iter().chain([marked.publish]).any(|later| later.updated_at > of);
        match action {
            Action::Retry if held.is_some() => return RequestState::InForce,
            // Nobody knows any more what was taken back under that name, and another attempt has followed.
            Action::Retry if later => return RequestState::Over,
            Action::Retry => return RequestState::Refused(Refusal::NotTakenBack),
            Action::Abort if held.is_some_and(|(_, gate)| gate == Gate::Aborted) => return RequestState::Over,
            Action::Promote | Action::PromoteStep(_) if marked.publish.updated_at == of => return RequestState::Over,
            _ => {}
        }
        let Some(next) = marked.next else { return RequestState::Refused(Refusal::NothingAnnounced) };
        if next.updated_at != of {
            return RequestState::Refused(Refusal::OtherPublish(next.updated_at));
        }
        match (action, marked.stage) {
            (Action::Promote, None) if !promotable.rehearsed => RequestState::Refused(Refusal::NotRehearsed),
            (Action::PromoteStep(_), None) => RequestState::Refused(Refusal::NoStep),
            (Action::PromoteStep(step), Some(stage)) if step < stage.step => RequestState::Over,
            (Action::PromoteStep(step), Some(stage)) if step > stage.step => {
                RequestState::Refused(Refusal::OtherStep(stage.step))
            }
            (Action::Promote | Action::PromoteStep(_), _) if !promotable.confirmed => {
                RequestState::Refused(Refusal::Unconfirmed)
            }
            _ => RequestState::InForce,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingAnnounced => f.write_str("no rollout is under way"),
            Self::OtherPublish(announced) => {
                write!(f, "it is about another rollout: the present one is of={announced}")
            }
            Self::OtherStep(step) => write!(f, "the rollout is at step={step}"),
            Self::NoStep => f.write_str("the first step has not begun"),
            Self::NotTakenBack => f.write_str("nothing was rolled back under that name"),
            Self::NotRehearsed => f.write_str("the revision has not passed its rehearsal"),
            Self::Unconfirmed => f.write_str("the source has not confirmed the revision under the present spec"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rototo_api::marker::Stage;

    use super::*;
    use crate::Publish;

    fn publish(content: char, second: u32) -> Publish {
        let updated_at = name(second);
        Publish { fingerprint: format!("sha256:{}", content.to_string().repeat(64)).parse().unwrap(), updated_at }
    }

    fn name(second: u32) -> UpdatedAt {
        format!("2026-11-20T18:40:{second:02}.000000Z").parse().unwrap()
    }

    #[test]
    fn a_request_counts_for_its_announcement_and_its_step_alone() {
        let stage = Stage { step: 2, since: "2026-11-20T18:40:25Z".parse().unwrap(), below: 7 };
        let published = Marked::from(publish('a', 10));
        let announced = Marked { next: Some(publish('b', 20)), ..published };
        let staged = Marked { stage: Some(stage), ..announced };
        let aborted = Marked { held: Some((publish('b', 20), Gate::Aborted)), ..published };
        let refused = RequestState::Refused;
        for (marked, action, of, expected) in [
            (staged, Action::Hold, 20, RequestState::InForce),
            (staged, Action::Promote, 20, RequestState::InForce),
            (staged, Action::Abort, 19, refused(Refusal::OtherPublish(name(20)))),
            (staged, Action::Promote, 10, RequestState::Over),
            (staged, Action::Hold, 10, refused(Refusal::OtherPublish(name(20)))),
            (staged, Action::PromoteStep(1), 20, RequestState::Over),
            (staged, Action::PromoteStep(2), 20, RequestState::InForce),
            (staged, Action::PromoteStep(3), 20, refused(Refusal::OtherStep(2))),
            (staged, Action::Retry, 20, refused(Refusal::NotTakenBack)),
            (announced, Action::PromoteStep(0), 20, refused(Refusal::NoStep)),
            (announced, Action::Abort, 20, RequestState::InForce),
            (published, Action::Hold, 20, refused(Refusal::NothingAnnounced)),
            (published, Action::PromoteStep(1), 10, RequestState::Over),
            (aborted, Action::Abort, 20, RequestState::Over),
            (aborted, Action::Abort, 19, refused(Refusal::NothingAnnounced)),
            (aborted, Action::Retry, 20, RequestState::InForce),
            (aborted, Action::Retry, 19, refused(Refusal::NotTakenBack)),
        ] {
            let promotable = Promotable { rehearsed: true, confirmed: true };
            let state = Request { action, of: name(of) }.state(&marked, promotable);
            assert_eq!(state, expected, "{action:?} of {of}: {marked:?}");
        }
    }

    #[test]
    fn a_retry_is_over_once_another_attempt_has_followed() {
        let published = Marked::from(publish('a', 10));
        let again = Marked { next: Some(publish('b', 30)), ..published };
        let promotable = Promotable { rehearsed: true, confirmed: true };
        for marked in [again, publish('b', 30).into()] {
            let state = Request { action: Action::Retry, of: name(20) }.state(&marked, promotable);
            assert_eq!(state, RequestState::Over, "{marked:?}");
        }
    }

    #[test]
    fn a_promotion_that_has_no_effect_is_not_in_force() {
        let stage = Stage { step: 2, since: "2026-11-20T18:40:25Z".parse().unwrap(), below: 7 };
        let announced = Marked { next: Some(publish('b', 20)), ..publish('a', 10).into() };
        let staged = Marked { stage: Some(stage), ..announced };
        let state = |marked: &Marked, action, rehearsed, confirmed| {
            Request { action, of: name(20) }.state(marked, Promotable { rehearsed, confirmed })
        };
        let refused = RequestState::Refused;
        assert_eq!(state(&announced, Action::Promote, false, true), refused(Refusal::NotRehearsed));
        assert_eq!(state(&announced, Action::Promote, true, true), RequestState::InForce);
        // What a stage runs has passed its rehearsal.
        assert_eq!(state(&staged, Action::Promote, false, true), RequestState::InForce);
        for action in [Action::Promote, Action::PromoteStep(2)] {
            assert_eq!(state(&staged, action, true, false), refused(Refusal::Unconfirmed), "{action:?}");
        }
        for action in [Action::Hold, Action::Abort] {
            assert_eq!(state(&announced, action, false, false), RequestState::InForce, "{action:?}");
        }
    }
}
