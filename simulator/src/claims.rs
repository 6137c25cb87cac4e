//! Checks what an operator says at the moment when it says it.
//!
//! World truth is known here: for each handle what it resolves from, for each pod what runs, each name that was published.

use std::time::Duration;

use rototo_protocol::Publish;
use rototo_protocol::fleet::{FleetView, Moment, Pod, Verdict};

use crate::script::Client;
use crate::state::process::Process;
use crate::state::received_report::ReceivedReport;
use crate::state::world::World;
use crate::violation::{Invariant, name};

/// A report takes so long at most.
const LATEST: Duration = Duration::from_millis(4_100);
/// A report takes so long at most where the network delays none.
const PROMPT: Duration = Duration::from_millis(30);
/// Nothing was in the way of a process for so long.
const UNDISTURBED: Duration = Duration::from_secs(5);

impl World {
    /// Checks what the operator that leads says at this moment.
    pub fn check_view(&mut self, operator: usize, view: &FleetView) {
        self.note_dropped(operator, view.windows.forget);
        self.check_counted(operator, view);
        self.check_applied(operator, view);
        self.check_figure(operator, view);
        if view.verdict != Verdict::Converged {
            return;
        }
        self.check_not_rolling_out(operator);
        self.claims += 1;
        let Some(record) = &self.operators[operator].record else { return };
        let Some(marked) = record.publisher.marked() else { return };
        let publish = marked.publish;
        let nobody_reported = record.received_reports.values().all(ReceivedReport::drained);
        let applied = |index: usize| {
            let process = &self.processes[index];
            process.ever_applied(self.should_run(index, &marked)) || !process.speaks_for_all_handles()
        };
        if !(0..self.processes.len()).any(applied) {
            self.breaks(Invariant::SomebodyApplied, format!("nobody has applied {}", name(publish)));
        }
        if nobody_reported {
            let what = format!("claimed {} without a report of anybody", name(publish));
            self.breaks(Invariant::RestartClaimsNothing, what);
        }
        let window = view.windows.silence + LATEST;
        for index in 0..self.processes.len() {
            let publish = self.should_run(index, &marked);
            if let Some(why) = self.contradicts(operator, index, publish, window, view) {
                self.breaks(Invariant::TrueClaim, format!("claimed {}, but process {index} {why}", name(publish)));
            }
            if self.is_overlooked(operator, index, publish) {
                let what = format!("claimed {} before process {index} reported, which it could", name(publish));
                self.breaks(Invariant::NobodyOverlooked, what);
            }
            if self.is_unaccounted(operator, index, publish, view) {
                self.breaks(
                    Invariant::Accounted,
                    format!("claimed {}, but process {index} hangs since before the restart", name(publish)),
                );
            }
        }
    }

    /// Checks that status does not claim convergence while a part of the fleet should run something else.
    fn check_not_rolling_out(&mut self, operator: usize) {
        let Some(record) = &self.operators[operator].record else { return };
        let staged = record.publisher.marked().is_some_and(|marked| marked.stage.is_some());
        if staged && !record.fleet.is_staged() {
            self.breaks(Invariant::RolloutIsNoConvergence, "a rollout is claimed to have converged".to_owned());
        }
    }

    /// Returns why a process that counts makes the claim false, if it does.
    fn contradicts(
        &self,
        operator: usize,
        index: usize,
        publish: Publish,
        window: Duration,
        view: &FleetView,
    ) -> Option<String> {
        let process = &self.processes[index];
        if !process.alive || !self.counts(operator, index, view) {
            return None;
        }
        let record = self.operators[operator].record.as_ref()?;
        if let Some(last_report) = record.received_reports.get(&index)
            && last_report.says_otherwise(publish)
        {
            return Some(format!("said last that it is {:?}", last_report.state));
        }
        if !process.speaks_for_all_handles() {
            return None;
        }
        let since = self.now.saturating_sub(window);
        let handles = process.handles.iter().filter(|handle| handle.opened <= since);
        let lacking = handles.filter(|handle| !handle.had(publish, since)).count();
        (lacking > 0).then(|| format!("has {lacking} handles that did not have it since {} ms", since.as_millis()))
    }

    /// Returns whether the definition counts a process that lives.
    fn counts(&self, operator: usize, index: usize, view: &FleetView) -> bool {
        let process = &self.processes[index];
        let leader = &self.operators[operator];
        let Some(record) = leader.record.as_ref().filter(|_| !process.handles.is_empty()) else { return false };
        let pod = process.pod.map(|pod| (pod, leader.pods.get(&self.pods[pod].uid)));
        if let Some(last_report) = record.received_reports.get(&index) {
            let dropped = record.dropped.contains(&index);
            let starting = last_report.runs_nothing() && self.now < last_report.first + view.windows.grace;
            return !last_report.drained() && !dropped && !starting;
        }
        // It has not reported. It counts by its pod, if that is known to run and no other process of it has reported.
        let Some((pod, Some(known))) = pod else { return false };
        let others = record.received_reports.iter().any(|(other, _)| self.processes[*other].pod == Some(pod));
        let expected = known.containers.iter().filter(|container| container.expected);
        let restarted = expected.filter_map(|container| container.ended?.grace_from).max();
        let grace = known.seen_running.max(restarted).is_some_and(|since| self.now < since + view.windows.grace);
        known.selected && known.runs() && !others && !grace
    }

    /// Notes who is waited for no longer: nobody can see the end of it, and the window is over. Only a report ends that.
    pub fn note_dropped(&mut self, operator: usize, forget: Duration) {
        let leader = &self.operators[operator];
        let Some(record) = &leader.record else { return };
        let dropped = |(index, last_report): (&usize, &ReceivedReport)| {
            let pod = self.processes[*index].pod.and_then(|pod| leader.pods.get(&self.pods[pod].uid));
            // Nobody knows which run of its container an older client is of.
            let older = self.processes[*index].client == Client::Older;
            let ended = |known: &Pod| {
                known.containers.iter().filter_map(|one| one.ended).any(|end| end.seen > last_report.received)
            };
            let unprovable = pod.is_none_or(|known| !known.runs() || older && ended(known));
            let waited_since = last_report.received.max(record.listening_since).max(leader.turned_away);
            (unprovable && self.now >= waited_since + forget).then_some(*index)
        };
        let dropped: Vec<usize> = record.received_reports.iter().filter_map(dropped).collect();
        self.somebody_left |= !dropped.is_empty();
        if let Some(record) = &mut self.operators[operator].record {
            record.dropped.extend(dropped);
        }
    }

    /// Returns whether a process that lives ran something before this record began, can report, and has not been counted.
    fn is_overlooked(&self, operator: usize, index: usize, publish: Publish) -> bool {
        let Some(record) = &self.operators[operator].record else { return false };
        let process = &self.processes[index];
        let lives = process.alive && !process.handles.is_empty() && !record.received_reports.contains_key(&index);
        let before = record.began.saturating_sub(UNDISTURBED);
        let hindered = process.cut_from_operator.max(process.stopped) >= before || self.faults.busy >= before;
        // A process that was never answered does not know the heartbeat, and tries again after up to 15 seconds.
        let hindered = hindered || process.last_taken.is_none();
        let old = process.handles.iter().all(|handle| handle.opened < before);
        let otherwise =
            process.handles.iter().any(|handle| handle.ran_before(before).is_some_and(|ran| ran != publish));
        lives && old && otherwise && !hindered && self.network_faults == 0
    }

    /// Checks that a process that lives, has reported, and has not drained is counted, and does not leave by the passing of time.
    fn check_counted(&mut self, operator: usize, view: &FleetView) {
        let Some(record) = &self.operators[operator].record else { return };
        let counts = |(index, last_report): &(&usize, &ReceivedReport)| {
            let process = &self.processes[**index];
            let lives = process.alive && !last_report.drained() && !record.dropped.contains(index);
            // Nobody knows which run of its container an older client is of.
            lives && process.client != Client::Older
        };
        let counted = record.received_reports.iter().filter(counts).count();
        if (view.processes as usize) < counted {
            let what = format!("{} of {counted} processes count that live and have reported", view.processes);
            self.breaks(Invariant::LeavesByEvidence, what);
        }
    }

    /// Checks that a process counts as one that runs what is published only if its last report says so.
    fn check_applied(&mut self, operator: usize, view: &FleetView) {
        let Some(record) = &self.operators[operator].record else { return };
        let Some(publish) = record.publisher.published() else { return };
        let run = record.received_reports.values().filter(|last_report| last_report.says_it_runs(publish)).count();
        if (view.applied as usize) > run {
            let what = format!("{} processes count that run {}, and {run} say so", view.applied, name(publish));
            self.breaks(Invariant::TrueCount, what);
        }
    }

    fn is_unaccounted(&self, operator: usize, index: usize, publish: Publish, view: &FleetView) -> bool {
        let Some(record) = &self.operators[operator].record else { return false };
        let process = &self.processes[index];
        let waited = self.now < record.listening_since + view.windows.forget;
        let unreported = record.inherited.contains(&index) && !record.received_reports.contains_key(&index);
        // The count of an earlier operator is a number: a process that followed then, and had not reported to it, stands in.
        let stands_in = |(other, last_report): (&usize, &ReceivedReport)| {
            let process = &self.processes[*other];
            // An older client does not say since when it follows, and a report can be under way when its sender drains.
            let says_less = process.client == Client::Older || process.drained().is_some() && !last_report.drained();
            let followed = self.clock_jumped || says_less || process.followed_at(record.counted_at);
            !record.inherited.contains(other) && followed
        };
        if record.received_reports.iter().any(stands_in) {
            return false;
        }
        let hangs = process.alive && process.handles.iter().any(|handle| !handle.had(publish, self.now));
        unreported && waited && hangs
    }

    fn check_figure(&mut self, operator: usize, view: &FleetView) {
        let Some(record) = &mut self.operators[operator].record else { return };
        let Some(publish) = record.publisher.published() else { return };
        let Some(shown) = view.millis.and_then(|millis| millis.all) else { return };
        let before = record.figures.insert(publish.updated_at, shown);
        let landed = record.landed.get(&publish.updated_at).cloned();
        if before.is_some_and(|before| before != shown) {
            self.breaks(Invariant::FrozenFigure, format!("{} took {before:?} ms and then {shown} ms", name(publish)));
        }
        if before.is_some() {
            return;
        }
        let Some(landed) = landed else { return };
        let slowest = self.slowest(publish).filter(|slowest| {
            let needed = (*slowest).max(landed.learned).saturating_sub(landed.detected) + self.latest();
            u128::from(shown) > needed.as_millis() + 1
        });
        if let Some(slowest) = slowest {
            let needed = slowest.saturating_sub(landed.detected).as_millis();
            let what = format!("{} took {shown} ms, and the slowest process needed {needed} ms", name(publish));
            return self.breaks(Invariant::TrueFigure, what);
        }
        for index in landed.members {
            match self.processes[index].applied_at(publish) {
                _ if !self.processes[index].speaks_for_all_handles() => {}
                None => {
                    let what = format!("{} has a figure, and process {index} never applied it", name(publish));
                    return self.breaks(Invariant::TrueFigure, what);
                }
                Some(at) => {
                    let needed = at.saturating_sub(landed.detected).as_millis();
                    if needed > u128::from(shown) + 1 {
                        let what = format!("{} took {shown} ms, and process {index} needed {needed} ms", name(publish));
                        return self.breaks(Invariant::TrueFigure, what);
                    }
                }
            }
        }
    }

    /// Returns when the last process applied a publish, if that is known of all that might have been counted.
    fn slowest(&self, publish: Publish) -> Option<Moment> {
        let speak = self.processes.iter().all(Process::speaks_for_all_handles);
        self.processes.iter().filter_map(|process| process.applied_at(publish)).max().filter(|_| speak)
    }

    /// Returns how long a message takes at most.
    fn latest(&self) -> Duration {
        if self.network_faults > 0 { LATEST } else { PROMPT }
    }

    /// Checks what a report has made of the verdict.
    pub fn check_report(&mut self, before: Verdict, after: Verdict, last_report: &ReceivedReport, publish: Publish) {
        if before != Verdict::Converged && after == Verdict::Converged && last_report.says_otherwise(publish) {
            self.breaks(
                Invariant::ReportsOnlyContradict,
                format!("a report of {:?} turned {before:?} into converged", last_report.state),
            );
        }
    }
}
