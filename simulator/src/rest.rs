//! The invariants that must hold when the last fault has ended and everything has come to rest.

use std::time::Duration;

use rototo_protocol::fleet::{Moment, Verdict};
use rototo_protocol::plan::MarkerEntry;

use crate::contents::content;
use crate::script::Client;
use crate::state::process::Process;
use crate::state::world::World;
use crate::violation::{Invariant, name};

/// A process that nothing is in the way of has what it wants after so long, also if it has to ask its source at leisure.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(25);

impl World {
    /// Checks what must hold when all has come to rest.
    pub fn check_rest(&mut self) {
        let MarkerEntry::Published(marked) = self.api.marker else {
            return self.breaks(Invariant::EveryoneFollows, format!("nothing is published: {:?}", self.api.marker));
        };
        let publish = marked.publish;
        self.check_held();
        if publish.fingerprint != content(self.git.content) && !self.may_wait_at_rest() {
            return self.breaks(Invariant::SourceIsPublished, format!("the marker says {}", name(publish)));
        }
        let living = |process: &&Process| process.alive && !process.handles.is_empty();
        let mut lives = false;
        for (index, process) in self.processes.iter().enumerate().filter(|(_, process)| living(process)) {
            let right = self.should_run(index, &marked);
            if let Some(handle) = process.handles.iter().find(|handle| handle.current() != Some(right)) {
                let what = format!(
                    "process {index} resolves {:?}, the marker says {}",
                    handle.current().map(name),
                    name(right)
                );
                return self.breaks(Invariant::EveryoneFollows, what);
            }
            lives = true;
        }
        let Some(leader) = self.lease else { return self.breaks(Invariant::RestIsClaimed, "nobody leads".to_owned()) };
        let now = self.now;
        let Some(record) = &mut self.operators[leader].record else {
            return self.breaks(Invariant::RestIsClaimed, "the operator knows nothing".to_owned());
        };
        if record.publisher.published() != Some(publish) {
            let what = "the operator does not know what is published".to_owned();
            return self.breaks(Invariant::EveryoneFollows, what);
        }
        let view = record.fleet.view(now);
        let landed = record.landed.get(&publish.updated_at);
        let landed = landed.is_some_and(|landed| !landed.members.is_empty() && !landed.staged);
        let expected = if lives { Verdict::Converged } else { Verdict::NoProcesses };
        let members = self.processes.iter().filter(|process| process.alive && !process.handles.is_empty()).count();
        let unseen_end = (0..self.processes.len()).any(|process| self.ends_unseen(process));
        if view.verdict != expected && !unseen_end && !(members == 0 && view.processes == 0) {
            let what =
                format!("everyone runs {}, and it says {:?}, behind: {:?}", name(publish), view.verdict, view.behind);
            return self.breaks(Invariant::RestIsClaimed, what);
        }
        if landed && !self.somebody_left && view.millis.and_then(|millis| millis.all).is_none() {
            let what = format!("everybody who was there has applied {}, and it has no figure", name(publish));
            return self.breaks(Invariant::FigureShown, what);
        }
        let claimed = self.api.status.as_ref().map(|claim| (claim.published, claim.converged));
        let known = Some((Some(publish), view.verdict == Verdict::Converged && marked.stage.is_none()));
        if claimed != known {
            self.breaks(Invariant::StatusRepaired, format!("status claims {claimed:?}, the operator knows {known:?}"));
        }
        // Processes of a stage that somebody has written name what the operator does not know.
        let edited = self.api.edited || self.api.announcement_edited || self.api.stage_edited;
        if !edited
            && !self.is_namesake_named_back()
            && !self.api.taken_for_an_edit
            && self.api.names.len() as u64 > self.git.changes
        {
            let names: Vec<String> = self.api.names.iter().copied().map(name).collect();
            self.breaks(Invariant::OneName, format!("{} changes have the names {names:?}", self.git.changes));
        }
    }

    /// Returns whether the end of a process can't be seen while its pod runs: an older client does not report which run of a
    /// container it is of, and has no word on its siblings.
    pub fn ends_unseen(&self, index: usize) -> bool {
        let process = &self.processes[index];
        let Some(pod) = process.pod.filter(|pod| self.pods[*pod].exists && !process.alive) else { return false };
        let testifies = |other: &usize| self.processes[*other].client != Client::Older;
        process.client == Client::Older || !self.processes_of(pod).iter().any(testifies)
    }

    /// Checks that each process has what the marker names which nothing is in the way of. While no operator runs, those are
    /// the ones that can ask a source that has it.
    pub fn check_undisturbed(&mut self) {
        let MarkerEntry::Published(marked) = self.api.marker else { return };
        let since = self.now.saturating_sub(FOLLOWS_WITHIN);
        let calm = self.disturbed.max(self.faults.operators_down).max(self.faults.operator_cut) < since;
        let operators_serve = calm && self.somebody_serves();
        let away = self.faults.api_away.max(self.faults.git_away) >= since;
        // What the source has is published, runs in a stage, or was taken back.
        let newest = content(self.git.content);
        let staged = marked.next.filter(|_| marked.stage.is_some());
        let named = [Some(marked.publish), staged, marked.held.map(|(held, _)| held)];
        let source_has_it = named.into_iter().flatten().any(|publish| publish.fingerprint == newest);
        let source_has_it = source_has_it && self.git.since < since;
        if self.api.marker_since >= since || away || self.network_faults > 0 || !source_has_it {
            return;
        }
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            let served = operators_serve && process.cut_from_operator < since;
            // A watch that missed a change is renewed by the answer to a report, or after minutes.
            let missed = process.deaf_watch > Moment::ZERO;
            let hindered = process.stopped >= since || missed || process.has_refused;
            let publish = self.should_run(index, &marked);
            let direct = process.direct && publish.fingerprint == newest;
            if !process.alive || hindered || !(served || direct) {
                continue;
            }
            let mut old = process.handles.iter().filter(|handle| handle.opened < since);
            if old.any(|handle| handle.current() != Some(publish)) {
                let what = format!("process {index} does not have {}, and nothing is in its way", name(publish));
                return self.breaks(Invariant::UndisturbedFollow, what);
            }
        }
    }
}
