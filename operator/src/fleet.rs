//! The fleet of one workspace: which processes exist, what they run, and whether a publish has reached them all.
//!
//! Pure: reports, pods, and times go in, counts come out. Two rules carry the honesty of the answer:
//!
//! - A report counts only for the publish, fingerprint *and* time, that it names.
//! - Convergence is asked of a *cohort* that is fixed when the publish happens: the processes alive and the pods
//!   running then. A member leaves by draining or with its pod; who starts later shows in the counts alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rototo_api::UpdatedAt;
use rototo_api::fleet::{ProcessState, Report};
use rototo_api::workspace::{FleetMillis, Straggler};

/// How often a process may miss its promised report before it is silent.
const MISSED_REPORTS: u32 = 3;
/// How much later than promised a report may come when a newer process of the same pod has already reported: then the
/// older one most likely ended without a word.
const SUCCESSOR_GRACE: Duration = Duration::from_secs(2);
/// The watch on pods may be this much behind a process that reports.
const POD_WATCH_LAG: Duration = Duration::from_secs(10);
/// Silent and drained processes are shown for a while and then forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// The longest time between two reports of a small fleet; what a recount waits for is three of them.
const REPORT_EVERY: Duration = Duration::from_secs(15);
/// How many reports a second an operator asks of one fleet at most.
const REPORTS_PER_SECOND: u32 = 200;
/// How many stragglers a status names.
const NAMED_STRAGGLERS: usize = 10;

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

#[derive(Debug)]
struct Process {
    pod: Option<PodIdentity>,
    state: ProcessState,
    reason: Option<String>,
    runs: Option<Publish>,
    first_report: Instant,
    last_report: Instant,
    next_report_within: Duration,
    /// When it first said that it had applied the goal.
    applied_goal: Option<Instant>,
}

/// The publish that the fleet is on its way to.
#[derive(Debug)]
struct Goal {
    publish: Publish,
    /// `None` for a publish that another operator process made: who was alive then is not known.
    cohort: Option<Cohort>,
    converged: bool,
}

#[derive(Debug)]
struct Cohort {
    times: PublishTimes,
    processes: BTreeSet<String>,
    /// Pods that ran and had not reported yet.
    pods: BTreeSet<String>,
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

/// What became of a report.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// When the next one is due.
    pub next: Duration,
    /// Whether the counts may have changed by it.
    pub news: bool,
    /// The times of the publish that the process has now applied for the first time.
    pub applied_first: Option<PublishTimes>,
}

/// The fleet at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetView {
    /// How many there should be, where pods carry the label.
    pub expected: Option<u32>,
    /// How many processes have reported and not left.
    pub processes: u32,
    /// How many of them run the publish.
    pub applied: u32,
    /// How many of them refuse it.
    pub rejected: u32,
    /// How many of them are silent.
    pub silent: u32,
    /// Those that don't run the publish, the first ten by name.
    pub behind: Vec<Straggler>,
    /// How far the publish has come.
    pub convergence: Convergence,
    /// Times of a publish that this operator process made.
    pub millis: Option<FleetMillis>,
    /// When the answer changes although nobody reports.
    pub next_change: Option<Instant>,
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
            if applied && process.applied_goal.is_none() {
                applied_first = cohort.map(|cohort| cohort.times);
            }
            process.applied_goal = if applied { process.applied_goal.or(Some(now)) } else { None };
        }
        Taken { next: next_report_within, news, applied_first }
    }

    fn report_every(&self) -> Duration {
        let processes = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        REPORT_EVERY.max(Duration::from_secs(1) * processes / REPORTS_PER_SECOND)
    }

    /// Forgets who left long ago, settles whether the publish has converged, and counts.
    pub fn view(&mut self, pods: &Pods, now: Instant) -> FleetView {
        self.forget(pods, now);
        let convergence = self.converge(pods, now);
        let mut view = FleetView {
            expected: None,
            processes: 0,
            applied: 0,
            rejected: 0,
            silent: 0,
            behind: Vec::new(),
            convergence,
            millis: self.millis(convergence),
            next_change: None,
        };
        let mut heard = BTreeSet::new();
        for (id, process) in &self.processes {
            let presence = self.presence(process, pods, now);
            if presence == Presence::Left {
                continue;
            }
            heard.extend(process.pod_uid());
            view.processes += 1;
            let silent = presence == Presence::Silent;
            if !silent {
                let deadline = process.last_report + self.silent_after(process);
                view.next_change = Some(view.next_change.map_or(deadline, |earlier| earlier.min(deadline)));
            }
            view.silent += u32::from(silent);
            view.applied += u32::from(!silent && process.applied_goal.is_some());
            let refuses = self.goal.as_ref().is_some_and(|goal| process.refuses(&goal.publish));
            view.rejected += u32::from(!silent && refuses);
            if silent || process.applied_goal.is_none() {
                view.behind.push(process.straggler(id, silent));
            }
        }
        let unheard = pods.selected.iter().filter(|(uid, _)| !heard.contains(uid.as_str()));
        let missing: Vec<_> = unheard.map(|(_, name)| straggler(name, "missing", None)).collect();
        if !pods.selected.is_empty() {
            view.expected = Some(view.processes + u32::try_from(missing.len()).unwrap_or(u32::MAX));
        }
        if self.goal.is_some() {
            view.behind.extend(missing);
        } else {
            view.behind.clear();
        }
        view.behind.sort_by(|a, b| a.name.cmp(&b.name));
        view.behind.truncate(NAMED_STRAGGLERS);
        view
    }

    fn forget(&mut self, pods: &Pods, now: Instant) {
        let left: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| {
                let gone = self.presence(process, pods, now) != Presence::Live;
                gone && now.duration_since(process.last_report) > FORGET_AFTER || process.pod_is_gone(pods, now)
            })
            .map(|(id, _)| id.clone())
            .collect();
        if left.is_empty() {
            return;
        }
        for id in left {
            self.processes.remove(&id);
        }
        let pods: BTreeSet<_> = self.processes.values().filter_map(Process::pod_uid).collect();
        self.youngest.retain(|uid, _| pods.contains(uid.as_str()));
    }

    fn converge(&mut self, pods: &Pods, now: Instant) -> Convergence {
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

    fn millis(&self, convergence: Convergence) -> Option<FleetMillis> {
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

    fn presence(&self, process: &Process, pods: &Pods, now: Instant) -> Presence {
        if process.state == ProcessState::Draining || process.pod_is_gone(pods, now) {
            return Presence::Left;
        }
        let quiet = now.saturating_duration_since(process.last_report);
        if quiet < self.silent_after(process) {
            Presence::Live
        } else if self.has_successor(process) {
            Presence::Left
        } else {
            Presence::Silent
        }
    }

    fn silent_after(&self, process: &Process) -> Duration {
        if self.has_successor(process) {
            process.next_report_within + SUCCESSOR_GRACE
        } else {
            process.next_report_within * MISSED_REPORTS
        }
    }

    /// Whether another process of the same pod started later: a container that was restarted, or one of several.
    fn has_successor(&self, process: &Process) -> bool {
        let youngest = process.pod_uid().and_then(|uid| self.youngest.get(uid));
        youngest.is_some_and(|youngest| *youngest > process.first_report)
    }
}

impl Cohort {
    fn has(&self, id: &str, process: &Process) -> bool {
        self.processes.contains(id) || process.pod_uid().is_some_and(|uid| self.pods.contains(uid))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Live,
    Silent,
    Left,
}

impl Process {
    fn pod_uid(&self) -> Option<&str> {
        self.pod.as_ref().map(|pod| pod.uid.as_str())
    }

    fn pod_is_gone(&self, pods: &Pods, now: Instant) -> bool {
        let just_started = now.saturating_duration_since(self.first_report) < POD_WATCH_LAG;
        !just_started && self.pod_uid().is_some_and(|uid| !pods.running.contains(uid))
    }

    /// A process whose verification is old still runs what it names.
    fn has_applied(&self, publish: &Publish) -> bool {
        matches!(self.state, ProcessState::Applied | ProcessState::Stale) && self.runs.as_ref() == Some(publish)
    }

    /// Refusing an older publish says nothing about this one.
    fn refuses(&self, publish: &Publish) -> bool {
        self.state == ProcessState::Rejected && self.runs.as_ref() == Some(publish)
    }

    fn straggler(&self, id: &str, silent: bool) -> Straggler {
        let name = self.pod.as_ref().map_or(id, |pod| &pod.name);
        let state = if silent { ProcessState::Silent } else { self.state };
        // One that has applied an older publish has not said a word about this one yet.
        let state = if state == ProcessState::Applied { ProcessState::Pending } else { state };
        straggler(name, state_name(state), self.reason.clone())
    }
}

fn straggler(name: &str, state: &str, reason: Option<String>) -> Straggler {
    Straggler { name: name.to_owned(), state: state.to_owned(), reason }
}

/// The state as it stands in reports and in status.
#[must_use]
pub fn state_name(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Starting => "starting",
        ProcessState::Pending => "pending",
        ProcessState::Applied => "applied",
        ProcessState::Rejected => "rejected",
        ProcessState::Stale => "stale",
        ProcessState::Orphaned => "orphaned",
        ProcessState::Draining => "draining",
        ProcessState::Silent => "silent",
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

#[cfg(test)]
mod tests;
