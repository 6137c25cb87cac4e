//! Checks of rehearsals: what is published although somebody refused it, what waits for too long, and what is held for
//! nothing.
//!
//! World truth is known here: for each process what it has said last, and which reports have arrived.

use std::time::Duration;

use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_protocol::fleet::{Pod, RehearsalMode, RehearsalRules, RehearsalVerdict};
use rototo_protocol::plan::MarkerEntry;
use rototo_protocol::rollout::Action;

use crate::contents::{content, number};
use crate::markers::announced;
use crate::state::process::Process;
use crate::state::received_report::ReceivedReport;
use crate::state::record::Record;
use crate::state::world::World;
use crate::violation::{Invariant, name};

/// An operator looks again, decides, and writes within this time.
pub const DECIDES_WITHIN: Duration = Duration::from_secs(2);
/// Nothing was in the way of a process for this long before a restart.
const UNDISTURBED: Duration = Duration::from_secs(5);

impl World {
    /// Checks the publish of new content at the moment when the operator decides on it.
    pub fn check_rehearsed(&mut self, operator: usize, publish: Publish, rules: RehearsalRules) {
        let leader = &self.operators[operator];
        let Some(forget) = leader.record.as_ref().map(|record| record.fleet.windows().forget) else { return };
        self.note_dropped(operator, forget);
        let Some(record) = &self.operators[operator].record else { return };
        // What was published is put back without a rehearsal.
        let new = |current: &Publish| current.fingerprint != publish.fingerprint && rules.mode != RehearsalMode::Off;
        let Some(current) = record.publisher.published().filter(new) else { return };
        let refuses = |index: &usize| self.refuses(operator, *index, current.fingerprint, publish);
        if let Some(index) = (0..self.processes.len()).find(refuses) {
            let what = format!("{} is published, and process {index} has refused it", name(publish));
            return self.breaks(Invariant::RefusalHolds, what);
        }
        let (prepared, known) = self.prepared(record, publish.fingerprint);
        if rules.mode == RehearsalMode::Require && prepared * 100 < known * usize::from(rules.min_prepared) {
            let what = format!("{} is published, and {prepared} of {known} processes have prepared it", name(publish));
            self.breaks(Invariant::RequiredPrepare, what);
        }
    }

    /// Returns whether a process that lives, is selected, and runs what is published has refused the content that is
    /// about to be published, in its last report about an announcement that an operator has taken.
    fn refuses(&self, operator: usize, index: usize, current: Fingerprint, publish: Publish) -> bool {
        let process = &self.processes[index];
        let leader = &self.operators[operator];
        let Some(record) = &leader.record else { return false };
        let Some(last_taken) = &process.last_taken else { return false };
        let lives = process.alive && !process.handles.is_empty() && !record.dropped.contains(&index);
        if !lives
            || !self.has_something_to_lose(operator, index, last_taken, current)
            || !last_taken.refuses(publish.fingerprint)
        {
            return false;
        }
        if record.received_reports.get(&index).is_some_and(|known| known.refuses(publish.fingerprint)) {
            return true;
        }
        // It told an earlier operator, and can tell this one, unless this one asks anew.
        let before = record.began.saturating_sub(UNDISTURBED);
        let hindered = process.cut_from_operator.max(process.stopped).max(process.deaf_watch) >= before;
        let hindered = hindered || self.faults.busy >= before || self.network_faults > 0;
        !hindered && !record.announcements.contains(&publish.updated_at)
    }

    fn has_something_to_lose(
        &self,
        operator: usize,
        index: usize,
        said: &ReceivedReport,
        current: Fingerprint,
    ) -> bool {
        let pod = self.processes[index].pod.and_then(|pod| self.operators[operator].pods.get(&self.pods[pod].uid));
        pod.is_some_and(|pod: &Pod| pod.selected) && said.runs(current)
    }

    /// Returns the number of processes that have told this operator that they have prepared the content, and of those that it
    /// must count.
    fn prepared(&self, record: &Record, fingerprint: Fingerprint) -> (usize, usize) {
        let known =
            record.received_reports.iter().filter(|(index, said)| !said.drained() && !record.dropped.contains(index));
        let prepared = known.clone().filter(|(_, said)| said.has_prepared(fingerprint)).count();
        // The end of another may have been seen.
        let lives = |index: &usize| self.processes[*index].alive && !self.processes[*index].handles.is_empty();
        (prepared, known.filter(|(index, _)| lives(index)).count())
    }

    /// Returns the time since which nothing has kept the operator with this record from a decision, or changed what it
    /// decides about.
    pub(crate) fn undisturbed_since(&self, record: &Record) -> Duration {
        let faults = &self.faults;
        let disturbed = [
            self.acted,
            self.git.since,
            self.api.requests.spec_since,
            self.api.requests.selector_broken,
            record.began,
            record.listening_since,
            record.patched,
            faults.operator_cut,
            faults.operators_down,
            faults.stale_map,
            faults.git_away,
            faults.api_away,
        ];
        disturbed.into_iter().max().unwrap_or_default()
    }

    /// Checks that a publish which nobody refuses waits no longer than the time limit and a recount, whoever hangs.
    pub fn check_rehearsal_ends(&mut self) {
        let Some(next) = announced(self.api.marker).filter(|next| next.fingerprint == content(self.git.content)) else {
            return;
        };
        let rules = self.rules_of(Some(self.git.content));
        let waits = rules.mode == RehearsalMode::BestEffort && !self.is_staged() && !self.is_suspended();
        let Some(operator) = self.lease.filter(|_| waits && self.api.workspace.is_some()) else { return };
        if self.asked_about(next) == Some(Action::Hold) || self.api.requests.refused == Some(self.git.content) {
            return;
        }
        let Some(record) = self.operators[operator].record.as_ref().filter(|record| record.patching.is_none()) else {
            return;
        };
        let Some(current) = record.publisher.published() else { return };
        let since = self.undisturbed_since(record).max(self.api.announced_since);
        let limit = since + rules.within + record.fleet.windows().recount + DECIDES_WITHIN;
        let holds = |(index, said): (&usize, &ReceivedReport)| {
            said.refuses(next.fingerprint) && self.has_something_to_lose(operator, *index, said, current.fingerprint)
        };
        if self.now > limit && !record.received_reports.iter().any(holds) {
            let what = format!("{} waits since {} ms, and nobody refuses it", name(next), since.as_millis());
            self.breaks(Invariant::RehearsalEnds, what);
        }
    }

    /// Returns whether the newest content may still wait when everything rests: too few processes can prepare it, or the
    /// end of a process that refused it can't be seen.
    pub fn may_wait_at_rest(&self) -> bool {
        if self.may_be_staged_at_rest() {
            return true;
        }
        let fingerprint = content(self.git.content);
        let rules = self.rules_of(Some(self.git.content));
        let announced = announced(self.api.marker).filter(|next| next.fingerprint == fingerprint);
        let Some(record) = announced.and(self.lease).and_then(|leader| self.operators[leader].record.as_ref()) else {
            return false;
        };
        let Some(view) = record.fleet.rehearsal(rules, self.now) else { return false };
        match view.verdict {
            RehearsalVerdict::Refused => record.received_reports.iter().any(|(index, said)| {
                !self.processes[*index].alive && said.refuses(fingerprint) && self.ends_unseen(*index)
            }),
            RehearsalVerdict::Incomplete => {
                let able = |process: &&Process| process.alive && process.prepares && !process.handles.is_empty();
                let able = self.processes.iter().filter(able).count();
                able * 100 < view.expected as usize * usize::from(rules.min_prepared)
            }
            RehearsalVerdict::Waiting | RehearsalVerdict::Passed => false,
        }
    }

    /// Checks that nobody holds content at rest that the marker does not announce, and that it announces nothing but what
    /// the source has.
    pub fn check_held(&mut self) {
        let announced = announced(self.api.marker);
        let rolls_out = self.queues && self.is_staged();
        if let Some(next) = announced.filter(|next| next.fingerprint != content(self.git.content) && !rolls_out) {
            return self
                .breaks(Invariant::NothingHeld, format!("{} is announced, and not what the source has", name(next)));
        }
        let MarkerEntry::Published(marked) = self.api.marker else { return };
        for (index, process) in self.processes.iter().enumerate().filter(|(_, process)| process.alive) {
            // In a stage it holds what it goes back to.
            let stays = announced.is_none_or(|next| self.should_run(index, &marked) != next);
            let other = if stays { announced } else { Some(marked.publish) }.map(|other| other.fingerprint);
            let held = process.handles.iter().find_map(|handle| handle.held().filter(|held| Some(*held) != other));
            if let Some(held) = held {
                let letter = char::from(b'A' + number(held));
                let what = format!("process {index} holds content {letter}, which nobody announces");
                return self.breaks(Invariant::NothingHeld, what);
            }
        }
    }
}
