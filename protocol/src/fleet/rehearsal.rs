//! The rehearsal: may the announced publish be published, after what processes report about it?
//!
//! The marker announces a publish, each process prepares it beside what it runs, and reports that. [`Fleet::rehearsal`]
//! returns the answer at one moment. Like a verdict it is computed from the last reports and never stored, so a process
//! that refused and left, or that has changed its mind, holds nothing back.
//!
//! Only a refusal holds a publish, and only that of a process which has something to lose: it is bound to a selected pod
//! and runs what is published. Everything else is a question of how long to wait.

use std::collections::BTreeSet;
use std::time::Duration;

use rototo_api::UpdatedAt;
use rototo_api::convergence::Straggler;
use rototo_api::fleet::{PreparationState, ProcessState, Report};
use rototo_api::marker::Stage;
use rototo_engine::Fingerprint;

use super::process::{Liveness, Process, ProcessId};
use super::{Fleet, Moment};
use crate::Publish;

/// The number of processes that a view of a rehearsal names.
const NAMED: usize = 10;
/// The time after which an incomplete rehearsal is judged again if nothing else asks for it.
const JUDGED_EVERY: Duration = Duration::from_secs(1);

/// The rules by which a publish is rehearsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RehearsalRules {
    /// The condition for a publish to pass.
    pub mode: RehearsalMode,
    /// The time for which the operator waits for processes that have not answered.
    pub within: Duration,
    /// The part of the fleet that must have prepared the publish with [`RehearsalMode::Require`], in percent.
    pub min_prepared: u8,
}

/// The condition for an announced publish to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RehearsalMode {
    /// There is no rehearsal.
    #[default]
    Off,
    /// No process that runs what is published refuses it within the time limit.
    BestEffort,
    /// The required part of the fleet has prepared it, and no process that runs what is published refuses it.
    Require,
}

impl Default for RehearsalRules {
    fn default() -> Self {
        Self { mode: RehearsalMode::Off, within: Duration::from_millis(500), min_prepared: 100 }
    }
}

/// The state of one rehearsal at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RehearsalView {
    /// The announced publish.
    pub next: Publish,
    /// The time at which it was announced, or at which this operator process found it.
    pub since: Moment,
    /// The answer.
    pub verdict: RehearsalVerdict,
    /// The number of processes that have prepared it.
    pub prepared: u32,
    /// The number of processes that count, and of pods that should have reported.
    pub expected: u32,
    /// The first ten processes, by name, that refuse it and hold it back.
    pub refused: Vec<Straggler>,
    /// The first ten processes and pods, by name, that have not prepared it.
    pub missing: Vec<Straggler>,
    /// The time at which the answer may change although nobody reports.
    pub next_change: Option<Moment>,
}

/// The answer of a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RehearsalVerdict {
    /// Some processes have not answered, and the time limit is not over.
    Waiting,
    /// A process that runs what is published refuses it.
    Refused,
    /// The time limit is over, and too few processes have prepared it.
    Incomplete,
    /// It may be published.
    Passed,
}

/// The announced publish.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rehearsal {
    next: Publish,
    /// The time at which the API server had accepted the announcement, or at which this process found it.
    since: Moment,
    /// True if another operator process announced it: who was asked, and who refused, is not known before everybody has
    /// reported.
    found: bool,
    /// The processes that could prepare when it was announced, and have not answered.
    awaited: BTreeSet<ProcessId>,
    /// The pods that run it already.
    pub(super) stage: Option<Stage>,
}

/// The announced publish in the last report of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReportedPreparation {
    publish: Publish,
    state: PreparationState,
    reason: Option<String>,
}

impl ReportedPreparation {
    pub(super) fn of(report: &Report) -> Option<Self> {
        let next = report.next.as_ref()?;
        let publish = Publish { fingerprint: next.fingerprint.parse().ok()?, updated_at: next.updated_at };
        Some(Self { publish, state: next.state, reason: next.reason.clone() })
    }

    pub(super) fn content(&self) -> Fingerprint {
        self.publish.fingerprint
    }

    pub(super) fn refuses(&self) -> bool {
        self.state == PreparationState::Refused
    }

    pub(super) fn to_report(&self) -> rototo_api::fleet::Preparation {
        rototo_api::fleet::Preparation {
            fingerprint: self.publish.fingerprint.to_string(),
            updated_at: self.publish.updated_at,
            state: self.state,
            reason: self.reason.clone(),
        }
    }
}

impl Process {
    /// Returns the state of `next` in this process. The content decides, and not the name under which it was announced:
    /// a process that refuses content refuses it under every name, until it says otherwise.
    fn preparation(&self, next: &Publish) -> Option<&ReportedPreparation> {
        self.last_report.next.as_ref().filter(|reported| reported.publish.fingerprint == next.fingerprint)
    }

    fn has_prepared(&self, next: &Publish) -> bool {
        let runs =
            self.applied.is_some() && self.last_report.publish.is_some_and(|runs| runs.fingerprint == next.fingerprint);
        runs || self.preparation(next).is_some_and(|reported| reported.state == PreparationState::Prepared)
    }

    fn refuses_next(&self, next: &Publish) -> bool {
        self.preparation(next).is_some_and(ReportedPreparation::refuses)
    }
}

impl Fleet {
    /// Returns whether a publish is announced before it is published. With [`RehearsalMode::BestEffort`] that makes sense
    /// only if somebody may prepare it.
    #[must_use]
    pub fn rehearses(&self, rules: RehearsalRules, now: Moment) -> bool {
        match rules.mode {
            RehearsalMode::Off => false,
            // A process that is silent may have refused it.
            RehearsalMode::BestEffort => {
                let counts = |(id, process): (_, &Process)| self.liveness(id, process, now).counts();
                self.recounting || self.able().any(counts)
            }
            RehearsalMode::Require => true,
        }
    }

    fn able(&self) -> impl Iterator<Item = (&ProcessId, &Process)> {
        self.processes.iter().filter(|(_, process)| process.last_report.prepares)
    }

    /// Records that the API server has accepted the announcement of `next`, which this process wrote.
    pub fn announced(&mut self, next: Publish, now: Moment) {
        // A report can overtake the API server's answer to the patch.
        let unanswered = self.able().filter(|(_, process)| !process.has_answered(&next));
        let live = unanswered.filter(|(id, process)| self.liveness(id, process, now) == Liveness::Live);
        let awaited = live.map(|(id, _)| id.clone()).collect();
        self.rehearsal = Some(Rehearsal { next, since: now, found: false, awaited, stage: None });
        self.know_name(next.updated_at);
        self.recount_applied(now);
    }

    /// Records a name that this operator, or an earlier one, has announced: a late report of this name does not count
    /// as an edit by somebody else.
    pub fn know_name(&mut self, name: UpdatedAt) {
        self.newest_announced = self.newest_announced.max(Some(name));
    }

    /// Returns the newest name that this operator, or an earlier one, has announced, as far as this one knows.
    #[must_use]
    pub fn newest_announced(&self) -> Option<UpdatedAt> {
        self.newest_announced
    }

    /// Records the publish that the marker announces, whoever wrote it.
    pub fn announcement_observed(&mut self, next: Option<Publish>, now: Moment) {
        if self.announced_publish() == next {
            return;
        }
        self.rehearsal = None;
        self.recount_applied(now);
        if let Some(next) = next {
            self.announced(next, now);
            self.rehearsal.as_mut().into_iter().for_each(|rehearsal| rehearsal.found = true);
        }
    }

    /// Returns the announced publish.
    #[must_use]
    pub fn announced_publish(&self) -> Option<Publish> {
        self.rehearsal.as_ref().map(|rehearsal| rehearsal.next)
    }

    /// Returns the time at which the announced publish was announced, or at which this operator process found it.
    #[must_use]
    pub fn announced_since(&self) -> Option<Moment> {
        self.rehearsal.as_ref().map(|rehearsal| rehearsal.since)
    }

    /// Notes what a process has reported about the announced publish. Returns whether the answer may have changed.
    pub(super) fn note_preparation(&mut self, id: &ProcessId) -> bool {
        let (Some(rehearsal), Some(process)) = (&mut self.rehearsal, self.processes.get(id)) else { return false };
        if !process.has_answered(&rehearsal.next) {
            // Nobody knows whom an earlier operator asked.
            let joins = rehearsal.found && self.recounting && process.last_report.prepares;
            return joins && rehearsal.awaited.insert(id.clone());
        }
        rehearsal.awaited.remove(id);
        process.refuses_next(&rehearsal.next) || rehearsal.awaited.is_empty()
    }

    /// Returns the state of the rehearsal, by these rules. `None` if nothing is announced.
    #[must_use]
    pub fn rehearsal(&self, rules: RehearsalRules, now: Moment) -> Option<RehearsalView> {
        let rehearsal = self.rehearsal.as_ref()?;
        let mut view = self.count_rehearsal(rehearsal, now);
        let limit = rehearsal.since + rules.within;
        let everybody = self.listening_since + self.windows().recount;
        let recounts = self.recounting && now < everybody;
        // A restart must not publish what a process had refused, so everybody who was counted before has to report, and each
        // pod, which may be newer than the count.
        let missing =
            || self.unaccounted() > 0 || !self.unreported(now).is_empty() || self.saw_no_marker(&rehearsal.next);
        let unknown = recounts && rehearsal.found && (self.counted_before == 0 || missing());
        let awaited = || rehearsal.awaited.iter().any(|id| self.is_awaited(id, now));
        let wait = |until: Moment| (RehearsalVerdict::Waiting, Some(until));
        let (verdict, next_change) = match rules.mode {
            RehearsalMode::Off => (RehearsalVerdict::Passed, None),
            _ if !view.refused.is_empty() => (RehearsalVerdict::Refused, None),
            _ if unknown => wait(everybody),
            RehearsalMode::BestEffort if now < limit && (self.recounting || awaited()) => wait(limit),
            RehearsalMode::BestEffort => (RehearsalVerdict::Passed, None),
            RehearsalMode::Require if recounts => wait(everybody),
            RehearsalMode::Require if view.is_complete(rules.min_prepared) => (RehearsalVerdict::Passed, None),
            RehearsalMode::Require if now < limit => wait(limit.min(now + JUDGED_EVERY)),
            RehearsalMode::Require => (RehearsalVerdict::Incomplete, Some(now + JUDGED_EVERY)),
        };
        (view.verdict, view.next_change) = (verdict, next_change);
        Some(view)
    }

    /// Returns whether a process that has not answered says that it sees no marker. It sees no announcement then, and may
    /// have refused this one before.
    fn saw_no_marker(&self, next: &Publish) -> bool {
        self.able()
            .any(|(_, process)| process.last_report.state == ProcessState::Orphaned && !process.has_answered(next))
    }

    fn is_awaited(&self, id: &ProcessId, now: Moment) -> bool {
        self.processes.get(id).is_some_and(|process| self.liveness(id, process, now) == Liveness::Live)
    }

    fn count_rehearsal(&self, rehearsal: &Rehearsal, now: Moment) -> RehearsalView {
        let Rehearsal { next, since, .. } = rehearsal;
        let mut view = RehearsalView {
            next: *next,
            since: *since,
            verdict: RehearsalVerdict::Waiting,
            prepared: 0,
            expected: 0,
            refused: Vec::new(),
            missing: Vec::new(),
            next_change: None,
        };
        for (id, process) in &self.processes {
            let liveness = self.liveness(id, process, now);
            if !liveness.counts() {
                continue;
            }
            view.expected += 1;
            if process.has_prepared(next) {
                view.prepared += 1;
                continue;
            }
            let reported = process.preparation(next);
            let state = match reported.map(|reported| reported.state) {
                _ if liveness != Liveness::Live => "silent",
                Some(PreparationState::Refused) => "refused",
                _ if !process.last_report.prepares => "unable",
                _ => "pending",
            };
            let straggler = Straggler {
                name: process.name(id).to_owned(),
                state: state.to_owned(),
                reason: reported.and_then(|reported| reported.reason.clone()),
            };
            if process.refuses_next(next) && self.has_something_to_lose(id, process) {
                view.refused.push(straggler.clone());
            }
            view.missing.push(straggler);
        }
        for (_, pod) in self.unreported(now) {
            view.expected += 1;
            view.missing.push(Straggler::missing(&pod.name));
        }
        for named in [&mut view.refused, &mut view.missing] {
            named.sort_by(|a, b| a.name.cmp(&b.name));
            named.truncate(NAMED);
        }
        view
    }

    /// Returns whether a refusal of this process holds a publish back: it is bound to a selected pod, and runs the content
    /// that is published. It may not have reported the name yet under which that was put back. While nobody knows all pods
    /// that are selected, any pod may be one.
    fn has_something_to_lose(&self, id: &ProcessId, process: &Process) -> bool {
        let selected = |uid| self.pods.incomplete || self.pods.get(uid).is_some_and(|pod| pod.selected);
        let selected = id.pod.as_deref().is_some_and(selected);
        selected && self.goal.as_ref().is_some_and(|goal| process.resolves(goal.publish.fingerprint))
    }
}

impl Process {
    fn has_answered(&self, next: &Publish) -> bool {
        self.has_prepared(next) || self.refuses_next(next)
    }
}

impl RehearsalView {
    fn is_complete(&self, min_prepared: u8) -> bool {
        u64::from(self.prepared) * 100 >= u64::from(self.expected) * u64::from(min_prepared)
    }
}

#[cfg(test)]
mod tests;
