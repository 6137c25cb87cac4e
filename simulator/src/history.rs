//! Runs histories, and makes those that fail short.

use std::fmt;

use rototo_protocol::fleet::{RehearsalMode, RehearsalRules};

use crate::rollout_plan::StepsPlan;
use crate::script::{Client, HistoryScript, PodPlan};
use crate::state::world::World;
use crate::violation::InvariantViolation;

/// The outcome of one history.
#[derive(Clone, Debug)]
pub struct HistoryOutcome {
    pub violation: Option<InvariantViolation>,
    /// The number of claims of convergence.
    pub claims: u64,
    /// The number of events.
    pub events: u64,
}

/// Lets `script` happen.
#[must_use]
pub fn run(script: &HistoryScript, seed: u64) -> HistoryOutcome {
    let mut world = World::begin(script, seed);
    world.run();
    HistoryOutcome { violation: world.violation, claims: world.claims, events: world.events }
}

/// Lets `script` happen, and tells what happened.
#[must_use]
pub fn replay(script: &HistoryScript, seed: u64) -> Vec<String> {
    let mut world = World::begin(script, seed);
    world.trace = Some(Vec::new());
    world.run();
    world.trace.unwrap_or_default()
}

/// A history that breaks an invariant, as short as it could be made.
#[derive(Clone, Debug)]
pub struct FailedHistory {
    pub seed: u64,
    pub script: HistoryScript,
    pub violation: InvariantViolation,
}

impl FailedHistory {
    /// Leaves out what the violation does not need.
    #[must_use]
    pub fn shrunk(seed: u64, script: HistoryScript, violation: InvariantViolation) -> Self {
        let mut failure = Self { seed, script, violation };
        loop {
            let before = failure.size();
            failure.shrink_steps();
            failure.shrink_fleet();
            failure.shrink_rollout();
            if failure.size() == before {
                return failure;
            }
        }
    }

    fn size(&self) -> usize {
        self.script.steps.len()
            + self.script.pods.len()
            + self.script.unbound
            + usize::from(self.script.network_faults > 0)
            + self.script.rehearsal.mode as usize
            + self.script.rollout.len()
    }

    fn try_instead(&mut self, script: HistoryScript) -> bool {
        let outcome = run(&script, self.seed);
        match outcome.violation {
            Some(violation) if violation.invariant == self.violation.invariant => {
                (self.script, self.violation) = (script, violation);
                true
            }
            _ => false,
        }
    }

    fn shrink_steps(&mut self) {
        let mut index = 0;
        while index < self.script.steps.len() {
            let mut shorter = self.script.clone();
            shorter.steps.remove(index);
            if !self.try_instead(shorter) {
                index += 1;
            }
        }
    }

    fn shrink_rollout(&mut self) {
        if !self.script.rollout.is_empty() {
            self.try_instead(HistoryScript { rollout: StepsPlan::NONE, ..self.script.clone() });
            self.try_instead(HistoryScript { queues: false, ..self.script.clone() });
        }
        let mut index = 0;
        while index < self.script.rollout.len() {
            let rollout = self.script.rollout.without(index);
            if !self.try_instead(HistoryScript { rollout, ..self.script.clone() }) {
                index += 1;
            }
        }
    }

    fn shrink_fleet(&mut self) {
        let mut index = 0;
        while self.script.pods.len() > 1 && index < self.script.pods.len() {
            let mut smaller = self.script.clone();
            smaller.pods.remove(index);
            if !self.try_instead(smaller) {
                index += 1;
            }
        }
        for index in 0..self.script.pods.len() {
            for simpler in simpler_pods(self.script.pods[index]) {
                if simpler != self.script.pods[index] {
                    let mut script = self.script.clone();
                    script.pods[index] = simpler;
                    self.try_instead(script);
                }
            }
        }
        let calm = HistoryScript { network_faults: 0, unbound: 0, ..self.script.clone() };
        if self.script.network_faults > 0 || self.script.unbound > 0 {
            self.try_instead(calm);
        }
        for mode in [RehearsalMode::Off, RehearsalMode::BestEffort] {
            if (mode as usize) < self.script.rehearsal.mode as usize {
                let rehearsal = RehearsalRules { mode, ..self.script.rehearsal };
                self.try_instead(HistoryScript { rehearsal, ..self.script.clone() });
            }
        }
    }
}

/// Returns pods with less about them: without all of its extras, or without one of them.
fn simpler_pods(pod: PodPlan) -> [PodPlan; 8] {
    [
        PodPlan { labelled: pod.labelled, ..PodPlan::PLAIN },
        PodPlan { second: false, ..pod },
        PodPlan { cache: false, ..pod },
        PodPlan { sidecar: false, ..pod },
        PodPlan { mute: false, ..pod },
        PodPlan { direct: false, ..pod },
        PodPlan { unprepared: false, ..pod },
        PodPlan { client: Client::Current, ..pod },
    ]
}

impl fmt::Display for FailedHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} breaks {:?}", self.seed, self.violation.invariant)?;
        for (index, pod) in self.script.pods.iter().enumerate() {
            writeln!(f, "  pod {index}: {pod}")?;
        }
        if self.script.unbound > 0 {
            writeln!(f, "  {} process bound to no pod", self.script.unbound)?;
        }
        let RehearsalRules { mode, within, min_prepared } = self.script.rehearsal;
        if mode != RehearsalMode::Off {
            writeln!(f, "  rehearsal: {mode:?}, {min_prepared} %, within {} ms", within.as_millis())?;
        }
        if !self.script.rollout.is_empty() {
            let queues = if self.script.queues { ", and newer content waits" } else { "" };
            writeln!(f, "  rollout: {}{queues}", self.script.rollout)?;
        }
        for step in &self.script.steps {
            writeln!(f, "  {step}")?;
        }
        let InvariantViolation { at, what, .. } = &self.violation;
        write!(f, "  {:>7} ms  {what}", at.as_millis().saturating_sub(8_000))
    }
}
