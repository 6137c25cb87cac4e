//! Faults and changes from outside, and their end.

use std::time::Duration;

use rototo_protocol::plan::MarkerEntry;

use crate::script::Act;
use crate::state::claim::Claim;
use crate::state::event::Event;
use crate::state::faults::Faults;
use crate::state::world::World;

impl World {
    pub fn act(&mut self, act: Act) {
        self.check_undisturbed();
        self.check_rehearsal_ends();
        self.acted = self.now;
        if !matches!(act, Act::StopOperators(_) | Act::RestartOperator(_) | Act::ChangeLeader | Act::HandOver) {
            self.disturbed = self.now;
        }
        match act {
            Act::Push(content) => {
                if self.git.content != content {
                    self.api.taken_back.clear();
                    self.git.changes += 1;
                    self.git.since = self.now;
                }
                self.git.content = content;
                self.pushed();
            }
            Act::PushReadme => self.pushed(),
            Act::RestartOperator(millis) => {
                if let Some(operator) = self.lease {
                    self.stop_operator(operator);
                    self.after(Duration::from_millis(millis), Event::Start { operator });
                    self.after(Duration::from_millis(millis + 20), Event::GiveLease { operator });
                }
            }
            Act::ChangeLeader => {
                if let Some(operator) = self.lease {
                    self.take_lease_away();
                    let gap = Duration::from_millis(self.rng.u64(100..4_000));
                    self.after(gap, Event::GiveLease { operator: 1 - operator });
                }
            }
            Act::HandOver => self.hand_over(),
            Act::CutOperator(millis) => {
                let until = self.now + Duration::from_millis(millis);
                self.faults.operator_cut = self.faults.operator_cut.max(until);
            }
            Act::Stop(one, millis) => self.stop_process(one, Duration::from_millis(millis)),
            Act::Kill(one) => {
                if let Some(process) = self.living(one) {
                    self.die(process);
                }
            }
            Act::StartProcess(one) => {
                if let Some(pod) = self.running_pod(one) {
                    self.start_process(Some(pod));
                }
            }
            Act::OpenHandle(one) => {
                if let Some(process) = self.living(one) {
                    self.open_handle(process);
                }
            }
            Act::CloseHandle(one) => {
                if let Some(process) = self.living(one) {
                    self.close_handle(process);
                }
            }
            Act::CreatePod(plan) => {
                self.create_pod(plan);
            }
            Act::DeletePod(one) => self.delete_pod(one),
            Act::LoseNode(one) => self.lose_node(one),
            Act::Unlabel(one) => self.unlabel(one),
            Act::EditMarker(content, later) => self.edit_marker(content, later),
            Act::UndoEdit => {
                if let Some(before) = self.api.before_edit.take() {
                    self.write_marker_by_hand(before);
                }
            }
            Act::RemoveMarker => self.remove_marker(),
            Act::EditNext(content, later) => self.edit_next(Some((content, later))),
            Act::RemoveNext => self.edit_next(None),
            Act::PublishAnyway(content) => {
                self.api.anyway[usize::from(content)] = true;
                self.requeue_all_operators();
            }
            Act::Refuse(one, content, refuses) => {
                if let Some(process) = self.living(one) {
                    self.processes[process].refuses[usize::from(content)] = refuses;
                    self.processes[process].has_refused = true;
                }
            }
            Act::CutFromOperator(one, millis) => {
                if let Some(process) = self.living(one) {
                    self.processes[process].cut_from_operator = self.now + Duration::from_millis(millis);
                }
            }
            Act::DeafWatch(one, millis) => {
                if let Some(process) = self.living(one) {
                    self.processes[process].deaf_watch = self.now + Duration::from_millis(millis);
                }
            }
            Act::StalePods(millis) => self.faults.stale_pods = self.now + Duration::from_millis(millis),
            Act::StaleMap(millis) => self.faults.stale_map = self.now + Duration::from_millis(millis),
            Act::LoseAnswer(millis) => self.faults.lose_answer = Some(Duration::from_millis(millis)),
            Act::Clock(millis) => {
                self.clock_jumped = true;
                if self.api.marker == MarkerEntry::Nothing {
                    // Only status may remember the last name, and not that of a namesake.
                    self.api.last_name = self.api.status.as_ref().and_then(Claim::last_name);
                }
                for operator in &mut self.operators {
                    operator.clock_offset += millis;
                }
            }
            Act::ForgeStatus => self.forge_status(),
            Act::Busy(millis) => self.faults.busy = self.now + Duration::from_millis(millis),
            Act::RecreateWorkspace(millis) => self.delete_workspace(Duration::from_millis(millis)),
            Act::StopOperators(millis) => self.stop_operators(Duration::from_millis(millis)),
            Act::GitAway(millis) => self.faults.git_away = self.now + Duration::from_millis(millis),
            Act::ApiAway(millis) => self.api_goes_away(Duration::from_millis(millis)),
            Act::LateStatus(millis) => self.faults.late_status = Some(Duration::from_millis(millis)),
            Act::Steps(steps) => self.change_steps(steps),
            Act::Ask(asked, newest) => self.ask(asked, newest),
            Act::Unask => self.unask(),
            Act::Suspend(millis) => self.suspend(Duration::from_millis(millis)),
            Act::DeleteStatus => self.delete_status(),
            Act::EditStage(step, whole) => self.edit_stage(step, whole),
            Act::RemoveHeld => self.remove_held(),
            Act::ChangeSelector => self.change_selector(),
            Act::BreakSelector(millis) => self.break_selector(Duration::from_millis(millis)),
            Act::RefuseBySpec(content, millis) => {
                self.change_rules(Some(content));
                let spec = self.api.requests.spec;
                self.after(Duration::from_millis(millis), Event::RulesEnd { spec });
            }
        }
    }

    /// Has the API server answer nobody: neither an operator nor the watches and lists of processes.
    fn api_goes_away(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.faults.api_away = until;
        self.faults.operator_cut = self.faults.operator_cut.max(until);
        for process in &mut self.processes {
            // A watch that breaks lists anew when it can.
            process.deaf_watch = process.deaf_watch.max(until);
        }
        for process in 0..self.processes.len() {
            if self.processes[process].alive {
                self.list_soon(process);
            }
        }
    }

    fn stop_operators(&mut self, duration: Duration) {
        self.faults.operators_down = self.faults.operators_down.max(self.now + duration);
        for operator in 0..self.operators.len() {
            self.stop_operator(operator);
        }
        self.at(self.faults.operators_down, Event::OperatorsBack);
    }

    pub fn operators_back(&mut self) {
        if self.now < self.faults.operators_down {
            return;
        }
        self.check_undisturbed();
        for operator in 0..self.operators.len() {
            self.start_operator(operator);
        }
        self.give_lease(0);
    }

    /// Ends all faults: all parts reach each other, and stopped processes continue.
    pub fn quiet(&mut self) {
        self.check_undisturbed();
        self.check_rehearsal_ends();
        self.acted = self.now;
        self.disturbed = self.now;
        self.faults = Faults::default();
        self.api.requests.suspended = Duration::ZERO;
        self.api.requests.selector_broken = Duration::ZERO;
        if self.api.requests.refused.is_some() {
            self.change_rules(None);
        }
        if self.api.workspace.is_none() {
            self.create_workspace();
        }
        for process in 0..self.processes.len() {
            self.heal_process(process);
        }
        if self.lease.is_none() {
            let operator = (0..2).find(|operator| self.operators[*operator].alive).unwrap_or(0);
            self.after(Duration::from_millis(100), Event::Start { operator });
            self.after(Duration::from_millis(200), Event::GiveLease { operator });
        }
        self.relist_pods();
        self.resume();
        self.requeue_all_operators();
    }
}
