//! The fleet of one workspace: computes from evidence whether every process runs what is published.
//!
//! Evidence comes in through the methods of [`Fleet`]: reports of processes ([`Fleet::report`]), pods by the state of
//! their containers ([`Fleet::observe`]), publishes that the API server accepted ([`Fleet::published`],
//! [`Fleet::adopt`]), and times in which the operator received no reports ([`Fleet::listening_interrupted`],
//! [`Fleet::turned_away`]). [`Fleet::view`] returns the answer: the verdict, the figures, the stragglers, and the time
//! at which they may change next.
//!
//! Invariant: a fleet stores evidence, and no verdict. Each view computes its verdict from that evidence, so a verdict
//! can turn back. Only the figure of a publish is kept once it is complete. `docs/convergence.md` defines the meaning
//! of both.
//!
//! - `room`: the limits of a fleet, so that no sender of reports can make it as large as it likes.
//! - `process`: one process, its last report, and whether it still counts.
//! - [`pods`]: pods by the state of their containers, and the ends that the kubelet has reported.
//! - `verdict`: the present, *every process that counts runs the publish*.
//! - `cohort`: the past, *the publish took this long to reach everyone who was there*.
//! - `rehearsal`: the future, *may the announced publish be published?*
//! - `staging`: *who should run the announced publish already, and do they?*
//! - `handover`: the evidence that one operator process passes on to the next.
//! - `attendance`: the time in which a process has had the workspace open.
//! - `view`: both, with counts and stragglers, for status and metrics.
//! - `roster`: the processes one by one, for people.
//!
//! `cohort`, `pods`, `process`, `rehearsal`, and `room` import this module, and it imports them: [`Fleet`] is one state, and its methods stand in
//! the files of their subjects.

mod attendance;
mod cohort;
mod handover;
#[cfg(test)]
mod histories;
pub mod pods;
mod process;
mod rehearsal;
mod room;
mod roster;
mod staging;
#[cfg(test)]
mod tests;
mod verdict;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rototo_api::UpdatedAt;
use rototo_api::fleet::{Pid, ProcessState, Report, SiblingState as Testified};
use rototo_engine::Fingerprint;

use crate::Publish;
use crate::windows::Windows;

use attendance::Attendance;
use cohort::{Cohort, Member};
use handover::InheritedPod;
use process::{LastReport, Liveness, Process, ReportedDegradation};
use rehearsal::{Rehearsal, ReportedPreparation};

pub use cohort::{Millis, PublishTimes};
pub use handover::passed_directly;
pub use pods::{Container, ContainerEnd, Pod, PodObjectState, Pods};
pub use process::ProcessId;
pub use rehearsal::{RehearsalMode, RehearsalRules, RehearsalVerdict, RehearsalView};
pub use room::{ALL_PROCESSES, NoRoom, PROCESSES, PROCESSES_OF_NAMESPACE, PROCESSES_PER_POD, UNBOUND_PROCESSES};
pub use staging::{StageCount, StageCounts};
pub use verdict::Verdict;
pub use view::FleetView;

/// A point in time: the time since the operator process started, by its monotonic clock.
pub type Moment = Duration;

/// The time that each process adds to the spread of the reports of a change.
const REPORT_SPREAD_PER_PROCESS: Duration = Duration::from_micros(500);
/// A fleet whose spread is shorter than this reports at once.
const MIN_REPORT_SPREAD: Duration = Duration::from_millis(10);
/// The longest spread: a quarter of the second in which a change should converge, so that no change counts as late
/// because of it.
const MAX_REPORT_SPREAD: Duration = Duration::from_millis(250);
/// The number of silent siblings that the operator asks a process about at a time.
const ASKED_AT_ONCE: usize = 8;
/// The most fingerprints that reports keep on the operator's disk.
pub const MAX_NAMED: usize = 20;

/// The pod that a verified token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIdentity {
    /// The pod's name.
    pub name: String,
    /// The UID of the pod, which distinguishes it from other pods of the same name.
    pub uid: String,
}

/// Everything that is known about the processes of one workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fleet {
    min_heartbeat: Duration,
    processes: BTreeMap<ProcessId, Process>,
    pods: Pods,
    /// The unreported pods that the last leader knew, by UID.
    inherited_pods: BTreeMap<String, InheritedPod>,
    goal: Option<Goal>,
    rehearsal: Option<Rehearsal>,
    /// The newest name under which something was announced.
    newest_announced: Option<UpdatedAt>,
    /// The time since which this operator receives reports without a lapse of its lease.
    listening_since: Moment,
    /// True while the operator claims nothing, because a process may exist that has not reported.
    recounting: bool,
    /// The number of processes that an earlier operator counted. Zero once the operator no longer waits for those that
    /// have not reported.
    counted_before: usize,
    /// The time at which this operator began to receive reports of this fleet.
    began: Moment,
    /// The age of the earlier operator's count at that time.
    counted_ago: Duration,
    /// The processes that have reported and had the workspace open when the earlier operator counted, at most as many as
    /// it counted. A process stays in it when it is forgotten, so that it is not counted again when it reports again.
    recounted: BTreeSet<ProcessId>,
    /// The number of processes before the restart or the lapse, which sets the length of the recount.
    known_before: usize,
    /// The time at which the operator last turned away a report, whoever sent it.
    turned_away: Moment,
    /// The time at which a process last reported for which there is no room.
    no_room: Option<(Moment, NoRoom)>,
    /// The number of processes that were dropped since the goal was published.
    dropped: u32,
    /// The newest publish that a process reported last and that is later than the goal.
    unknown_publish: Option<UpdatedAt>,
    /// The last unknown publish that was dealt with, and when.
    dealt_with: Option<(UpdatedAt, Moment)>,
}

/// The knowledge about a fleet when its workspace is first reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FleetStart {
    /// The workspace is new and was never published, so no process can run content of it.
    New,
    /// The workspace was published before, and its status has the number of processes that an earlier operator counted.
    Known {
        /// The number of processes.
        processes: usize,
        /// The time since the count.
        counted_ago: Duration,
    },
}

/// The publish that the fleet should reach.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Goal {
    publish: Publish,
    /// The time at which it became the goal.
    since: Moment,
    /// The processes and pods that the publish had to reach. `None` for a publish of another operator process: its
    /// members are not known.
    cohort: Option<Cohort>,
}

/// The processes and pods that are known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KnownMembers(BTreeMap<Member, Option<Moment>>);

/// The outcome of a report.
#[derive(Clone, Debug)]
pub struct ReportOutcome {
    /// The time until the next report is due.
    pub next: Duration,
    /// The time after applying the next change within which to report it.
    pub applied_within: Duration,
    /// True if the counts may have changed.
    pub news: bool,
    /// True if the rehearsal of the announced publish may be over.
    pub decides: bool,
    /// The publish that the process should run.
    pub intended: Option<Publish>,
    /// The time from detection until this process applied the publish. Present when a process of the cohort reports
    /// that for the first time.
    pub applied_first: Option<Duration>,
    /// Silent processes of the reporter's pod and PID namespace. The reporter is asked whether they are gone.
    pub siblings: Vec<Pid>,
}

impl Fleet {
    /// Creates a fleet of which no process has reported yet. `min_heartbeat` is the shortest heartbeat:
    /// [`crate::windows::HEARTBEAT`], except in tests.
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
            inherited_pods: BTreeMap::new(),
            goal: None,
            rehearsal: None,
            newest_announced: None,
            listening_since: now,
            recounting,
            counted_before,
            began: now,
            counted_ago,
            recounted: BTreeSet::new(),
            known_before: counted_before,
            turned_away: now,
            no_room: None,
            dropped: 0,
            unknown_publish: None,
            dealt_with: None,
        }
    }

    /// Returns the windows of this fleet at its present size.
    #[must_use]
    pub fn windows(&self) -> Windows {
        let before = if self.recounting { self.known_before } else { 0 };
        Windows::of(self.processes.len().max(before), self.min_heartbeat)
    }

    /// Records that the operator held no lease until `now`. Everything that it knows may have changed since, so it
    /// claims nothing for the length of a recount.
    pub fn listening_interrupted(&mut self, now: Moment) {
        self.known_before = self.known_before.max(self.processes.len());
        self.listening_since = now;
        self.recounting = true;
        if let Some(cohort) = self.goal.as_mut().and_then(|goal| goal.cohort.as_mut()) {
            cohort.lose();
        }
    }

    /// Records that the operator turned away a report at `then` before it knew the sender: it was busy, or could not
    /// verify the token. A process that seems silent may be that sender, so the operator waits longer for it.
    pub fn turned_away(&mut self, then: Moment) {
        self.turned_away = self.turned_away.max(then);
    }

    /// Takes the present pods in place of the earlier ones. Keeps those that exist, are selected, or had a process that is
    /// known: the ends of all others say nothing about this fleet.
    pub fn observe(&mut self, mut pods: Pods) {
        if pods.incomplete
            && let Some(cohort) = self.goal.as_mut().and_then(|goal| goal.cohort.as_mut())
        {
            cohort.lose();
        }
        for (_, inherited) in self.inherited_pods.iter_mut().filter(|(uid, _)| pods.by_uid.contains_key(uid.as_str())) {
            inherited.vanished = None;
        }
        pods.by_uid.retain(|uid, pod| pod.exists() || pod.selected || self.of_pod(Some(uid)).next().is_some());
        self.pods = pods;
    }

    /// Returns everyone who is known now. A caller that is about to send a patch passes them to [`Fleet::published`]
    /// later.
    #[must_use]
    pub fn known(&self, now: Moment) -> KnownMembers {
        KnownMembers(self.members(now))
    }

    /// Records that the API server has accepted the marker with `publish`. The cohort is everyone who is known now, and
    /// everyone who was `known` when the patch was sent. Returns the number of processes that have reported already that
    /// they run it, and that no stage made run it.
    pub fn published(&mut self, publish: Publish, times: PublishTimes, known: KnownMembers, now: Moment) -> usize {
        let mut members = known.0;
        members.extend(self.members(now));
        let before = self.marked();
        let runs_early = |(id, process): &(&ProcessId, &Process)| {
            let was_staged = before.is_some_and(|marked| staging::intended(&marked, id, process) == publish);
            process.runs(&publish) && !was_staged
        };
        let early = self.processes.iter().filter(runs_early).count();
        self.aim(publish, Some(Cohort::of(times, members)), now);
        early
    }

    /// Records that the marker names a publish of another operator process. If it is the goal already, nothing changes.
    pub fn adopt(&mut self, publish: Publish, now: Moment) {
        if self.goal.as_ref().is_none_or(|goal| goal.publish != publish) {
            self.aim(publish, None, now);
        }
    }

    /// Records that nothing is published any more.
    pub fn unpublished(&mut self) {
        self.goal = None;
        self.unknown_publish = None;
    }

    /// Records that the marker was compared with the API server's, and written again where it differed, because a
    /// process reported [`Fleet::unknown_publish`].
    pub fn dealt_with_unknown_publish(&mut self, now: Moment) {
        if let Some(unknown) = self.unknown_publish.take() {
            self.dealt_with = Some((unknown, now));
        }
    }

    /// Returns the fingerprints that most processes run or refuse, according to their reports: at most [`MAX_NAMED`], so
    /// that processes which make reports up keep no more old content on the disk.
    #[must_use]
    pub fn named(&self) -> Vec<Fingerprint> {
        let mut counts: BTreeMap<Fingerprint, usize> = BTreeMap::new();
        for publish in self.processes.values().filter_map(|process| process.last_report.publish) {
            *counts.entry(publish.fingerprint).or_default() += 1;
        }
        let mut named: Vec<_> = counts.into_iter().collect();
        named.sort_by_key(|(_, processes)| std::cmp::Reverse(*processes));
        named.into_iter().take(MAX_NAMED).map(|(fingerprint, _)| fingerprint).collect()
    }

    fn aim(&mut self, publish: Publish, cohort: Option<Cohort>, now: Moment) {
        let published = cohort.as_ref().map(|cohort| cohort.published());
        for process in self.processes.values_mut() {
            // A report can overtake the API server's answer to the patch.
            process.applied = process.runs(&publish).then_some(now);
            process.behind_since = now;
            process.was_there = published.map(|published| process.follows_since <= published);
        }
        self.unknown_publish = self.unknown_publish.filter(|unknown| *unknown > publish.updated_at);
        self.dropped = 0;
        self.goal = Some(Goal { publish, since: now, cohort });
    }

    /// Takes a report, unless a later one of the same process came before. `jitter`, from 0.0 to 1.0, spreads the time
    /// of the next report.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if the process is not known yet, and the fleet, or the sender's part of it, is full. The operator
    /// then claims nothing about everybody for the length of the silence window.
    pub fn report(
        &mut self,
        report: &Report,
        pod: Option<PodIdentity>,
        now: Moment,
        jitter: f64,
    ) -> Result<ReportOutcome, NoRoom> {
        let windows = self.windows();
        let next = windows.heartbeat.mul_f64(0.8 + 0.2 * jitter.clamp(0.0, 1.0));
        let id = ProcessId { pod: pod.as_ref().map(|pod| pod.uid.clone()), process: report.process.clone() };
        let taken = ReportOutcome {
            next,
            applied_within: self.applied_within(),
            news: false,
            decides: false,
            intended: None,
            applied_first: None,
            siblings: Vec::new(),
        };
        let new = !self.processes.contains_key(&id);
        if new {
            self.make_room(id.pod.as_deref(), now);
        }
        if new && let Err(full) = self.room_for(&id, now) {
            self.note_no_room(full, now);
            return Err(full);
        }
        let process =
            self.processes.entry(id.clone()).or_insert_with(|| Process::of(report, pod.map(|pod| pod.name), now));
        if report.sequence.zip(process.sequence).is_some_and(|(this, last)| this <= last) {
            // A later report has overtaken this one, or this one is a copy.
            return Ok(taken);
        }
        let last_report = last_report(report).after(&process.last_report);
        // The report of a process that was silent is news, too.
        let news = new || process.last_report.differs_from(&last_report) || now >= process.silent_at();
        let prepares = process.last_report.next != last_report.next;
        process.sequence = report.sequence.or(process.sequence);
        process.last_report = last_report;
        process.last_report_at = now;
        process.promised = now + next;
        process.container.clone_from(&report.container);
        process.started_at = report.started_at;
        process.pid = report.pid;
        process.testified_gone = None;
        process.drained_at = process::drained_at(report);
        let attendance = Attendance::of(report);
        let counted_ago = now.saturating_sub(self.began) + self.counted_ago;
        if new && attendance.surely_covers(counted_ago) != Some(false) && self.unaccounted() > 0 {
            self.recounted.insert(id.clone());
        }
        let applied_first = self.applies(&id, attendance, report.applied_ms_ago.map(Duration::from_millis), now);
        let decides = self.note_preparation(&id) && prepares;
        self.take_testimony(&id, report, now);
        self.notice_unknown_publish(&id, now);
        let siblings = self.silent_siblings(&id, now);
        let marked = self.marked();
        let intended =
            marked.zip(self.processes.get(&id)).map(|(marked, process)| staging::intended(&marked, &id, process));
        Ok(ReportOutcome {
            news,
            decides,
            intended,
            applied_within: self.applied_within(),
            applied_first,
            siblings,
            ..taken
        })
    }

    /// Returns the number of processes that an earlier operator counted and that have not reported to this one.
    fn unaccounted(&self) -> usize {
        self.counted_before.saturating_sub(self.recounted.len())
    }

    fn unaccounted_until(&self) -> Moment {
        self.listening_since.max(self.turned_away) + self.windows().forget
    }

    fn of_pod(&self, pod: Option<&str>) -> impl Iterator<Item = (&ProcessId, &Process)> {
        let first = ProcessId { pod: pod.map(str::to_owned), process: String::new() };
        self.processes.range(first..).take_while(move |(id, _)| id.pod.as_deref() == pod)
    }

    /// Notes whether a process runs the goal, and since when. `ago` is the time since it applied what it runs. Returns the
    /// time from detection where a process of the cohort applies the goal for the first time.
    fn applies(
        &mut self,
        id: &ProcessId,
        attendance: Attendance,
        ago: Option<Duration>,
        now: Moment,
    ) -> Option<Duration> {
        let marked = self.marked()?;
        let goal = self.goal.as_mut()?;
        let process = self.processes.get_mut(id)?;
        let since = goal.cohort.as_ref().map_or(goal.since, Cohort::published);
        let intended = staging::intended(&marked, id, process);
        process.was_there = attendance.may_cover(now.saturating_sub(since)).or(process.was_there);
        if let Some(cohort) = goal.cohort.as_mut().filter(|_| self.recounting && process.was_there != Some(false)) {
            cohort.admit(id);
        }
        if !process.runs(&intended) {
            if process.applied.take().is_some() {
                process.behind_since = now;
            }
            return None;
        }
        if process.applied.is_some() {
            return None;
        }
        // A process applies a publish after the publish was made, and before the report that says so.
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

    /// Notes a publish that a process names and that is later than the goal: the process has seen a marker that this
    /// operator does not know. A publish that was dealt with is not noted again, and another one has to wait for the
    /// silence window, so that no process can make the operator write again and again.
    fn notice_unknown_publish(&mut self, id: &ProcessId, now: Moment) {
        // Nobody has to be told any more once the processes that named it have come back.
        let named = |process: &Process| process.last_report.publish.map(|publish| publish.updated_at);
        self.unknown_publish =
            self.unknown_publish.filter(|unknown| self.processes.values().any(|one| named(one) == Some(*unknown)));
        let (Some(goal), Some(process)) = (&self.goal, self.processes.get(id)) else { return };
        let Some(named) = named(process) else { return };
        if self.newest_announced >= Some(named) {
            return;
        }
        let silence = self.windows().silence;
        let dealt_with = self.dealt_with.is_some_and(|(last, then)| named <= last || now < then + silence);
        if named > goal.publish.updated_at && !dealt_with {
            self.unknown_publish = self.unknown_publish.max(Some(named));
        }
    }

    /// Returns the name of the newest publish that a process names and that this operator does not know: somebody else
    /// wrote the marker.
    #[must_use]
    pub fn unknown_publish(&self) -> Option<UpdatedAt> {
        self.unknown_publish
    }

    /// Returns the time over which the processes spread their reports of a change. The nodes and the operator then have
    /// their processors for applying the change first. The time is so short that nobody waits long for the result.
    fn applied_within(&self) -> Duration {
        let processes = u32::try_from(self.processes.len()).unwrap_or(u32::MAX);
        let spread = REPORT_SPREAD_PER_PROCESS.saturating_mul(processes);
        if spread < MIN_REPORT_SPREAD { Duration::ZERO } else { spread.min(MAX_REPORT_SPREAD) }
    }

    /// Applies what time or new evidence has decided up to `now`: the end of a recount, the departure of processes, and
    /// the figure.
    fn settle(&mut self, now: Moment) {
        if self.recounting && now >= self.listening_since + self.windows().recount {
            self.recounting = false;
            self.known_before = 0;
        }
        if !self.recounting && now >= self.unaccounted_until() {
            self.dropped = self.dropped.saturating_add(u32::try_from(self.unaccounted()).unwrap_or(u32::MAX));
            self.counted_before = 0;
            self.recounted.clear();
        }
        self.settle_cohort(now);
        self.forget(now);
    }

    /// Forgets processes that left. A drained process is kept while its pod runs, because it excuses the pod. Every
    /// process is kept for the length of a recount, so that a delayed report of it is recognized as an old one, and one
    /// that an earlier operator counted is kept while others of that count are missing: the next operator would take its
    /// next report for one of theirs.
    fn forget(&mut self, now: Moment) {
        let recount = self.windows().recount;
        let gone = |(id, process): (&ProcessId, &Process)| match self.liveness(id, process, now) {
            Liveness::Dropped => true,
            Liveness::Left => {
                let pod = id.pod.as_ref().and_then(|uid| self.pods.get(uid));
                let excuses = process.last_report.state == ProcessState::Draining && pod.is_some_and(Pod::runs);
                let stands_in = self.unaccounted() > 0 && self.recounted.contains(id);
                !excuses && !stands_in && now >= process.last_report_at + recount
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
        let mut inherited = std::mem::take(&mut self.inherited_pods);
        inherited.retain(|uid, pod| {
            let waits = pod.vanished.is_some_and(|seen| now < self.waits_for_vanished_until(seen));
            waits || self.pods.get(uid).is_some_and(Pod::exists)
        });
        self.inherited_pods = inherited;
    }
}

fn last_report(report: &Report) -> LastReport {
    let fingerprint = report.fingerprint.as_ref().and_then(|text| text.parse().ok());
    let publish = fingerprint.zip(report.updated_at);
    let publish = publish.map(|(fingerprint, updated_at)| Publish { fingerprint, updated_at });
    LastReport {
        state: report.state,
        publish,
        reason: report.reason.clone(),
        prepares: report.prepares,
        next: ReportedPreparation::of(report),
        degraded: ReportedDegradation::of(report),
    }
}
