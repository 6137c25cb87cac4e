//! The state of a workspace in one word, by the order of trouble.

use rototo_api::condition::{CONVERGED, LINT_PASSED, PUBLISHED, READY, SOURCE_READY, reason};
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use serde::Serialize;

/// Says that a status is about an older spec.
pub const NOT_OBSERVED: &str = "the operator has not observed this spec yet";

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
    /// The status is about an older spec.
    NotObserved,
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
            Self::NotObserved => "Not observed",
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
            Self::Unserved | Self::NotObserved | Self::Held | Self::OnItsWay => READY,
        }
    }
}

/// Returns whether the status of a workspace is about its current spec. What an older spec has led to says nothing about
/// this one.
#[must_use]
pub fn is_observed(workspace: &RototoWorkspace) -> bool {
    let generation = workspace.metadata.generation;
    let observed = workspace.status.as_ref().and_then(|status| status.observed_generation);
    generation.is_none() || observed == generation
}

/// Returns the state that a status shows. What concerns the running fleet comes before what concerns the next commit.
pub(super) fn state(workspace: &RototoWorkspace) -> State {
    let Some(status) = &workspace.status else { return State::Unserved };
    let observed = is_observed(workspace);
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
    if observed && status.rejected.is_some() {
        return State::CommitRefused;
    }
    if observed && status.held.is_some() {
        return State::Held;
    }
    if status.is(SOURCE_READY, "False") {
        return State::SourceFails;
    }
    if published.is_some() {
        return State::NotPublished;
    }
    if !observed {
        return State::NotObserved;
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
    if state == State::NotObserved {
        return Some(NOT_OBSERVED.to_owned());
    }
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
        let mut status = json!({ "observedGeneration": 1, "conditions": conditions.collect::<Vec<_>>() });
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let workspace = json!({ "metadata": { "generation": 1 }, "spec": { "source": "x" }, "status": status });
        let workspace: RototoWorkspace = serde_json::from_value(workspace).unwrap();
        assert_eq!(state(&workspace), expected, "{workspace:?}");
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
    fn a_status_of_an_older_spec_shows_only_the_trouble_that_lasts() {
        let older = |more: Value| {
            let mut status = json!({ "observedGeneration": 0 });
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            status
        };
        let (ready, converged) = (("Ready", "True", "Converged"), ("Converged", "True", "Converged"));
        let not_ready = ("Ready", "False", "LintRefused");
        let refused = json!({ "rejected": { "time": "2026-11-20T18:40:00Z", "errors": 1, "warnings": 0 } });
        check(&[ready, converged], older(json!({})), State::NotObserved);
        check(&[ready, converged], json!({ "observedGeneration": null }), State::NotObserved);
        check(&[not_ready, converged], older(refused), State::NotObserved);
        check(&[not_ready, ("Converged", "False", "DeadlineExceeded")], older(json!({})), State::Behind);
        check(&[not_ready, ("SourceReady", "False", "SourceUnavailable")], older(json!({})), State::SourceFails);
        let because = because(&RototoWorkspaceStatus::default(), State::NotObserved);
        assert_eq!(because.as_deref(), Some("the operator has not observed this spec yet"));
    }

    #[test]
    fn the_page_has_a_tone_for_every_state() {
        let list = include_str!("../../assets/list.js");
        let tones = list.split_once("const TONES = {").unwrap().1.split_once('}').unwrap().0;
        let states = [
            State::ProcessesRefuse,
            State::Behind,
            State::NotPublished,
            State::Unserved,
            State::NotObserved,
            State::CommitRefused,
            State::Held,
            State::SourceFails,
            State::NotKnown,
            State::RollingOut,
            State::OnItsWay,
            State::Converged,
        ];
        assert_eq!(states.last().map(|last| last.rank()), Some(11));
        for state in states {
            let name = serde_json::to_value(state).unwrap();
            assert!(tones.contains(&format!("\n  {}: ", name.as_str().unwrap())), "{name}");
        }
    }

    #[test]
    fn states_have_the_order_of_trouble() {
        assert!(State::ProcessesRefuse.rank() < State::Behind.rank());
        assert!(State::CommitRefused.rank() < State::Converged.rank());
    }
}
