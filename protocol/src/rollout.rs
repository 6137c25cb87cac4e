//! Decides how a publish that has passed its rehearsal goes from a part of the fleet to all of it. [`decide`] is the
//! entry point, a pure function.
//!
//! The state of a rollout is in the marker: the step, since when, and which pods. So an operator that starts in the
//! middle continues where the marker stands, and no step is left out or done twice. If the new content fails in a part
//! of the fleet, it is taken back everywhere.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rototo_api::convergence::Straggler;
use rototo_api::marker::{Gate, Stage};

use crate::analysis::AnalysisState;
use crate::stage::WHOLE;

mod request;

pub use request::{Action, Promotable, Refusal, Request, RequestState};

/// A step of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This part of the pods runs the new content, in percent: at least one pod, if it is not 0.
    Weight(u8),
    /// This number of pods runs the new content.
    Pods(u32),
    /// Nothing changes for this time; `None` waits for a person.
    Pause(Option<Duration>),
}

/// The observations about a stage that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageFacts {
    /// True if every process of the stage runs the announced content, as far as anybody can know, and one does.
    pub converged: bool,
    /// True if that holds beside the processes of the stage that refuse the content.
    pub others_converged: bool,
    /// The first ten processes of the stage, by name, that refuse the content.
    pub refused: Vec<Straggler>,
    /// The first ten processes of the stage, by name, whose application is degraded since it applied the content.
    pub degraded: Vec<Straggler>,
    /// The first ten pods of the stage, by name, in which a container ended since the step began.
    pub restarted: Vec<String>,
    /// The hashes of the selected pods with a process that can be in a stage, sorted.
    pub pods: Vec<u64>,
    /// True if a process counts that should run the announced content, also in a pod that is not selected.
    pub occupied: bool,
    /// True while the operator may not know all processes or pods.
    pub incomplete: bool,
    /// The state of all analyses in this step.
    pub analysis: AnalysisState,
}

impl StageFacts {
    /// Returns why the content has to be taken back; `None` if every gate is open.
    fn failed_gate(&self) -> Option<GateFailure> {
        if !self.refused.is_empty() {
            return Some(GateFailure::Refused(self.refused.clone()));
        }
        if !self.restarted.is_empty() {
            return Some(GateFailure::Restarted(self.restarted.clone()));
        }
        if !self.degraded.is_empty() {
            return Some(GateFailure::Degraded(self.degraded.clone()));
        }
        (self.analysis == AnalysisState::Failed).then_some(GateFailure::Analysis)
    }
}

/// The decision about a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutDecision {
    /// The marker stays as it is until that time, or until something changes.
    Stay {
        /// The time at which the step is over.
        until: Option<Timestamp>,
    },
    /// The marker names this stage.
    Enter(Stage),
    /// The content is published.
    Publish,
    /// The content is taken back, and not published again by itself.
    TakeBack(GateFailure),
}

/// The reason for which content is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateFailure {
    /// These processes of the stage refuse it.
    Refused(Vec<Straggler>),
    /// A container of these pods of the stage ended.
    Restarted(Vec<String>),
    /// Measurements of an analysis failed, or were inconclusive.
    Analysis,
    /// These processes of the stage are degraded since they applied it.
    Degraded(Vec<Straggler>),
    /// A person took it back.
    Aborted,
}

impl GateFailure {
    /// Returns the gate.
    #[must_use]
    pub fn gate(&self) -> Gate {
        match self {
            Self::Refused(_) => Gate::Refused,
            Self::Restarted(_) => Gate::Restarted,
            Self::Analysis => Gate::Analysis,
            Self::Degraded(_) => Gate::Degraded,
            Self::Aborted => Gate::Aborted,
        }
    }
}

/// Decides about the rollout of content that has passed its rehearsal. `stage` is where the marker stands, and `asked` what
/// a person asks for about this announcement.
#[must_use]
pub fn decide(
    steps: &[Step],
    stage: Option<Stage>,
    facts: &StageFacts,
    asked: Option<Action>,
    now: Timestamp,
) -> RolloutDecision {
    match asked {
        Some(Action::Abort) => return RolloutDecision::TakeBack(GateFailure::Aborted),
        Some(Action::Promote) => return RolloutDecision::Publish,
        _ => {}
    }
    if stage.is_some()
        && let Some(failure) = facts.failed_gate()
    {
        return RolloutDecision::TakeBack(failure);
    }
    // A part of the fleet can't be chosen before the fleet is known.
    if facts.incomplete || asked == Some(Action::Hold) {
        return RolloutDecision::Stay { until: None };
    }
    let Some(stage) = stage else { return enter(steps, 0, 0, facts, now) };
    if let Some(below) = refilled(steps, stage, facts) {
        return RolloutDecision::Enter(Stage { below, since: now, ..stage });
    }
    let next = || enter(steps, stage.step.saturating_add(1), stage.below, facts, now);
    match steps.get(stage.step as usize) {
        _ if asked == Some(Action::PromoteStep(stage.step)) => next(),
        // Nothing is measured without a pod in the stage.
        _ if facts.analysis == AnalysisState::Measuring && !is_empty(stage, facts) => {
            RolloutDecision::Stay { until: None }
        }
        // The steps became fewer meanwhile.
        None => RolloutDecision::Publish,
        Some(Step::Pause(Some(time))) => {
            let until = stage.since.checked_add(SignedDuration::try_from(*time).unwrap_or(SignedDuration::MAX));
            match until.unwrap_or(Timestamp::MAX) {
                until if until <= now => next(),
                until => RolloutDecision::Stay { until: Some(until) },
            }
        }
        Some(Step::Pause(None)) => RolloutDecision::Stay { until: None },
        // With nobody in the stage, there is nobody on whom the content could be tried, and a step may ask for none.
        Some(Step::Weight(_) | Step::Pods(_)) if facts.converged || is_empty(stage, facts) => next(),
        Some(Step::Weight(_) | Step::Pods(_)) => RolloutDecision::Stay { until: None },
    }
}

/// Returns a higher threshold if the pods of the stage are gone: deleted, or replaced by others. A pause does not pass with
/// nobody in the stage.
fn refilled(steps: &[Step], stage: Stage, facts: &StageFacts) -> Option<u64> {
    let begun = steps.get(..=stage.step as usize).unwrap_or(steps);
    let last = begun.iter().rev().find(|step| !matches!(step, Step::Pause(_)))?;
    let below = threshold(*last, &facts.pods);
    (has_no_pods(stage, facts) && below > stage.below).then_some(below)
}

/// Returns whether no selected pod is in the stage.
fn has_no_pods(stage: Stage, facts: &StageFacts) -> bool {
    facts.pods.first().is_none_or(|lowest| *lowest >= stage.below)
}

/// Returns whether nobody is in the stage: no selected pod, and no process of another one.
fn is_empty(stage: Stage, facts: &StageFacts) -> bool {
    has_no_pods(stage, facts) && !facts.occupied
}

/// Enters the step `step`, or publishes after the last one. A stage never becomes smaller.
fn enter(steps: &[Step], step: u32, below: u64, facts: &StageFacts, now: Timestamp) -> RolloutDecision {
    match steps.get(step as usize) {
        None => RolloutDecision::Publish,
        Some(Step::Pause(_)) => RolloutDecision::Enter(Stage { step, since: now, below }),
        Some(next) => {
            let below = threshold(*next, &facts.pods).max(below);
            RolloutDecision::Enter(Stage { step, since: now, below })
        }
    }
}

/// Returns the threshold for a step, with these pods, by hash.
fn threshold(step: Step, pods: &[u64]) -> u64 {
    // Just above the hash of the last pod that is to be in the stage.
    let first = |count: usize| count.checked_sub(1).map_or(0, |last| pods.get(last).map_or(WHOLE, |hash| hash + 1));
    match step {
        Step::Weight(0) | Step::Pause(_) => 0,
        Step::Pods(_) if pods.is_empty() => 0,
        Step::Weight(weight) => (WHOLE * u64::from(weight.min(100)) / 100).max(first(pods.len().min(1))),
        Step::Pods(count) => first(count as usize),
    }
}

#[cfg(test)]
mod tests;
