//! Counts a fleet at one moment, for status and metrics. [`Fleet::view`] is the only way to read a verdict.

use rototo_api::convergence::Straggler;

use super::process::{Liveness, Process, ProcessId};
use super::staging::intended;
use super::{Fleet, Millis, Moment, NoRoom, Verdict};
use crate::windows::Windows;

/// The number of stragglers that a status names.
const NAMED_STRAGGLERS: usize = 10;

/// The counts of a fleet at one moment, and the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetView {
    /// The number of processes that there should be; `None` where no pod is selected.
    pub expected: Option<u32>,
    /// The number of processes that have reported and have not left.
    pub processes: u32,
    /// The number of them that run what is published. A process that runs an announced publish, as a stage says, is none
    /// of them.
    pub applied: u32,
    /// The number of them that run the announced publish, as a stage says.
    pub running_next: u32,
    /// The number of them that refuse what is published.
    pub rejected: u32,
    /// The number of them that no longer report.
    pub silent: u32,
    /// The number of them that are bound to no pod.
    pub unbound: u32,
    /// The number of processes that an earlier operator counted and that have not reported to this one.
    pub unaccounted: u32,
    /// The number of processes that stopped reporting, whose end nobody observed, and for which the operator no longer
    /// waits.
    pub lost: u32,
    /// The limit for which a process that reported lately is not counted.
    pub no_room: Option<NoRoom>,
    /// The stragglers, which do not run the publish: the first ten by name.
    pub behind: Vec<Straggler>,
    /// The verdict on the publish.
    pub verdict: Verdict,
    /// The figures of the publish, if this operator process made it.
    pub millis: Option<Millis>,
    /// The time at which the view may change although nobody reports.
    pub next_change: Option<Moment>,
    /// The windows of the fleet at this size.
    pub windows: Windows,
}

impl Fleet {
    /// Brings the fleet up to `now`, and returns its counts.
    pub fn view(&mut self, now: Moment) -> FleetView {
        self.settle(now);
        let mut view = FleetView {
            expected: None,
            processes: 0,
            applied: 0,
            running_next: 0,
            rejected: 0,
            silent: 0,
            unbound: 0,
            unaccounted: u32::try_from(self.unaccounted()).unwrap_or(u32::MAX),
            lost: self.dropped,
            no_room: None,
            behind: Vec::new(),
            verdict: self.verdict(now),
            millis: self.millis(),
            next_change: None,
            windows: self.windows(),
        };
        self.count_processes(&mut view, now);
        self.count_pods(&mut view, now);
        if self.recounting {
            view.change_at(self.listening_since + view.windows.recount, now);
        }
        if view.unaccounted > 0 {
            view.change_at(self.unaccounted_until(), now);
        }
        if let Some((until, full)) = self.no_room_until(now) {
            view.no_room = Some(full);
            view.change_at(until, now);
        }
        if self.goal.is_none() {
            view.behind.clear();
        }
        view.behind.sort_by(|a, b| a.name.cmp(&b.name));
        view.behind.truncate(NAMED_STRAGGLERS);
        view
    }

    fn count_processes(&self, view: &mut FleetView, now: Moment) {
        let marked = self.marked();
        let published = marked.map(|marked| marked.publish);
        for (id, process) in &self.processes {
            let liveness = self.liveness(id, process, now);
            if !liveness.counts() {
                continue;
            }
            view.processes += 1;
            let silent = liveness != Liveness::Live;
            view.silent += u32::from(silent);
            view.unbound += u32::from(id.pod.is_none());
            view.applied += u32::from(!silent && published.is_some_and(|publish| process.runs(&publish)));
            let staged = marked.is_some_and(|marked| intended(&marked, id, process) != marked.publish);
            view.running_next += u32::from(!silent && staged && process.applied.is_some());
            view.rejected += u32::from(!silent && published.is_some_and(|publish| process.refuses(&publish)));
            view.behind.extend(straggler(id, process, silent));
            match liveness {
                Liveness::Live => view.change_at(process.silent_at(), now),
                Liveness::Unprovable => view.change_at(self.drops_at(process), now),
                _ => {}
            }
            if process.is_starting(&view.windows, now) {
                view.change_at(process.follows_since + view.windows.grace, now);
            }
        }
    }

    fn count_pods(&self, view: &mut FleetView, now: Moment) {
        let unreported = self.unreported(now);
        for (uid, pod) in &unreported {
            view.behind.push(Straggler::missing(&pod.name));
            if let Some(started) = self.grace_of(uid, pod) {
                view.change_at(started + view.windows.grace, now);
            }
        }
        for vanished in self.vanished_unreported(now) {
            view.change_at(vanished.until, now);
        }
        if self.pods.expected().next().is_some() {
            view.expected = Some(view.processes + u32::try_from(unreported.len()).unwrap_or(u32::MAX));
        }
    }
}

impl FleetView {
    fn change_at(&mut self, time: Moment, now: Moment) {
        if time > now {
            self.next_change = Some(self.next_change.map_or(time, |earlier| earlier.min(time)));
        }
    }
}

/// Returns a process that counts as a straggler, if it does not run the publish or is silent.
pub(super) fn straggler(id: &ProcessId, process: &Process, silent: bool) -> Option<Straggler> {
    let (name, reason) = (process.name(id), process.last_report.reason.as_deref());
    (silent || process.applied.is_none()).then(|| Straggler::process(name, process.state(silent), reason))
}
