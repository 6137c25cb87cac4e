//! The fleet of one workspace: which processes exist, what they run, and whether a publish has reached them all.
//!
//! Pure: reports, pods, and times go in, counts come out. Two rules carry the honesty of the answer:
//!
//! - A report counts only for the publish, fingerprint *and* time, that it names.
//! - Convergence is asked of a *cohort* that is fixed when the publish happens: the processes alive and the pods
//!   running then. A member leaves by draining or with its pod; who starts later shows in the counts alone.

mod convergence;
mod process;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rototo_api::UpdatedAt;
use rototo_api::fleet::Report;

use convergence::{Cohort, Goal};
use process::{Presence, Process};

pub use convergence::Convergence;
pub use process::state_name;
pub use view::FleetView;

/// The longest time between two reports of a small fleet; what a recount waits for is three of them.
const REPORT_EVERY: Duration = Duration::from_secs(15);
/// How long one process more lets a fleet take to tell of a change; below `SHORT` and above `LONG` in all it makes no
/// difference. That is a quarter of the second in which a change should converge, so that none is called late for it.
const SPREAD: Duration = Duration::from_micros(500);
const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_millis(250);
/// How many reports a second an operator asks of one fleet at most.
const REPORTS_PER_SECOND: u32 = 200;

/// What should run: the content and the name of its publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The fingerprint, as the marker has it.
    pub fingerprint: String,
    /// The name of the publish, as the marker has it.
    pub updated_at: UpdatedAt,
}

/// When the steps towards one publish were done, on this process's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishTimes {
    /// The source answered with a commit that was not known before.
    pub detected: Instant,
    /// Its files had been read.
    pub fetched: Instant,
    /// Lint was through.
    pub linted: Instant,
    /// The API server had accepted the marker.
    pub published: Instant,
}

/// Where a process runs, as its verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// The pod's name.
    pub name: String,
    /// The pod's UID, which a pod of the same name does not share.
    pub uid: String,
}

/// The pods of the workspace's namespace that run and are not about to end.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    /// The UIDs of all of them.
    pub running: BTreeSet<String>,
    /// UID and name of those that should follow the workspace.
    pub selected: BTreeMap<String, String>,
}

/// What is known of the processes of one workspace.
#[derive(Debug)]
pub struct Fleet {
    processes: BTreeMap<String, Process>,
    /// By pod UID, when the youngest of its processes reported first.
    youngest: BTreeMap<String, Instant>,
    goal: Option<Goal>,
    since: Instant,
}

/// What became of a report.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// When the next one is due.
    pub next: Duration,
    /// Within which time of applying the next change to report it.
    pub applied_within: Duration,
    /// Whether the counts may have changed by it.
    pub news: bool,
    /// The times of the publish that the process has now applied for the first time, and when it did.
    pub applied_first: Option<(PublishTimes, Instant)>,
}

impl Fleet {
    /// A fleet that nothing is known of yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { processes: BTreeMap::new(), youngest: BTreeMap::new(), goal: None, since: now }
    }

    /// A publish that this process made: fixes its cohort.
    pub fn published(&mut self, publish: Publish, times: PublishTimes, pods: &Pods, now: Instant) {
        let live = |process: &&Process| self.presence(process, pods, now) == Presence::Live;
        let heard: BTreeSet<_> = self.processes.values().filter(live).filter_map(Process::pod_uid).collect();
        let pods_unheard = pods.selected.keys().filter(|uid| !heard.contains(uid.as_str())).cloned().collect();
        let processes = self.processes.iter().filter(|(_, process)| live(process)).map(|(id, _)| id.clone()).collect();
        let cohort = Cohort { times, processes, pods: pods_unheard };
        self.aim(Goal { publish, cohort: Some(cohort), converged: false }, now);
    }

    /// A publish that the marker names and that another operator process made. Known ones change nothing.
    pub fn recount(&mut self, publish: Publish, now: Instant) {
        if self.goal.as_ref().is_none_or(|goal| goal.publish != publish) {
            self.aim(Goal { publish, cohort: None, converged: false }, now);
        }
    }

    /// What live processes run, or say so.
    pub fn running(&self) -> impl Iterator<Item = &str> {
        self.processes.values().filter_map(|process| process.runs.as_ref()).map(|runs| runs.fingerprint.as_str())
    }

    /// Nothing is published any more.
    pub fn unpublished(&mut self) {
        self.goal = None;
    }

    fn aim(&mut self, goal: Goal, now: Instant) {
        for process in self.processes.values_mut() {
            // A process can be faster with its report than the API server's answer to the operator's patch.
            process.applied_goal = process.has_applied(&goal.publish).then_some(now);
        }
        self.since = now;
        self.goal = Some(goal);
    }

    /// Takes a report. `jitter` lies between 0 and 1.
    pub fn report(&mut self, report: &Report, pod: Option<PodIdentity>, now: Instant, jitter: f64) -> Taken {
        let runs = report.fingerprint.clone().zip(report.updated_at);
        let runs = runs.map(|(fingerprint, updated_at)| Publish { fingerprint, updated_at });
        let next_report_within = self.report_every().mul_f64(0.8 + 0.2 * jitter.clamp(0.0, 1.0));
        let mut news = !self.processes.contains_key(&report.process);
        let process = self.processes.entry(report.process.clone()).or_insert_with(|| Process {
            pod: None,
            state: report.state,
            reason: None,
            runs: None,
            first_report: now,
            last_report: now,
            next_report_within,
            applied_goal: None,
        });
        if let Some(pod) = &pod {
            let youngest = self.youngest.entry(pod.uid.clone()).or_insert(process.first_report);
            *youngest = process.first_report.max(*youngest);
        }
        news |= process.state != report.state || process.reason != report.reason || process.runs != runs;
        // One that was counted as silent is back.
        news |= now.saturating_duration_since(process.last_report) >= process.next_report_within;
        process.pod = pod;
        process.state = report.state;
        process.reason.clone_from(&report.reason);
        process.runs = runs;
        process.last_report = now;
        process.next_report_within = next_report_within;
        let mut applied_first = None;
        if let Some(goal) = &self.goal {
            let applied = process.has_applied(&goal.publish);
            let cohort = goal.cohort.as_ref().filter(|cohort| cohort.has(&report.process, process));
            // Nobody has applied it before it was published.
            let at = now.checked_sub(Duration::from_millis(report.applied_ms_ago.unwrap_or(0))).unwrap_or(self.since);
            let at = at.max(self.since).min(now);
            if applied && process.applied_goal.is_none() {
                applied_first = cohort.map(|cohort| (cohort.times, at));
            }
            process.applied_goal = if applied { process.applied_goal.or(Some(at)) } else { None };
        }
        Taken { next: next_report_within, applied_within: self.applied_within(), news, applied_first }
    }

    /// What it takes to hear from all, at most: so the processors of a machine, and the operator's, first apply a
    /// change everywhere, and nobody waits long to hear that it has.
    fn applied_within(&self) -> Duration {
        let processes = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        let spread = SPREAD.saturating_mul(processes);
        if spread < SHORT { Duration::ZERO } else { spread.min(LONG) }
    }

    fn report_every(&self) -> Duration {
        let processes = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        REPORT_EVERY.max(Duration::from_secs(1) * processes / REPORTS_PER_SECOND)
    }
}
