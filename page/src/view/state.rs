//! The state of a workspace in one word, by the order of trouble.

use rototo_api::condition::{CONVERGED, LINT_PASSED, PUBLISHED, READY, SOURCE_READY, reason};
use rototo_api::workspace::RototoWorkspaceStatus;
use serde::Serialize;

/// The state of a workspace, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// A process can't run what is published.
    ProcessesRefuse,
    /// A process is behind for longer than the deadline.
    Behind,
    /// The marker is not what it should be.
    NotPublished,
    /// No operator has reconciled it.
    Unserved,
    /// Lint refuses the newest commit.
    CommitRefused,
    /// The newest commit waits for a person.
    Held,
    /// The source does not answer.
    SourceFails,
    /// Nobody knows who runs what.
    NotKnown,
    /// A part of the fleet runs the newest commit.
    RollingOut,
    /// A change is on its way.
    OnItsWay,
    /// Everybody runs the newest commit.
    Converged,
}

impl State {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::ProcessesRefuse => "Processes refuse it",
            Self::Behind => "Behind",
            Self::NotPublished => "Not published",
            Self::Unserved => "No operator",
            Self::CommitRefused => "Commit refused",
            Self::Held => "Held",
            Self::SourceFails => "Source fails",
            Self::NotKnown => "Not known",
            Self::RollingOut => "Rolling out",
            Self::OnItsWay => "On its way",
            Self::Converged => "Converged",
        }
    }

    /// Returns the place in the order of trouble.
    pub(super) fn rank(self) -> u8 {
        self as u8
    }

    /// Returns the condition whose message explains the state.
    fn condition(self) -> &'static str {
        match self {
            Self::ProcessesRefuse | Self::Behind | Self::NotKnown | Self::RollingOut | Self::Converged => CONVERGED,
            Self::NotPublished => PUBLISHED,
            Self::CommitRefused => LINT_PASSED,
            Self::SourceFails => SOURCE_READY,
            Self::Unserved | Self::Held | Self::OnItsWay => READY,
        }
    }
}

/// Returns the state that a status shows. What concerns the running fleet comes before what concerns the next commit.
pub(super) fn state(status: &RototoWorkspaceStatus) -> State {
    let converged = status.condition(CONVERGED);
    let reason = converged.map_or("", |condition| condition.reason.as_str());
    if status.condition(READY).is_none() {
        return State::Unserved;
    }
    match reason {
        reason::PROCESSES_REFUSE => return State::ProcessesRefuse,
        reason::DEADLINE_EXCEEDED => return State::Behind,
        _ => {}
    }
    // Where nothing is published yet, what keeps it from being published says more.
    let published = status.condition(PUBLISHED).filter(|published| published.status == "False");
    if published.is_some_and(|published| published.reason != reason::NOTHING_PUBLISHED) {
        return State::NotPublished;
    }
    if status.rejected.is_some() {
        return State::CommitRefused;
    }
    if status.held.is_some() {
        return State::Held;
    }
    if status.is(SOURCE_READY, "False") {
        return State::SourceFails;
    }
    if published.is_some() {
        return State::NotPublished;
    }
    match (reason, converged.map_or("", |condition| condition.status.as_str())) {
        (reason::ROLLING_OUT, _) => State::RollingOut,
        (reason::PROGRESSING, _) => State::OnItsWay,
        (_, "True") if status.is(READY, "True") => State::Converged,
        (_, "True") => State::OnItsWay,
        _ => State::NotKnown,
    }
}

/// Returns the message of the condition that explains the state.
pub(super) fn because(status: &RototoWorkspaceStatus, state: State) -> Option<String> {
    let condition = status.condition(state.condition())?;
    Some(condition.message.clone()).filter(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(conditions: &[(&str, &str, &str)], more: Value, expected: State) {
        let conditions = conditions.iter().map(|(kind, status, reason)| {
            json!({ "type": kind, "status": status, "reason": reason, "message": "",
                "lastTransitionTime": "2026-11-20T18:40:00Z" })
        });
        let mut status = json!({ "conditions": conditions.collect::<Vec<_>>() });
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let status: RototoWorkspaceStatus = serde_json::from_value(status).unwrap();
        assert_eq!(state(&status), expected, "{status:?}");
    }

    #[test]
    fn the_running_fleet_comes_before_the_next_commit() {
        let refused = json!({ "rejected": { "time": "2026-11-20T18:40:00Z", "errors": 1, "warnings": 0 } });
        let ready = ("Ready", "True", "Converged");
        let not_ready = ("Ready", "False", "LintRefused");
        check(&[], json!({}), State::Unserved);
        check(&[ready, ("Converged", "True", "Converged")], json!({}), State::Converged);
        check(&[not_ready, ("Converged", "True", "Converged")], refused.clone(), State::CommitRefused);
        check(&[not_ready, ("Converged", "False", "DeadlineExceeded")], refused, State::Behind);
        check(&[not_ready, ("Converged", "False", "Progressing")], json!({}), State::OnItsWay);
        check(&[ready, ("Converged", "Unknown", "Silent")], json!({}), State::NotKnown);
        check(&[not_ready, ("SourceReady", "False", "SourceUnavailable")], json!({}), State::SourceFails);
        check(&[not_ready, ("Published", "False", "PublishFailed")], json!({}), State::NotPublished);
        let nothing = ("Published", "False", "NothingPublished");
        check(&[not_ready, nothing], json!({}), State::NotPublished);
        check(&[not_ready, nothing, ("SourceReady", "False", "SourceRefused")], json!({}), State::SourceFails);
        // Everybody runs what is published, and a newer commit is being read.
        check(&[not_ready, ("Converged", "True", "Converged")], json!({}), State::OnItsWay);
    }

    #[test]
    fn states_have_the_order_of_trouble() {
        assert!(State::ProcessesRefuse.rank() < State::Behind.rank());
        assert!(State::CommitRefused.rank() < State::Converged.rank());
    }
}
