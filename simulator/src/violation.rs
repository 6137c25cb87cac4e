//! The invariants, and how the world finds one broken.
//!
//! World truth is known here: for each handle what it resolves from, for each pod what runs, each name that was published.

use std::time::Duration;

use rototo_protocol::Publish;
use rototo_protocol::fleet::{FleetView, Moment, Verdict};
use rototo_protocol::plan::MarkerEntry;

use crate::operator::ReceivedReport;
use crate::process::Process;
use crate::world::World;

/// Something that must hold in every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// A claim of convergence holds of every handle of every process that counts.
    TrueClaim,
    /// A claim of convergence needs somebody who has applied the publish.
    SomebodyApplied,
    /// A process that an earlier operator counted, and that hangs, is not forgotten by a restart.
    Accounted,
    /// A report that names other content never turns a verdict into converged.
    ReportsOnlyContradict,
    /// A restart or a change of leader turns no verdict into converged.
    RestartClaimsNothing,
    /// A figure that was shown never changes.
    FrozenFigure,
    /// A figure is not less than what a member needed, and absent where one left before it had applied.
    TrueFigure,
    /// Names of publishes grow.
    NamesGrow,
    /// One change of content has one name, as long as nobody edits the marker.
    OneName,
    /// When everything rests, every process wants what the marker names.
    EveryoneFollows,
    /// When everything rests and everyone runs what is published, that is claimed.
    RestIsClaimed,
    /// When everything rests, status says what the operator knows.
    StatusRepaired,
    /// A publish that everybody who was there has applied has a figure.
    FigureShown,
}

/// An invariant that a history breaks.
#[derive(Clone, Debug)]
pub struct InvariantViolation {
    pub invariant: Invariant,
    pub at: Moment,
    pub what: String,
}

/// A report takes so long at most.
const LATEST: Duration = Duration::from_millis(4_100);

impl World {
    /// Checks what the operator that leads says at this moment.
    pub fn check_view(&mut self, operator: usize, view: &FleetView) {
        self.note_dropped(operator, view);
        self.check_figure(operator, view);
        if view.verdict != Verdict::Converged {
            return;
        }
        self.claims += 1;
        let Some(publish) = self.operators[operator].publisher.published() else { return };
        if !self.processes.iter().any(|process| process.ever_applied(publish)) {
            self.breaks(Invariant::SomebodyApplied, format!("nobody has applied {}", name(publish)));
        }
        if self.operators[operator].received_reports.values().all(ReceivedReport::drained) {
            let what = format!("claimed {} without having heard anybody", name(publish));
            self.breaks(Invariant::RestartClaimsNothing, what);
        }
        let window = view.windows.silence + LATEST;
        for index in 0..self.processes.len() {
            if let Some(why) = self.contradicts(operator, index, publish, window, view) {
                self.breaks(Invariant::TrueClaim, format!("claimed {}, but process {index} {why}", name(publish)));
            }
            if self.is_unaccounted(operator, index, publish, view) {
                self.breaks(
                    Invariant::Accounted,
                    format!("claimed {}, but process {index} hangs since before the restart", name(publish)),
                );
            }
        }
    }

    /// Why a process that counts makes the claim false.
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
        if let Some(received_reports) = self.operators[operator].received_reports.get(&index)
            && received_reports.says_otherwise(publish)
        {
            return Some(format!("said last that it is {:?}", received_reports.state));
        }
        let since = self.now.saturating_sub(window);
        let handles = process.handles.iter().filter(|handle| handle.opened <= since);
        let lacking = handles.filter(|handle| !handle.had(publish, since)).count();
        (lacking > 0).then(|| format!("has {lacking} handles that did not have it since {} ms", since.as_millis()))
    }

    /// Whether the definition counts a process that lives.
    fn counts(&self, operator: usize, index: usize, view: &FleetView) -> bool {
        let process = &self.processes[index];
        let leader = &self.operators[operator];
        if process.handles.is_empty() {
            return false;
        }
        let pod = process.pod.map(|pod| (pod, leader.pods.get(&self.pods[pod].uid)));
        if let Some(received_reports) = leader.received_reports.get(&index) {
            let dropped = leader.dropped.contains(&index);
            let starting = received_reports.runs_nothing() && self.now < received_reports.first + view.windows.grace;
            return !received_reports.drained() && !dropped && !starting;
        }
        // Nobody has heard it. It counts by its pod, where that is known to run and nobody else of it is heard.
        let Some((pod, Some(known))) = pod else { return false };
        let others = leader.received_reports.iter().any(|(other, _)| self.processes[*other].pod == Some(pod));
        let ended = known.containers.iter().filter_map(|container| container.ended).map(|end| end.seen).max();
        let grace = known.seen_running.max(ended).is_some_and(|since| self.now < since + view.windows.grace);
        known.selected && known.runs() && !others && !grace
    }

    /// Notes who is waited for no longer: nobody can see the end of it, and the window is over. Only a report ends that.
    fn note_dropped(&mut self, operator: usize, view: &FleetView) {
        let leader = &self.operators[operator];
        let dropped = |(index, received_reports): (&usize, &ReceivedReport)| {
            let pod = self.processes[*index].pod.and_then(|pod| leader.pods.get(&self.pods[pod].uid));
            let unprovable = pod.is_none_or(|known| !known.runs());
            let waited_since = received_reports.received.max(leader.listening_since).max(leader.turned_away);
            (unprovable && self.now >= waited_since + view.windows.forget).then_some(*index)
        };
        let dropped: Vec<usize> = leader.received_reports.iter().filter_map(dropped).collect();
        self.somebody_left |= !dropped.is_empty();
        self.operators[operator].dropped.extend(dropped);
    }

    fn is_unaccounted(&self, operator: usize, index: usize, publish: Publish, view: &FleetView) -> bool {
        let leader = &self.operators[operator];
        let process = &self.processes[index];
        let waited = self.now < leader.listening_since + view.windows.forget;
        let unreported = leader.inherited.contains(&index) && !leader.received_reports.contains_key(&index);
        // The count of an earlier operator is a number: a process that existed then, and that it had not heard, stands in.
        let stands_in = |other: &usize| {
            !leader.inherited.contains(other) && self.processes[*other].started < leader.listening_since
        };
        if leader.received_reports.keys().any(stands_in) {
            return false;
        }
        let hangs = process.alive && process.handles.iter().any(|handle| !handle.had(publish, self.now));
        unreported && waited && hangs
    }

    fn check_figure(&mut self, operator: usize, view: &FleetView) {
        let Some(publish) = self.operators[operator].publisher.published() else { return };
        let Some(shown) = view.millis.and_then(|millis| millis.all) else { return };
        let before = self.operators[operator].figures.insert(publish.updated_at, shown);
        if before.is_some_and(|before| before != shown) {
            self.breaks(Invariant::FrozenFigure, format!("{} took {before:?} ms and then {shown} ms", name(publish)));
        }
        if before.is_some() {
            return;
        }
        let leader = &self.operators[operator];
        let Some(landed) = leader.landed.get(&publish.updated_at).cloned() else { return };
        for index in landed.members {
            match self.processes[index].applied_at(publish) {
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

    /// Checks what a report has made of the verdict.
    pub fn check_report(
        &mut self,
        before: Verdict,
        after: Verdict,
        received_reports: &ReceivedReport,
        publish: Publish,
    ) {
        if before != Verdict::Converged && after == Verdict::Converged && received_reports.says_otherwise(publish) {
            self.breaks(
                Invariant::ReportsOnlyContradict,
                format!("a report of {:?} turned {before:?} into converged", received_reports.state),
            );
        }
    }

    /// Checks what must hold when all has come to rest.
    pub fn check_rest(&mut self) {
        let MarkerEntry::Published(publish) = self.api.marker else {
            return self.breaks(Invariant::EveryoneFollows, format!("nothing is published: {:?}", self.api.marker));
        };
        let living = |process: &&Process| process.alive && !process.handles.is_empty();
        let mut lives = false;
        for (index, process) in self.processes.iter().enumerate().filter(|(_, process)| living(process)) {
            if let Some(handle) = process.handles.iter().find(|handle| handle.current() != Some(publish)) {
                let what = format!(
                    "process {index} resolves {:?}, the marker says {}",
                    handle.current().map(name),
                    name(publish)
                );
                return self.breaks(Invariant::EveryoneFollows, what);
            }
            lives = true;
        }
        let Some(leader) = self.lease else { return self.breaks(Invariant::RestIsClaimed, "nobody leads".to_owned()) };
        if self.operators[leader].publisher.published() != Some(publish) {
            let what = "the operator does not know what is published".to_owned();
            return self.breaks(Invariant::EveryoneFollows, what);
        }
        let now = self.now;
        let Some(fleet) = &mut self.operators[leader].fleet else {
            return self.breaks(Invariant::RestIsClaimed, "no fleet".to_owned());
        };
        let view = fleet.view(now);
        let expected = if lives { Verdict::Converged } else { Verdict::NoProcesses };
        let members = self.processes.iter().filter(|process| process.alive && !process.handles.is_empty()).count();
        if view.verdict != expected && !(members == 0 && view.processes == 0) {
            let what =
                format!("everyone runs {}, and it says {:?}, behind: {:?}", name(publish), view.verdict, view.behind);
            return self.breaks(Invariant::RestIsClaimed, what);
        }
        let leader = &self.operators[leader];
        let landed = leader.landed.get(&publish.updated_at).is_some_and(|landed| !landed.members.is_empty());
        if landed && !self.somebody_left && view.millis.and_then(|millis| millis.all).is_none() {
            let what = format!("everybody who was there has applied {}, and it has no figure", name(publish));
            return self.breaks(Invariant::FigureShown, what);
        }
        let claimed = self.api.status.as_ref().map(|claim| (claim.published, claim.converged));
        let known = Some((Some(publish), view.verdict == Verdict::Converged));
        if claimed != known {
            self.breaks(Invariant::StatusRepaired, format!("status claims {claimed:?}, the operator knows {known:?}"));
        }
        if !self.api.edited && self.api.names.len() as u64 > self.git.changes {
            let names: Vec<String> = self.api.names.iter().copied().map(name).collect();
            self.breaks(Invariant::OneName, format!("{} changes have the names {names:?}", self.git.changes));
        }
    }
}

/// A publish, for people: the content and its name, in seconds.
pub fn name(publish: Publish) -> String {
    let content = char::from(b'A' + crate::world::number(publish.fingerprint));
    format!("{content}@{}", publish.updated_at.timestamp().as_millisecond() % 1_000_000_000)
}
