//! Faults of rollouts: a step that is left out, a part of the fleet that is another one, and content that comes back.

use super::{FOLLOWER, Mutant, PLAN, PROCESS, PUBLISHER, mutant};

const ROLLOUT: &str = "protocol/src/rollout.rs";
const ANALYSIS: &str = "protocol/src/analysis.rs";
const REQUEST: &str = "protocol/src/rollout/request.rs";
const STAGE: &str = "protocol/src/stage.rs";
const STAGING: &str = "protocol/src/fleet/staging.rs";
const OPERATOR_STATE: &str = "simulator/src/state/operator.rs";
const SOURCE_EDGE: &str = "simulator/src/state/source.rs";
const STANDBY: &str = "protocol/src/follower/standby.rs";

pub(super) const MUTANTS: &[Mutant] = &[
    // Steps.
    mutant(
        "a step ends before its pods run the content",
        ROLLOUT,
        "if facts.converged || is_empty(stage, facts) => next(),",
        "if facts.converged || !facts.pods.is_empty() => next(),",
    ),
    mutant(
        "a part of the fleet is chosen before the fleet is known",
        ROLLOUT,
        "if facts.incomplete || asked == Some(Action::Hold) {",
        "if asked == Some(Action::Hold) {",
    ),
    mutant(
        "a pause ends at once",
        ROLLOUT,
        "until if until <= now => next(),",
        "until if until >= stage.since => next(),",
    ),
    mutant(
        "a promotion of an earlier step counts",
        ROLLOUT,
        "asked == Some(Action::PromoteStep(stage.step)) => next(),",
        "matches!(asked, Some(Action::PromoteStep(_))) => next(),",
    ),
    mutant(
        "a request about an earlier announcement counts",
        REQUEST,
        "(self.of == name).then_some(self.action)",
        "(self.of <= name).then_some(self.action)",
    ),
    mutant(
        "a stage becomes smaller",
        ROLLOUT,
        "let below = threshold(*next, &facts.pods).max(below);",
        "let below = threshold(*next, &facts.pods);",
    ),
    mutant("a weight may take no pod", ROLLOUT, ".max(first(pods.len().min(1))),", ".max(0),"),
    // Gates.
    mutant(
        "a refusal in the stage takes nothing back",
        ROLLOUT,
        "if !self.refused.is_empty() {",
        "if self.refused.len() > 1 {",
    ),
    mutant(
        "a container that ended before the step takes the content back",
        STAGING,
        "any(|end| end.at >= since)",
        "any(|end| end.at >= Timestamp::MIN)",
    ),
    mutant(
        "content that was taken back is announced again",
        PLAN,
        "if let Some(held) = observed.held_back(fingerprint, Some(marked)) {",
        "if let Some(held) = observed.held_back(fingerprint, Some(marked)).filter(|_| observed.retried.is_some()) {",
    ),
    mutant(
        "a request to try again counts for every attempt",
        PLAN,
        "held.filter(|(held, _)| self.retried != Some(held.updated_at))",
        "held.filter(|(held, _)| self.retried.is_none_or(|name| name > held.updated_at))",
    ),
    mutant(
        "a changed marker forgets what was taken back",
        PLAN,
        "self.known_held.or_else(|| marked?.held)",
        "marked?.held",
    ),
    mutant(
        "a changed marker publishes content that has steps",
        PUBLISHER,
        "let stays = !input.steps.is_empty() || asked == Some(Action::Hold);",
        "let stays = input.steps.is_empty() || asked == Some(Action::Hold);",
    ),
    mutant(
        "newer content ends the rollout that it should wait for",
        PUBLISHER,
        "input.queues && self.rolls_out(marked)",
        "input.queues && !self.rolls_out(marked)",
    ),
    mutant(
        "newer content waits for an announcement that somebody else wrote",
        PUBLISHER,
        "changes && marked.stage.is_some() && self.marked.is_some_and(|known| known.next == marked.next)",
        "changes && marked.stage.is_some()",
    ),
    mutant(
        "what a person publishes anyway is taken back for a refusal",
        PUBLISHER,
        "observed.refused.clear();",
        "let _ = &observed.refused;",
    ),
    mutant(
        "an analysis that failed takes nothing back",
        ROLLOUT,
        "(self.analysis == AnalysisState::Failed).then_some(GateFailure::Analysis)",
        "None",
    ),
    mutant(
        "a step ends before its analyses have passed",
        ROLLOUT,
        "_ if facts.analysis == AnalysisState::Measuring",
        "_ if facts.analysis == AnalysisState::Failed",
    ),
    mutant(
        "the measurements of an earlier step count",
        ANALYSIS,
        "self.step.filter(|measured| *measured == step)",
        "self.step.filter(|measured| measured.publish == step.publish)",
    ),
    mutant(
        "what is inconclusive does not count against the limit",
        ANALYSIS,
        "self.failed.saturating_add(self.inconclusive)",
        "self.failed",
    ),
    mutant(
        "no measurement decides about a step",
        PUBLISHER,
        "analysis::state(input.analyses, MeasuredStep { publish: rehearsal.next, stage })",
        "analysis::state(&[], MeasuredStep { publish: rehearsal.next, stage })",
    ),
    mutant(
        "an application that becomes degraded takes nothing back",
        ROLLOUT,
        "if !self.degraded.is_empty() {",
        "if self.degraded.len() > 1 {",
    ),
    mutant(
        "an application that was degraded before takes the content back",
        PROCESS,
        "self.last_report.degraded.as_ref().filter(|degraded| degraded.since_applied)?",
        "self.last_report.degraded.as_ref()?",
    ),
    // Who is in the stage.
    mutant("a process without a pod is in the stage", STAGE, "pod.is_some_and(|pod|", "pod.is_none_or(|pod|"),
    mutant(
        "a process that does not prepare is counted in the stage",
        STAGING,
        "if process.last_report.prepares && includes(",
        "if includes(",
    ),
    mutant(
        "a stage has converged during a recount",
        STAGING,
        "let (mut applied, mut behind, mut refused) = (false, incomplete, Vec::new());",
        "let (mut applied, mut behind, mut refused) = (false, false, Vec::new());",
    ),
    mutant("a pod of the stage that has not reported is left out", STAGING, "behind |= unreported;", "let _ = behind;"),
    mutant(
        "a process of the stage drops what is published",
        FOLLOWER,
        "self.standby.replaced(before.fingerprint);",
        "let _ = before;",
    ),
    mutant(
        "a process of the stage waits for the publish",
        STANDBY,
        "match self.announced.filter(includes) {",
        "match self.announced.filter(|next| includes(next) && stage.is_none()) {",
    ),
    // The marker, and changes of the spec.
    mutant(
        "a stage stands beside an announcement that somebody else changed",
        PLAN,
        "&& observed.has_passed(fingerprint)\n        && found == Some(next)",
        "&& observed.has_passed(fingerprint)",
    ),
    mutant(
        "a rollout whose steps are removed has no gates",
        PUBLISHER,
        "input.steps.is_empty() && stage.is_none()",
        "input.steps.is_empty()",
    ),
    mutant(
        "a step that takes no pod waits for the pods that its stage has lost",
        ROLLOUT,
        "if facts.converged || is_empty(stage, facts) => next(),",
        "if facts.converged || facts.pods.is_empty() || stage.below == 0 => next(),",
    ),
    mutant(
        "the gates of a stage count only once the operator has confirmed its marker",
        PUBLISHER,
        "fleet.stage_facts(stage, now)",
        "fleet.stage_facts(stage.filter(|_| fleet.is_staged()), now)",
    ),
    mutant(
        "a stage that has lost its pods passes its pause",
        ROLLOUT,
        "(has_no_pods(stage, facts) && below > stage.below).then_some(below)",
        "(has_no_pods(stage, facts) && below > stage.below && facts.converged).then_some(below)",
    ),
    mutant(
        "a request to hold stops no rollout that has begun",
        ROLLOUT,
        "if facts.incomplete || asked == Some(Action::Hold) {",
        "if facts.incomplete || asked == Some(Action::Hold) && stage.is_none() {",
    ),
    mutant(
        "an operator that starts forgets what was taken back",
        PLAN,
        "self.known_held.or_else(|| marked?.held)",
        "self.known_held",
    ),
    mutant(
        "an end within the second in which a step began is overlooked",
        STAGING,
        "any(|end| end.at >= since)",
        "any(|end| end.at > since)",
    ),
    mutant(
        "what was taken back is forgotten when somebody removes it from the marker of a suspended workspace",
        PLAN,
        "let held = observed.held(Some(marked)).filter(|held| !observed.outdates(Some(*held)));",
        "let held = marked.held.filter(|held| !observed.outdates(Some(*held)));",
    ),
    mutant(
        "a late write of an earlier leader that ends a rollout is undone",
        PLAN,
        "let edited = promoted.is_none() && known.is_some_and(",
        "let edited = known.is_some_and(",
    ),
    mutant(
        "an operator that starts decides before it knows the marker that it found",
        PUBLISHER,
        "if self.marked.is_none() && self.attempts.is_empty() {",
        "if self.marked.is_none() && self.attempts.len() > ATTEMPTS {",
    ),
    mutant(
        "a write without an answer that took content back is forgotten",
        PUBLISHER,
        "attempted.and_then(|attempt| attempt.marked.held).or_else(|| self.marked?.held)",
        "attempted.map_or(self.marked?.held, |_| self.marked?.held)",
    ),
    // The source, and the rules of the spec.
    mutant(
        "what an earlier spec accepted goes on",
        SOURCE_EDGE,
        "self.answered == Some(spec) && self.refused.is_none()\n    }",
        "self.answered.is_some() && self.refused.is_none() && spec < u64::MAX\n    }",
    ),
    mutant(
        "what the rules of the spec refuse goes on",
        SOURCE_EDGE,
        "self.answered == Some(spec) && self.refused.is_none()\n    }",
        "self.answered.is_some() && self.wanted == Some(spec)\n    }",
    ),
    mutant(
        "what was not judged yet withdraws an announcement",
        SOURCE_EDGE,
        "rejected || candidate.is_some() && self.is_confirmed(spec) && self.judged == candidate",
        "rejected || candidate.is_some() && self.is_confirmed(spec)",
    ),
    mutant(
        "nothing is taken back before the source has answered",
        PLAN,
        "if let Some(marked) = observed.taken_back(marked) {",
        "if let Some(marked) = observed.taken_back(marked).filter(|_| observed.source_known) {",
    ),
    // Edits of the marker, and requests without a stage.
    mutant(
        "a marker is put back without its rollout",
        PLAN,
        "(stays && self.held_back(next.fingerprint, None).is_none()).then_some((next, stage))",
        "(stays && self.known.is_none()).then_some((next, stage))",
    ),
    mutant(
        "what status remembers as taken back comes again once the marker is lost",
        PUBLISHER,
        "known.or(input.remembered_held.filter(|_| self.has_lost(map, input)))",
        "known.or(input.remembered_held.filter(|_| input.suspended && self.has_lost(map, input)))",
    ),
    mutant(
        "nobody can hold what has no steps",
        PUBLISHER,
        "let stays = !input.steps.is_empty() || asked == Some(Action::Hold);",
        "let stays = !input.steps.is_empty() || asked == Some(Action::Retry);",
    ),
    mutant(
        "a selector that is invalid ends each step",
        OPERATOR_STATE,
        "Pods { by_uid, incomplete: selector_broken }",
        "Pods { by_uid, incomplete: false }",
    ),
    mutant(
        "a step is over although a process of another pod does not run the content",
        ROLLOUT,
        "has_no_pods(stage, facts) && !facts.occupied",
        "has_no_pods(stage, facts)",
    ),
    mutant(
        "a publish that is put back beside a stage has a figure",
        STAGING,
        "if changes || stage.is_some() {",
        "if changes {",
    ),
];
