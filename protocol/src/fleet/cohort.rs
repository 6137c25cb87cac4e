//! The processes that a publish had to reach, and how long it took.
//!
//! The cohort is everyone who was known when the patch was sent or when its acceptance was learned. The figure is frozen the
//! first time that all of them have applied the publish. A member that left before it had leaves no figure at all: then
//! the publish has not reached everybody who was there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::process::{Liveness, ProcessId};
use super::{Fleet, Moment};

/// When the steps towards one publish were done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublishTimes {
    /// This operator process first got an answer that names the commit.
    pub detected: Moment,
    /// Its files had been read.
    pub fetched: Moment,
    /// Lint was through.
    pub linted: Moment,
    /// The API server had accepted the marker.
    pub published: Moment,
}

/// Milliseconds since the change was detected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Millis {
    /// Until the files had been read.
    pub fetched: u64,
    /// Until lint was through.
    pub linted: u64,
    /// Until the API server had accepted the marker.
    pub published: u64,
    /// Until the first of the cohort had applied it.
    pub first: Option<u64>,
    /// Until half of the cohort had.
    pub p50: Option<u64>,
    /// Until 99 of 100 had.
    pub p99: Option<u64>,
    /// Until all had. Absent before that, and where a member was lost.
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

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cohort {
    times: PublishTimes,
    /// Each member, and when it had applied the publish.
    members: BTreeMap<Member, Option<Moment>>,
    outcome: CohortOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CohortOutcome {
    /// Some have not applied it yet.
    Open,
    /// All have, and this is how long it took.
    Reached(Millis),
    /// A member left before it had, or the operator did not see it all.
    Lost,
}

impl Cohort {
    pub(super) fn of(times: PublishTimes, members: BTreeMap<Member, Option<Moment>>) -> Self {
        Self { times, members, outcome: CohortOutcome::Open }
    }

    pub(super) fn published(&self) -> Moment {
        self.times.published
    }

    /// There will be no figure: this operator has not seen it all.
    pub(super) fn lose(&mut self) {
        if self.outcome == CohortOutcome::Open {
            self.outcome = CohortOutcome::Lost;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.outcome == CohortOutcome::Open
    }

    /// Returns whether a pod was there at the publish, had not reported, and has not applied it since.
    pub(super) fn waits_for_pod(&self, uid: &str) -> bool {
        self.members.get(&Member::Pod(uid.to_owned())).is_some_and(Option::is_none)
    }

    /// A process that reports first during a recount, and existed at the publish, is a member.
    pub(super) fn admit(&mut self, id: &ProcessId) {
        if self.is_open() {
            self.members.entry(Member::Process(id.clone())).or_default();
        }
    }

    /// Notes that a process applied the publish `at`, and gives the time since detection if it is of the cohort. One of a
    /// pod that is a member, and had not reported at the publish, is one if it existed then.
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

    /// When each process of the cohort had applied the publish, in milliseconds since detection, the first in front.
    fn applied_millis(&self) -> Vec<u64> {
        let applied = self.members.iter().filter(|(member, _)| matches!(member, Member::Process(_)));
        let applied = applied.filter_map(|(_, at)| *at).map(|at| millis(at.saturating_sub(self.times.detected)));
        let mut applied: Vec<u64> = applied.collect();
        applied.sort_unstable();
        applied
    }

    /// The figures of a publish that has not reached everyone.
    fn begun(&self) -> Millis {
        let since = |time: Moment| millis(time.saturating_sub(self.times.detected));
        let (fetched, linted, published) =
            (since(self.times.fetched), since(self.times.linted), since(self.times.published));
        Millis { fetched, linted, published, first: self.applied_millis().first().copied(), ..Millis::default() }
    }

    /// The figures of a publish that everyone has applied. Percentiles say something about a fleet only then.
    fn reached(&self) -> Millis {
        let applied = self.applied_millis();
        let last = self.members.values().flatten().max().map(|at| millis(at.saturating_sub(self.times.detected)));
        Millis { p50: percentile(&applied, 50), p99: percentile(&applied, 99), all: last, ..self.begun() }
    }
}

impl Fleet {
    /// Everyone who is known now: each process that has not left, and each pod that runs and has not been heard of.
    pub(super) fn members(&self, now: Moment) -> BTreeMap<Member, Option<Moment>> {
        let present = self.processes.iter().filter(|(id, process)| self.liveness(id, process, now).counts());
        let processes = present.map(|(id, _)| Member::Process(id.clone()));
        let pods = self.unreported(now).into_iter().map(|(uid, _)| Member::Pod(uid.to_owned()));
        processes.chain(pods).map(|member| (member, None)).collect()
    }

    /// Notes who of the cohort has applied the publish, who was lost, and whether that is all.
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

    /// When a pod had applied the goal: every process that is known in it has, and one at least.
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

/// The value that at least `percent` of 100 don't exceed (nearest rank).
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}
