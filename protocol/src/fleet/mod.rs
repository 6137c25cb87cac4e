//! The fleet of one workspace: from evidence to the answer whether a publish runs everywhere.
//!
//! Evidence goes in as events: reports of processes, pods by the state of their containers, publishes that the API server
//! accepted, and times when the operator could not hear. The answer, the figures, and the time of the next change come
//! out. Nothing is remembered but evidence: the answer is computed from it whenever somebody asks, so that it can turn
//! back. `docs/convergence.md` defines what it means.
//!
//! - `process`: one process, its last word, and whether it still counts.
//! - [`pods`]: pods by containers, and the ends that the kubelet has seen.
//! - `verdict`: the present tense, *every process that counts runs the publish*.
//! - `cohort`: the past tense, *it took so long to reach those who were there*.
//! - `view`: both, and who is behind, for status and metrics.

mod cohort;
#[cfg(test)]
mod histories;
pub mod pods;
mod process;
#[cfg(test)]
mod tests;
mod verdict;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use rototo_api::UpdatedAt;
use rototo_api::fleet::{Pid, ProcessState, Report, SiblingState as Testified};

use crate::Publish;
use crate::windows::Windows;

use cohort::{Cohort, Member};
use process::{LastReport, Liveness, Process};

pub use cohort::{Millis, PublishTimes};
pub use pods::{Container, ContainerEnd, Pod, PodObjectState, Pods};
pub use process::ProcessId;
pub use verdict::Verdict;
pub use view::FleetView;

/// A moment: the time since the operator process started, by its monotonic clock.
pub type Moment = Duration;

/// Each process beyond the first lets a fleet take so much longer to tell of a change; below `MIN_REPORT_SPREAD` and above `MAX_REPORT_SPREAD` in
/// all it makes no difference. `MAX_REPORT_SPREAD` is a quarter of the second in which a change should converge, so that none is
/// called late for it.
const REPORT_SPREAD_PER_PROCESS: Duration = Duration::from_micros(500);
const MIN_REPORT_SPREAD: Duration = Duration::from_millis(10);
const MAX_REPORT_SPREAD: Duration = Duration::from_millis(250);
/// A process is asked about so many silent siblings at a time.
const ASKED_AT_ONCE: usize = 8;
/// So many processes of one pod are counted. A pod has a few workers; more are a fault or an attack of that pod.
pub const PROCESSES_PER_POD: usize = 32;

/// A pod, as a verified token names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// The pod's name.
    pub name: String,
    /// The pod's UID, which a pod of the same name does not share.
    pub uid: String,
}

/// All that is known of the processes of one workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fleet {
    min_heartbeat: Duration,
    processes: BTreeMap<ProcessId, Process>,
    pods: Pods,
    goal: Option<Goal>,
    /// Since when this operator hears whoever reports.
    listening_since: Moment,
    /// True while it claims nothing, because a process may exist that has not reported.
    recounting: bool,
    /// The number of processes that an earlier operator counted, of which nothing else is known. Zero once they are waited for no
    /// longer.
    counted_before: usize,
    /// When this operator began to listen, and how long before that those processes were counted.
    began: Moment,
    counted_ago: Duration,
    /// The number of processes that have reported and existed when the earlier operator counted.
    recounted: usize,
    /// The number of processes before a lapse: with those of an earlier operator they set the length of the recount.
    known_before: usize,
    /// When a report was turned away last, whoever sent it.
    turned_away: Moment,
    /// The number of processes that were dropped since the goal was published.
    dropped: u32,
    /// The newest publish that a process reported and that is later than the goal.
    unknown_publish: Option<UpdatedAt>,
    /// The last one that was dealt with, and when.
    dealt_with: Option<(UpdatedAt, Moment)>,
}

/// The evidence about a fleet when its workspace is first reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetStart {
    /// The workspace is new, and was never published: nobody can run anything of it.
    New,
    /// It was published before, and status says how many processes an earlier operator counted.
    Known {
        /// The number of processes.
        processes: usize,
        /// The time since the count.
        counted_ago: Duration,
    },
}

/// The publish that the fleet is on its way to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Goal {
    publish: Publish,
    /// When it became the goal.
    since: Moment,
    /// `None` for a publish that another operator process made: who existed then is not known.
    cohort: Option<Cohort>,
}

/// Everyone who is known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KnownMembers(BTreeMap<Member, Option<Moment>>);

/// The outcome of a report.
#[derive(Clone, Debug)]
pub struct ReportOutcome {
    /// When the next one is due.
    pub next: Duration,
    /// Within which time of applying the next change to report it.
    pub applied_within: Duration,
    /// True if the counts may have changed.
    pub news: bool,
    /// The time from detection until this process applied the publish, where it is of the cohort and says so first.
    pub applied_first: Option<Duration>,
    /// Silent processes of the reporter's pod and PID namespace, to be asked about.
    pub siblings: Vec<Pid>,
}

impl Fleet {
    /// A fleet of which no process has been heard yet. `min_heartbeat` is the shortest heartbeat:
    /// [`crate::windows::HEARTBEAT`], but for tests.
    #[must_use]
    pub fn new(start: FleetStart, min_heartbeat: Duration, now: Moment) -> Self {
        let (recounting, counted_before, counted_ago) = match start {
            FleetStart::New => (false, 0, Duration::ZERO),
            FleetStart::Known { processes, counted_ago } => (true, processes, counted_ago),
        };
        Self {
            min_heartbeat,
            processes: BTreeMap::new(),
            pods: Pods::default(),
            goal: None,
            listening_since: now,
            recounting,
            counted_before,
            began: now,
            counted_ago,
            recounted: 0,
            known_before: counted_before,
            turned_away: now,
            dropped: 0,
            unknown_publish: None,
            dealt_with: None,
        }
    }

    /// The windows of this fleet at its present size.
    #[must_use]
    pub fn windows(&self) -> Windows {
        let before = if self.recounting { self.known_before } else { 0 };
        Windows::of(self.processes.len().max(before), self.min_heartbeat)
    }

    /// The operator held no lease until `now`. Whatever it knows may have changed since, so it claims nothing for the
    /// length of a recount.
    pub fn listening_interrupted(&mut self, now: Moment) {
        self.known_before = self.known_before.max(self.processes.len());
        self.listening_since = now;
        self.recounting = true;
        if let Some(cohort) = self.goal.as_mut().and_then(|goal| goal.cohort.as_mut()) {
            cohort.lose();
        }
    }

    /// The operator turned a report away at `then`, before it knew whose it was: it was busy, or could not ask who sent
    /// it. A process that is not heard may have been that one, so it is waited for longer.
    pub fn turned_away(&mut self, then: Moment) {
        self.turned_away = self.turned_away.max(then);
    }

    /// The pods, as they are now.
    pub fn observe(&mut self, pods: Pods) {
        self.pods = pods;
    }

    /// Everyone who is known now, to be given to [`Fleet::published`] by whoever is about to send the patch.
    #[must_use]
    pub fn known(&self, now: Moment) -> KnownMembers {
        KnownMembers(self.members(now))
    }

    /// The API server has accepted the marker. The cohort is everyone who is known now, and who was `known` when the patch
    /// was sent.
    pub fn published(&mut self, publish: Publish, times: PublishTimes, known: KnownMembers, now: Moment) {
        let mut members = known.0;
        members.extend(self.members(now));
        self.aim(publish, Some(Cohort::of(times, members)), now);
    }

    /// The marker names a publish that another operator process made. A known one changes nothing.
    pub fn adopt(&mut self, publish: Publish, now: Moment) {
        if self.goal.as_ref().is_none_or(|goal| goal.publish != publish) {
            self.aim(publish, None, now);
        }
    }

    /// Nothing is published any more.
    pub fn unpublished(&mut self) {
        self.goal = None;
        self.unknown_publish = None;
    }

    /// The marker was compared with the API server's, and written anew where it differed, because a process reported
    /// [`Fleet::unknown_publish`].
    pub fn dealt_with_unknown_publish(&mut self, now: Moment) {
        if let Some(unknown) = self.unknown_publish.take() {
            self.dealt_with = Some((unknown, now));
        }
    }

    /// The fingerprints that processes run or refuse, as far as they say.
    pub fn named(&self) -> impl Iterator<Item = rototo_engine::Fingerprint> {
        self.processes.values().filter_map(|process| process.last_report.publish).map(|publish| publish.fingerprint)
    }

    fn aim(&mut self, publish: Publish, cohort: Option<Cohort>, now: Moment) {
        let published = cohort.as_ref().map(|cohort| cohort.published());
        for process in self.processes.values_mut() {
            // A report can overtake the API server's answer to the patch.
            process.applied = process.runs(&publish).then_some(now);
            process.behind_since = now;
            process.was_there = published.map(|published| process.first_report_at <= published);
        }
        self.unknown_publish = self.unknown_publish.filter(|unknown| *unknown > publish.updated_at);
        self.dropped = 0;
        self.goal = Some(Goal { publish, since: now, cohort });
    }

    /// Takes a report. `jitter` lies between 0 and 1.
    pub fn report(&mut self, report: &Report, pod: Option<PodIdentity>, now: Moment, jitter: f64) -> ReportOutcome {
        let windows = self.windows();
        let next = windows.heartbeat.mul_f64(0.8 + 0.2 * jitter.clamp(0.0, 1.0));
        let id = ProcessId { pod: pod.as_ref().map(|pod| pod.uid.clone()), process: report.process.clone() };
        let taken = ReportOutcome {
            next,
            applied_within: self.applied_within(),
            news: false,
            applied_first: None,
            siblings: Vec::new(),
        };
        let new = !self.processes.contains_key(&id);
        if new && !self.has_room(&id) {
            return taken;
        }
        let process =
            self.processes.entry(id.clone()).or_insert_with(|| Process::of(report, pod.map(|pod| pod.name), now));
        if report.sequence.zip(process.sequence).is_some_and(|(this, last)| this <= last) {
            // It was overtaken by a later one, or is a copy.
            return taken;
        }
        let last_report = last_report(report);
        // A process that was silent is back.
        let news = new || process.last_report != last_report || now >= process.silent_at();
        process.sequence = report.sequence.or(process.sequence);
        process.last_report = last_report;
        process.last_report_at = now;
        process.promised = now + next;
        process.container.clone_from(&report.container);
        process.started_at = report.started_at;
        process.pid = report.pid;
        process.testified_gone = None;
        let age = report.started_ms_ago.map(Duration::from_millis);
        if new && age.is_none_or(|age| age + self.began >= now + self.counted_ago) {
            self.recounted += 1;
        }
        let applied_first = self.applies(&id, age, report.applied_ms_ago.map(Duration::from_millis), now);
        self.take_testimony(&id, report, now);
        self.notice_unknown_publish(&id, now);
        let siblings = self.silent_siblings(&id, now);
        ReportOutcome { news, applied_within: self.applied_within(), applied_first, siblings, ..taken }
    }

    /// The number of processes that an earlier operator counted and that have not reported to this one.
    fn unaccounted(&self) -> usize {
        self.counted_before.saturating_sub(self.recounted)
    }

    fn unaccounted_until(&self) -> Moment {
        self.listening_since.max(self.turned_away) + self.windows().forget
    }

    fn has_room(&self, id: &ProcessId) -> bool {
        id.pod.is_none() || self.of_pod(id.pod.as_deref()).count() < PROCESSES_PER_POD
    }

    fn of_pod(&self, pod: Option<&str>) -> impl Iterator<Item = (&ProcessId, &Process)> {
        let first = ProcessId { pod: pod.map(str::to_owned), process: String::new() };
        self.processes.range(first..).take_while(move |(id, _)| id.pod.as_deref() == pod)
    }

    /// Notes whether a process runs the goal, and since when.
    fn applies(
        &mut self,
        id: &ProcessId,
        age: Option<Duration>,
        ago: Option<Duration>,
        now: Moment,
    ) -> Option<Duration> {
        let goal = self.goal.as_mut()?;
        let process = self.processes.get_mut(id)?;
        let since = goal.cohort.as_ref().map_or(goal.since, Cohort::published);
        if let Some(age) = age {
            process.was_there = Some(age > now.saturating_sub(since));
        }
        if let Some(cohort) = goal.cohort.as_mut().filter(|_| self.recounting && process.was_there != Some(false)) {
            cohort.admit(id);
        }
        if !process.runs(&goal.publish) {
            if process.applied.take().is_some() {
                process.behind_since = now;
            }
            return None;
        }
        if process.applied.is_some() {
            return None;
        }
        // Nobody has applied it before it was published, or after having said so.
        let at = now.checked_sub(ago.unwrap_or_default()).unwrap_or(since).max(since).min(now);
        process.applied = Some(at);
        let cohort = goal.cohort.as_mut()?;
        cohort.applied(id, process.was_there, at)
    }

    fn take_testimony(&mut self, witness: &ProcessId, report: &Report, now: Moment) {
        let (Some(_), Some(own)) = (&witness.pod, report.pid) else { return };
        for testimony in &report.siblings {
            let about = testimony.pid;
            if about.namespace != own.namespace || about == own {
                continue;
            }
            let siblings = self.processes.iter_mut().filter(|(id, _)| id.pod == witness.pod);
            for (_, process) in siblings.filter(|(_, process)| process.pid == Some(about)) {
                process.testified_gone = (testimony.fate == Testified::Gone).then_some(now);
            }
        }
    }

    fn silent_siblings(&self, id: &ProcessId, now: Moment) -> Vec<Pid> {
        let Some(own) = self.processes.get(id).and_then(|process| process.pid) else { return Vec::new() };
        if id.pod.is_none() {
            return Vec::new();
        }
        let siblings = self.of_pod(id.pod.as_deref()).filter(|(other, _)| *other != id);
        let silent = siblings.filter(|(other, process)| self.liveness(other, process, now) == Liveness::Silent);
        let named = silent.filter_map(|(_, process)| process.pid).filter(|pid| pid.namespace == own.namespace);
        named.take(ASKED_AT_ONCE).collect()
    }

    /// A process that names a later publish than the goal has seen a marker that is not known here. One that was dealt with
    /// is no news, and others have to wait, so that no process can make the operator write again and again.
    fn notice_unknown_publish(&mut self, id: &ProcessId, now: Moment) {
        let (Some(goal), Some(process)) = (&self.goal, self.processes.get(id)) else { return };
        let Some(named) = process.last_report.publish.map(|publish| publish.updated_at) else { return };
        let silence = self.windows().silence;
        let dealt_with = self.dealt_with.is_some_and(|(last, then)| named <= last || now < then + silence);
        if named > goal.publish.updated_at && !dealt_with {
            self.unknown_publish = self.unknown_publish.max(Some(named));
        }
    }

    /// The name of the newest publish that a process names and that is not known here: somebody else wrote the marker.
    #[must_use]
    pub fn unknown_publish(&self) -> Option<UpdatedAt> {
        self.unknown_publish
    }

    /// The time that it takes to hear from all, at most: so the processors of a machine, and the operator's, first apply a
    /// change everywhere, and nobody waits long to hear that it has.
    fn applied_within(&self) -> Duration {
        let processes = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        let spread = REPORT_SPREAD_PER_PROCESS.saturating_mul(processes);
        if spread < MIN_REPORT_SPREAD { Duration::ZERO } else { spread.min(MAX_REPORT_SPREAD) }
    }

    /// Brings everything up to `now` that time or new evidence has decided: the end of a recount, who left, and the figure.
    fn settle(&mut self, now: Moment) {
        if self.recounting && now >= self.listening_since + self.windows().recount {
            self.recounting = false;
            self.known_before = 0;
        }
        if !self.recounting && now >= self.unaccounted_until() {
            self.dropped = self.dropped.saturating_add(u32::try_from(self.unaccounted()).unwrap_or(u32::MAX));
            self.counted_before = 0;
        }
        self.settle_cohort(now);
        self.forget(now);
    }

    /// Forgets processes that left. A drained one is kept as long as its pod exists, as it excuses the pod; any is kept
    /// for the length of a recount, so that a report which was held up is known to be an old one.
    fn forget(&mut self, now: Moment) {
        let recount = self.windows().recount;
        let gone = |(id, process): (&ProcessId, &Process)| match self.liveness(id, process, now) {
            Liveness::Dropped => true,
            Liveness::Left => {
                let pod = id.pod.as_ref().and_then(|uid| self.pods.get(uid));
                let excuses = process.last_report.state == ProcessState::Draining && pod.is_some_and(Pod::runs);
                !excuses && now >= process.last_report_at + recount
            }
            _ => false,
        };
        let gone: Vec<ProcessId> = self.processes.iter().filter(|one| gone(*one)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            if let Some(process) = self.processes.get(&id)
                && self.liveness(&id, process, now) == Liveness::Dropped
            {
                self.dropped = self.dropped.saturating_add(1);
            }
            self.processes.remove(&id);
        }
    }
}

fn last_report(report: &Report) -> LastReport {
    let fingerprint = report.fingerprint.as_ref().and_then(|text| text.parse().ok());
    let publish = fingerprint.zip(report.updated_at);
    let publish = publish.map(|(fingerprint, updated_at)| Publish { fingerprint, updated_at });
    LastReport { state: report.state, publish, reason: report.reason.clone() }
}
