//! The stage of a rollout: which processes should run the announced publish already, and whether they do.
//!
//! A process is in the stage if its pod is, and if it prepares announced publishes: one that does not know them, or that
//! is bound to no pod, stays on what is published. Process and operator compute the same.

use jiff::Timestamp;
use rototo_api::convergence::Straggler;
use rototo_api::fleet::ProcessState;
use rototo_api::marker::Stage;

use super::cohort::Cohort;
use super::pods::{Pod, PodObjectState};
use super::process::{Liveness, Process, ProcessId};
use super::{Fleet, Moment};
use crate::rollout::StageFacts;
use crate::stage::{includes, pod_hash};
use crate::{Marked, Publish};

/// The number of processes or pods that a view of a stage names.
const NAMED: usize = 10;

/// The counts of both sides of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageCounts {
    /// The processes that should run what is published.
    pub stable: StageCount,
    /// The processes that should run what is announced.
    pub next: StageCount,
}

/// The counts of one side of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageCount {
    /// The number of processes, and of pods that should have reported.
    pub intended: u32,
    /// The number of those that run it.
    pub applied: u32,
}

/// Returns the publish that a process should run, by what the marker says.
pub(super) fn intended(marked: &Marked, id: &ProcessId, process: &Process) -> Publish {
    match (marked.next, marked.stage) {
        (Some(next), Some(stage))
            if process.last_report.prepares && includes(&stage, next.fingerprint, id.pod.as_deref()) =>
        {
            next
        }
        _ => marked.publish,
    }
}

impl Fleet {
    /// Returns what the marker says, as far as the fleet is concerned.
    pub(super) fn marked(&self) -> Option<Marked> {
        let goal = self.goal.as_ref()?;
        let stage = self.rehearsal.as_ref().and_then(|rehearsal| rehearsal.stage);
        Some(Marked { next: self.announced_publish(), stage, ..goal.publish.into() })
    }

    /// Records that the marker names this stage of the announced publish, or none. Each process is counted against what
    /// it should run now.
    pub fn staged(&mut self, stage: Option<Stage>, now: Moment) {
        let Some(rehearsal) = &mut self.rehearsal else { return };
        let changes = rehearsal.stage != stage;
        rehearsal.stage = stage;
        if changes || stage.is_some() {
            // It can't reach everybody, also if it was put back beside the stage.
            self.goal.as_mut().and_then(|goal| goal.cohort.as_mut()).into_iter().for_each(Cohort::lose);
        }
        if changes {
            self.recount_applied(now);
        }
    }

    /// Returns whether a part of the fleet should run the announced publish.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        self.rehearsal.as_ref().is_some_and(|rehearsal| rehearsal.stage.is_some())
    }

    /// Counts each process against what it should run.
    pub(super) fn recount_applied(&mut self, now: Moment) {
        let Some(marked) = self.marked() else { return };
        for (id, process) in &mut self.processes {
            if !process.runs(&intended(&marked, id, process)) {
                process.applied = None;
                process.behind_since = now;
            } else if process.applied.is_none() {
                process.applied = Some(now);
            }
        }
    }

    /// Returns the observations about a stage of the announced publish since its step began, for the decision about the
    /// next one. The stage is that of the marker on which the decision is based, which may be newer than the last one that
    /// the fleet was counted against.
    #[must_use]
    pub fn stage_facts(&self, stage: Option<Stage>, now: Moment) -> StageFacts {
        let Some(marked) = self.marked().map(|marked| Marked { stage, ..marked }) else { return StageFacts::default() };
        let Some(next) = marked.next else { return StageFacts::default() };
        let mut pods: Vec<u64> = self.able_pods(now).map(|(uid, _)| pod_hash(next.fingerprint, uid)).collect();
        pods.sort_unstable();
        let incomplete = self.recounting || self.pods.incomplete;
        let unstaged = StageFacts { pods, incomplete, ..StageFacts::default() };
        let Some(stage) = stage else { return unstaged };
        let (mut applied, mut behind, mut refused) = (false, incomplete, Vec::new());
        let (mut degraded, mut others_behind, mut occupied) = (Vec::new(), incomplete, false);
        for (id, process) in &self.processes {
            let liveness = self.liveness(id, process, now);
            if !liveness.counts() || intended(&marked, id, process) != next {
                continue;
            }
            occupied = true;
            if process.refuses(&next) {
                refused.push(Straggler::process(
                    process.name(id),
                    ProcessState::Rejected,
                    process.last_report.reason.as_deref(),
                ));
            }
            if let Some(reason) = process.degraded_by(&next) {
                degraded.push(Straggler::degraded(process.name(id).to_owned(), reason));
            }
            let runs = process.runs(&next) && liveness == Liveness::Live;
            applied |= runs;
            behind |= !runs;
            others_behind |= !runs && !process.refuses(&next);
        }
        let unreported = self.unreported(now).iter().any(|(uid, _)| includes(&stage, next.fingerprint, Some(uid)));
        let others_converged = !others_behind && !unreported && (applied || !refused.is_empty());
        behind |= unreported;
        for named in [&mut refused, &mut degraded] {
            named.sort_by(|a, b| a.name.cmp(&b.name));
            named.truncate(NAMED);
        }
        let restarted = self.restarted_since(&stage, next, stage.since);
        StageFacts {
            converged: applied && !behind,
            others_converged,
            refused,
            degraded,
            restarted,
            occupied,
            ..unstaged
        }
    }

    /// Returns the pods that can be in a stage. A pod all of whose processes are of clients that can't is left out. One that
    /// has not reported counts.
    fn able_pods(&self, now: Moment) -> impl Iterator<Item = (&str, &Pod)> {
        let able = move |uid: &str| {
            let mut counted = self.of_pod(Some(uid)).filter(|(id, process)| self.liveness(id, process, now).counts());
            let first = counted.next();
            first.is_none_or(|(_, process)| {
                process.last_report.prepares || counted.any(|(_, process)| process.last_report.prepares)
            })
        };
        self.pods.expected().filter(move |(uid, _)| able(uid))
    }

    /// Returns the names of the pods of the stage, sorted.
    #[must_use]
    pub fn stage_pods(&self, now: Moment) -> Vec<String> {
        let staged = self.marked().and_then(|marked| marked.next.zip(marked.stage));
        let Some((next, stage)) = staged else { return Vec::new() };
        let members = self.able_pods(now).filter(|(uid, _)| includes(&stage, next.fingerprint, Some(uid)));
        let mut names: Vec<String> = members.map(|(_, pod)| pod.name.clone()).collect();
        names.sort();
        names
    }

    /// Returns the names of the pods of the stage in which a container ended since a time, by the clock of the node.
    fn restarted_since(&self, stage: &Stage, next: Publish, since: Timestamp) -> Vec<String> {
        // The kubelet tells the time of an end in whole seconds. One within the second in which the step began counts.
        let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
        // A pod that is deleted ends by somebody's will.
        let lives = |pod: &Pod| !pod.terminating && !matches!(pod.object_state, PodObjectState::Vanished { .. });
        let members = self
            .pods
            .by_uid
            .iter()
            .filter(|(uid, pod)| pod.selected && lives(pod) && includes(stage, next.fingerprint, Some(uid)));
        // The container need not run again: it may be in backoff.
        let ended = members.filter(|(_, pod)| {
            let ends = pod.containers.iter().filter(|container| container.expected);
            ends.filter_map(|container| container.ended).any(|end| end.at >= since)
        });
        let mut names: Vec<String> = ended.map(|(_, pod)| pod.name.clone()).collect();
        names.sort();
        names.truncate(NAMED);
        names
    }

    /// Returns the counts of both sides of the rollout.
    #[must_use]
    pub fn stage_counts(&self, now: Moment) -> StageCounts {
        let Some(marked) = self.marked() else { return StageCounts::default() };
        let mut counts = StageCounts::default();
        for (id, process) in &self.processes {
            let liveness = self.liveness(id, process, now);
            if !liveness.counts() {
                continue;
            }
            let staged = marked.next == Some(intended(&marked, id, process));
            let side = if staged { &mut counts.next } else { &mut counts.stable };
            side.intended += 1;
            side.applied += u32::from(process.applied.is_some() && liveness == Liveness::Live);
        }
        for (uid, _) in self.unreported(now) {
            let staged = marked.next.zip(marked.stage);
            let staged = staged.is_some_and(|(next, stage)| includes(&stage, next.fingerprint, Some(uid)));
            let side = if staged { &mut counts.next } else { &mut counts.stable };
            side.intended += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests;
