//! The course of a history: how a world begins, and what happens at each event.

use std::time::Duration;

use crate::script::HistoryScript;
use crate::state::event::Event;
use crate::state::times::QUIET_AT;
use crate::state::world::World;

impl World {
    /// Returns the world in which `script` begins.
    pub fn begin(script: &HistoryScript, seed: u64) -> Self {
        let mut world = Self::new(script, seed);
        for plan in &script.pods {
            world.create_pod(*plan);
        }
        for _ in 0..script.unbound {
            world.start_process(None);
        }
        for operator in 0..2 {
            world.after(Duration::ZERO, Event::Start { operator });
        }
        world.after(Duration::from_millis(10), Event::GiveLease { operator: 0 });
        for step in &script.steps {
            let at = step.at + Duration::from_secs(8);
            world.at(at, Event::Act(step.act));
        }
        world.at(QUIET_AT, Event::Quiet);
        world
    }

    /// Lets the history happen until it is over or an invariant is broken.
    pub fn run(&mut self) {
        while self.violation.is_none()
            && let Some(event) = self.next_event()
        {
            self.handle(event);
        }
        if self.violation.is_none() {
            self.check_rest();
        }
    }

    fn handle(&mut self, event: Event) {
        if let Event::Act(act) = &event {
            self.log(|| format!("--- {act}"));
        }
        match event {
            Event::Act(act) => self.act(act),
            Event::Quiet => self.quiet(),
            Event::Report { process, handle, report } => self.report_arrives(process, handle, &report),
            Event::Drained { process, handle } => self.report_drained(process, handle),
            Event::Answer { process, handle, answer } => self.answer_arrives(process, handle, answer),
            Event::Watch { process } => self.watch_shows(process, false),
            Event::List { process } => self.watch_shows(process, true),
            Event::Fetched { process, handle, fingerprint, work, had } => {
                self.fetched(process, handle, fingerprint, work, had);
            }
            Event::Timer { process, handle, armed } => self.timer(process, handle, armed),
            Event::Die { process } => self.die(process),
            Event::Restart { pod } => self.restart_container(pod),
            Event::PodSeen { operator, life, pod, facts } => self.pod_seen(operator, life, pod, &facts),
            Event::MapSeen { operator, life } => self.map_seen(operator, life),
            Event::Reconcile { operator, life, armed } => self.reconcile_due(operator, life, armed),
            Event::PollEnded { operator, record, began, found, rules } => {
                self.poll_ended(operator, record, (began, found, rules));
            }
            Event::Turn { operator, record } => self.turn_comes(operator, record),
            Event::Patch { operator, record, version, marked, answered } => {
                self.patch_arrives(operator, record, version, *marked, answered);
            }
            Event::PatchAnswer { operator, record, accepted } => self.patch_answered(operator, record, accepted),
            Event::StatusPatch { operator, record, version, claim } => {
                self.status_arrives(operator, record, version, *claim)
            }
            Event::StatusAnswer { operator, record, claim } => {
                self.status_answered(operator, record, claim.map(|claim| *claim))
            }
            Event::WorkspaceSeen { operator, life } => self.workspace_seen(operator, life),
            Event::CreateWorkspace => self.create_workspace(),
            Event::Sweep { operator, life } => self.sweep(operator, life),
            Event::SweepPatch { operator, life, version, marker, decided } => {
                self.sweep_arrives(operator, life, version, *marker, decided)
            }
            Event::Resume => self.resume(),
            Event::RulesEnd { spec } => self.rules_end(spec),
            Event::SelectorMended => self.requeue_all_operators(),
            Event::OperatorsBack => self.operators_back(),
            Event::Start { operator } => self.start_operator(operator),
            Event::GiveLease { operator } => self.give_lease(operator),
        }
    }
}
