//! The rules by which a new revision reaches the fleet, `spec.rollout`, and the revision that does not, `status.held`.

use std::time::Duration as StdDuration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::UpdatedAt;
use crate::analysis::{AnalysisStatus, RolloutAnalysis, is_zero};
use crate::convergence::Straggler;

/// The rules by which a new revision reaches the fleet.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.analysis) || size(self.analysis) == 0 || (has(self.steps) && size(self.steps) > 0)")
    .message("analysis needs steps: without steps a revision reaches every process at once"))]
pub struct RolloutSpec {
    /// The steps by which a new revision reaches the fleet, one after the other; without steps it reaches every process at
    /// once. After the last step it is published. If a gate fails in a part of the fleet, the
    /// revision is rolled back for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub steps: Vec<RolloutStep>,

    /// The effect of a newer commit during a rollout. `Restart` (the default) ends the rollout, and begins one of the newer
    /// commit. `Queue` lets the newer commit wait until the rollout is complete, or its revision is rolled back.
    #[serde(default)]
    pub on_new_commit: OnNewCommit,

    /// The metrics that a new revision has to pass in each step. A revision that fails one of them is rolled back. The
    /// measurements of a step begin anew when the operator is restarted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub analysis: Vec<RolloutAnalysis>,

    /// The rehearsal: each process fetches, compiles, and checks a new revision beside what it runs, before the revision
    /// is published. What a process refuses then is not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<RehearsalSpec>,
}

/// The effect of a newer commit during a rollout.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnNewCommit {
    /// The rollout ends, and one of the newer commit begins.
    #[default]
    Restart,
    /// The newer commit waits for the end of the rollout.
    Queue,
}

/// One step of a rollout: exactly one of its fields is set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.setWeight), has(self.pods), has(self.pause)].filter(set, set).size() == 1")
    .message("a step has exactly one of setWeight, pods, and pause"))]
pub struct RolloutStep {
    /// The part of the pods that runs the new revision, in percent: at least one pod, if it is not 0. The step is over once
    /// they run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub set_weight: Option<i32>,
    /// The number of pods that run the new revision. The step is over once they run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10000))]
    pub pods: Option<u32>,
    /// Nothing changes for this time, or until a person promotes the revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<PauseStep>,
}

/// A pause between two steps.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct PauseStep {
    /// The length of the pause: a duration from `1s` to `168h`. Without it, the pause ends when a person promotes the
    /// revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('168h')")
        .message("a pause must lie between 1s and 168h"))]
    pub duration: Option<Duration>,
}

/// The progress of a revision through the steps of its rollout.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The newest revision that was seen to have the content that is rolled out; for a source without commits, the
    /// fingerprint of this content.
    pub revision: String,
    /// The last ten revisions that were seen to have this content, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// The name under which the revision is announced. Requests about this rollout name it, as `of=NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub announced_as: Option<UpdatedAt>,
    /// The digest of its content: `sha256:` and 64 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The pods whose hash is lower than this run the revision. Hashes have 32 bits, so 4294967296 means all. An operator
    /// that starts after somebody has deleted the markers continues with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<u64>,
    /// The newer revision that waits for the end of this rollout, with `onNewCommit: Queue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<String>,
    /// The step, from 0.
    pub step: u32,
    /// The number of steps.
    pub steps: u32,
    /// The time at which the step began.
    pub since: Time,
    /// The processes that run the new revision, and those that should: `3/3`.
    pub next: String,
    /// The processes that run what is published, and those that should: `34/34`.
    pub stable: String,
    /// The measurements of this step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub analysis: Vec<AnalysisStatus>,
    /// The command that goes on to the next step.
    pub promote: String,
    /// The command that rolls the revision back.
    pub abort: String,
}

/// The request of a person in the annotation `rototo.dev/rollout`, and its effect.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestStatus {
    /// The request, without the user.
    pub request: String,
    /// The user, if the API server has verified it; otherwise `unverified`.
    pub by: String,
    /// The effect: `InForce`, `Over` for what has happened, or `Refused`.
    pub state: RequestState,
    /// The reason for which it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The effect of a request.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum RequestState {
    /// It counts.
    InForce,
    /// It asks for what has happened.
    Over,
    /// It has no effect.
    Refused,
}

/// The conditions for a new revision to be published.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RehearsalSpec {
    /// `BestEffort` (the default) publishes a revision once no process that was there refuses it, and waits at most
    /// `within` for those that do not answer. `Require` publishes it once `minPrepared` of the fleet has prepared it.
    /// `Off` publishes at once.
    #[serde(default)]
    pub mode: RehearsalMode,

    /// The time for which a revision waits for processes that have not answered: a duration from `10ms` to `1h`, 500
    /// milliseconds by default. With `Require` it is the time after which `Ready` becomes `False` with reason
    /// `RehearsalIncomplete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10ms') && duration(self) <= duration('1h')")
        .message("within must lie between 10ms and 1h"))]
    pub within: Option<Duration>,

    /// The part of the fleet that must have prepared a revision with `Require`: from `1%` to `100%`, which is the
    /// default. Processes that can't prepare, and pods that have not reported, count as unprepared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(100|[1-9][0-9]?)%$"))]
    pub min_prepared: Option<String>,
}

/// The condition for a new revision to be published.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum RehearsalMode {
    /// There is no rehearsal.
    Off,
    /// No process refuses it within the time limit.
    #[default]
    BestEffort,
    /// Enough processes have prepared it.
    Require,
}

/// A revision that lint accepts, and that is not published before a person allows it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldStatus {
    /// The revision that is held; for a source without commits, the fingerprint of its content.
    pub revision: String,
    /// The fingerprint of its content.
    pub fingerprint: String,
    /// The reason: `ShrinkHeld`, `RefusedInRehearsal`, `RehearsalIncomplete`, or `HeldBack`.
    pub reason: String,
    /// The number of published variables that the revision lacks, if it is held for that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub removes: u32,
    /// The first ten processes, by name, for which it is held: they refuse it, have not prepared it, or were degraded while
    /// they ran it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Straggler>,
    /// The analysis for which it was rolled back, as far as the operator knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisStatus>,
    /// The name under which it was announced, if it was rolled back. A request to try it again names it, as `of=NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub announced_as: Option<UpdatedAt>,
    /// The time since which it is held.
    pub since: Time,
    /// The command that releases it.
    pub release: String,
}

impl RehearsalSpec {
    /// Returns `within`, or its default.
    #[must_use]
    pub fn within(&self) -> StdDuration {
        self.within.map_or(StdDuration::from_millis(500), Into::into)
    }

    /// Returns `minPrepared` in percent, or its default. A text that is no percentage means all.
    #[must_use]
    pub fn min_prepared(&self) -> u8 {
        let percent = self.min_prepared.as_deref().and_then(|text| text.strip_suffix('%')?.parse().ok());
        percent.filter(|percent| (1..=100).contains(percent)).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omitted_fields_have_their_documented_defaults() {
        let spec: RehearsalSpec = serde_json::from_str("{}").unwrap();
        assert_eq!(
            (spec.mode, spec.within(), spec.min_prepared()),
            (RehearsalMode::BestEffort, StdDuration::from_millis(500), 100)
        );
    }

    #[test]
    fn a_percentage_is_read_and_anything_else_means_all() {
        for (text, percent) in [("80%", 80), ("1%", 1), ("100%", 100), ("0%", 100), ("101%", 100), ("80", 100)] {
            let spec = RehearsalSpec { min_prepared: Some(text.to_owned()), ..RehearsalSpec::default() };
            assert_eq!(spec.min_prepared(), percent, "{text}");
        }
    }
}
