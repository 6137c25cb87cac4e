//! The past: the processes and pods that a publish had to reach, and the time that it took.
//!
//! The cohort is everyone who was known when the patch was sent or when its acceptance was learned. The figure is fixed
//! the first time that all members have applied the publish. A member that leaves before it has applied the publish
//! leaves no figure at all: the publish has not reached everybody who was there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::process::{Liveness, ProcessId};
use super::{Fleet, Moment};

/// The times at which the steps of one publish were done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishTimes {
    /// The time at which this operator process first got an answer that names the commit.
    pub detected: Moment,
    /// The time at which its files had been read.
    pub fetched: Moment,
    /// The time at which lint ended.
    pub linted: Moment,
    /// The time at which the API server had accepted the marker.
    pub published: Moment,
}

/// The time from the detection of a change to each step of its publish, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Millis {
    /// Until the files had been read.
    pub fetched: u64,
    /// Until lint ended.
    pub linted: u64,
    /// Until the API server had accepted the marker.
    pub published: u64,
    /// Until the first of the cohort had applied it.
    pub first: Option<u64>,
    /// Until half of the cohort had applied it.
    pub p50: Option<u64>,
    /// Until 99 of 100 had applied it.
    pub p99: Option<u64>,
    /// Until all had applied it. Absent before that, and where a member was lost.
    pub all: Option<u64>,
}

/// A member of a cohort.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Member {
    /// A process that had reported.
    Process(ProcessId),
    /// A pod that ran and of which no process had reported, by UID.
    Pod(String),
}

/// The members of one publish, with the times at which they applied it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cohort {
    times: PublishTimes,
    /// Each member, and the time at which it applied the publish.
    members: BTreeMap<Member, Option<Moment>>,
    outcome: CohortOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CohortOutcome {
    /// Some members have not applied the publish yet.
    Open,
    /// All members have applied it, and it took this long.
    Reached(Millis),
    /// A member left before it had applied it, or the operator did not see the publish to its end.
    Lost,
}

impl Cohort {
    pub(super) fn of(times: PublishTimes, members: BTreeMap<Member, Option<Moment>>) -> Self {
        Self { times, members, outcome: CohortOutcome::Open }
    }

    pub(super) fn published(&self) -> Moment {
        self.times.published
    }

    /// Gives up the figure, because this operator does not see the publish to its end.
    pub(super) fn lose(&mut self) {
        if self.outcome == CohortOutcome::Open {
            self.outcome = CohortOutcome::Lost;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.outcome == CohortOutcome::Open
    }

    /// Returns whether a pod was there at the publish, had not reported then, and has not applied the publish since.
    pub(super) fn waits_for_pod(&self, uid: &str) -> bool {
        self.members.get(&Member::Pod(uid.to_owned())).is_some_and(Option::is_none)
    }

    /// Makes a process a member that had the workspace open at the publish and reports for the first time during a recount.
    pub(super) fn admit(&mut self, id: &ProcessId) {
        if self.is_open() {
            self.members.entry(Member::Process(id.clone())).or_default();
        }
    }

    /// Notes that a process applied the publish `at`. Returns the time since detection if the process is a member and
    /// had not applied it before. A process becomes a member if it followed then and its pod is a member that
    /// had not reported then.
    pub(super) fn applied(&mut self, id: &ProcessId, was_there: Option<bool>, at: Moment) -> Option<Duration> {
        let pod = id.pod.clone().map(Member::Pod);
        if was_there != Some(false) && pod.is_some_and(|pod| self.members.contains_key(&pod)) {
            self.admit(id);
        }
        let member = self.members.get_mut(&Member::Process(id.clone()))?;
        if self.outcome != CohortOutcome::Open || member.is_some() {
            return None;
        }
        *member = Some(at);
        Some(at.saturating_sub(self.times.detected))
    }

    /// Returns the time from detection until each process of the cohort applied the publish, in milliseconds, sorted.
    fn applied_millis(&self) -> Vec<u64> {
        let applied = self.members.iter().filter(|(member, _)| matches!(member, Member::Process(_)));
        let applied = applied.filter_map(|(_, at)| *at).map(|at| millis(at.saturating_sub(self.times.detected)));
        let mut applied: Vec<u64> = applied.collect();
        applied.sort_unstable();
        applied
    }

    /// Returns the figures of a publish that has not reached everyone.
    fn begun(&self) -> Millis {
        let since = |time: Moment| millis(time.saturating_sub(self.times.detected));
        let (fetched, linted, published) =
            (since(self.times.fetched), since(self.times.linted), since(self.times.published));
        Millis { fetched, linted, published, first: self.applied_millis().first().copied(), ..Millis::default() }
    }

    /// Returns the figures of a publish that everyone has applied. Only then do percentiles describe the fleet.
    fn reached(&self) -> Millis {
        let applied = self.applied_millis();
        let last = self.members.values().flatten().max().map(|at| millis(at.saturating_sub(self.times.detected)));
        Millis { p50: percentile(&applied, 50), p99: percentile(&applied, 99), all: last, ..self.begun() }
    }
}

impl Fleet {
    /// Returns everyone who is known now: each process that has not left, and each running pod of which no process has
    /// reported.
    pub(super) fn members(&self, now: Moment) -> BTreeMap<Member, Option<Moment>> {
        let present = self.processes.iter().filter(|(id, process)| self.liveness(id, process, now).counts());
        let processes = present.map(|(id, _)| Member::Process(id.clone()));
        let pods = self.unreported(now).into_iter().map(|(uid, _)| Member::Pod(uid.to_owned()));
        processes.chain(pods).map(|member| (member, None)).collect()
    }

    /// Notes which members have applied the publish, which are lost, and whether the publish has reached all.
    pub(super) fn settle_cohort(&mut self, now: Moment) {
        let Some(mut cohort) = self.goal.as_mut().and_then(|goal| goal.cohort.take()) else { return };
        self.settle_members(&mut cohort, now);
        if let Some(goal) = &mut self.goal {
            goal.cohort = Some(cohort);
        }
    }

    fn settle_members(&self, cohort: &mut Cohort, now: Moment) {
        let mut lost = false;
        for (member, applied) in cohort.members.iter_mut().filter(|(_, applied)| applied.is_none()) {
            match member {
                Member::Process(id) => match self.processes.get(id) {
                    Some(process) => {
                        *applied = process.applied;
                        lost |= applied.is_none() && !self.liveness(id, process, now).counts();
                    }
                    None => lost = true,
                },
                Member::Pod(uid) => {
                    *applied = self.pod_applied(uid, now);
                    lost |= applied.is_none() && !self.pods.get(uid).is_some_and(super::Pod::runs);
                }
            }
        }
        if !cohort.is_open() {
            return;
        }
        if lost {
            cohort.outcome = CohortOutcome::Lost;
        } else if !self.recounting && !cohort.members.is_empty() && cohort.members.values().all(Option::is_some) {
            cohort.outcome = CohortOutcome::Reached(cohort.reached());
        }
    }

    /// Returns the time at which a pod had applied the goal: at least one process of it is known, and all known ones
    /// have applied it.
    fn pod_applied(&self, uid: &str, now: Moment) -> Option<Moment> {
        let known = self.of_pod(Some(uid)).filter(|(id, process)| self.liveness(id, process, now) != Liveness::Left);
        let applied: Option<Vec<Moment>> = known.map(|(_, process)| process.applied).collect();
        applied?.into_iter().max()
    }

    pub(super) fn millis(&self) -> Option<Millis> {
        let cohort = self.goal.as_ref()?.cohort.as_ref()?;
        Some(match cohort.outcome {
            CohortOutcome::Reached(millis) => millis,
            CohortOutcome::Open | CohortOutcome::Lost => cohort.begun(),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the smallest value that at least `percent` of 100 values do not exceed (nearest rank).
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}
