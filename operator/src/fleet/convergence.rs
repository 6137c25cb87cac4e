//! Whether a publish has reached everybody who was there when it was made, and how long that took.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rototo_api::workspace::FleetMillis;

use super::process::{MISSED_REPORTS, Presence, Process};
use super::{Fleet, Pods, Publish, PublishTimes, REPORT_EVERY};

/// The publish that the fleet is on its way to.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) publish: Publish,
    /// `None` for a publish that another operator process made: who was alive then is not known.
    pub(super) cohort: Option<Cohort>,
    pub(super) converged: bool,
}

#[derive(Debug)]
pub(super) struct Cohort {
    pub(super) times: PublishTimes,
    pub(super) processes: BTreeSet<String>,
    /// Pods that ran and had not reported yet.
    pub(super) pods: BTreeSet<String>,
}

/// How far the publish has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convergence {
    /// Nothing is published, or nobody follows the workspace.
    Nobody,
    /// This operator process has started since the publish and has not heard from everybody yet.
    Recounting,
    /// Somebody has not applied it yet. The time since it was published, where that is known.
    Progressing(Option<Duration>),
    /// Somebody refuses it.
    Rejected,
    /// Everybody in the cohort has applied it.
    Converged,
}

impl Fleet {
    pub(super) fn converge(&mut self, pods: &Pods, now: Instant) -> Convergence {
        let Some(goal) = &self.goal else { return Convergence::Nobody };
        if goal.converged {
            return Convergence::Converged;
        }
        let convergence = match &goal.cohort {
            Some(cohort) => self.cohort_convergence(goal, cohort, pods, now),
            None => self.recount_convergence(goal, pods, now),
        };
        if let (Convergence::Converged, Some(goal)) = (convergence, &mut self.goal) {
            goal.converged = true;
        }
        convergence
    }

    fn cohort_convergence(&self, goal: &Goal, cohort: &Cohort, pods: &Pods, now: Instant) -> Convergence {
        if cohort.processes.is_empty() && cohort.pods.is_empty() {
            return Convergence::Nobody;
        }
        let members = cohort.processes.iter().filter_map(|id| self.processes.get(id));
        let members = members.filter(|process| self.presence(process, pods, now) != Presence::Left);
        let waiting: Vec<_> = members.filter(|process| process.applied_goal.is_none()).collect();
        let applied = self.processes.values().filter(|process| process.applied_goal.is_some());
        let applied: BTreeSet<_> = applied.filter_map(Process::pod_uid).collect();
        let mut pods_waiting = cohort.pods.iter().filter(|uid| pods.selected.contains_key(*uid));
        if waiting.iter().any(|process| process.refuses(&goal.publish)) {
            Convergence::Rejected
        } else if waiting.is_empty() && pods_waiting.all(|uid| applied.contains(uid.as_str())) {
            Convergence::Converged
        } else {
            Convergence::Progressing(Some(now.duration_since(cohort.times.published)))
        }
    }

    fn recount_convergence(&self, goal: &Goal, pods: &Pods, now: Instant) -> Convergence {
        let present = || self.processes.values().filter(|process| self.presence(process, pods, now) != Presence::Left);
        let heard: BTreeSet<_> = present().filter_map(Process::pod_uid).collect();
        let all_heard = pods.selected.keys().all(|uid| heard.contains(uid.as_str()));
        let waited = now.duration_since(self.since) >= REPORT_EVERY * MISSED_REPORTS;
        let counted = waited || all_heard && !pods.selected.is_empty();
        if present().any(|process| process.refuses(&goal.publish)) {
            Convergence::Rejected
        } else if counted && all_heard && present().all(|process| process.applied_goal.is_some()) {
            if present().next().is_none() { Convergence::Nobody } else { Convergence::Converged }
        } else if waited {
            Convergence::Progressing(None)
        } else {
            Convergence::Recounting
        }
    }

    pub(super) fn millis(&self, convergence: Convergence) -> Option<FleetMillis> {
        let cohort = self.goal.as_ref()?.cohort.as_ref()?;
        let since = |time: Instant| millis(time.saturating_duration_since(cohort.times.detected));
        let members = self.processes.iter().filter(|(id, process)| cohort.has(id, process));
        let mut applied: Vec<_> = members.filter_map(|(_, process)| process.applied_goal).map(since).collect();
        applied.sort_unstable();
        let all = (convergence == Convergence::Converged).then(|| applied.last().copied()).flatten();
        Some(FleetMillis {
            fetched: since(cohort.times.fetched),
            linted: since(cohort.times.linted),
            published: since(cohort.times.published),
            first: applied.first().copied(),
            // Percentiles of those that have applied it say something about the fleet only when all have.
            p50: all.and(percentile(&applied, 50)),
            p99: all.and(percentile(&applied, 99)),
            all,
        })
    }
}

impl Cohort {
    pub(super) fn has(&self, id: &str, process: &Process) -> bool {
        self.processes.contains(id) || process.pod_uid().is_some_and(|uid| self.pods.contains(uid))
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
