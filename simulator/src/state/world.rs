//! The world that the pure parts live in: an API server, a git host, pods with their processes, operators, and messages
//! between them that take time, get lost, and overtake each other.
//!
//! Here is all that there is at one moment. The methods pass time, send messages, and note steps, for whatever happens.

use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use rototo_protocol::fleet::{Moment, RehearsalMode, RehearsalRules};

use super::api::Api;
use super::event::{Event, Queue};
use super::faults::Faults;
use super::git::Git;
use super::operator::Operator;
use super::pod::PodTruth;
use super::process::Process;
use super::times::{END_AT, QUIET_AT};
use crate::script::HistoryScript;
use crate::violation::{Invariant, InvariantViolation};

/// The state of a simulated history.
pub struct World {
    pub now: Moment,
    pub rng: Rng,
    queue: Queue,
    pub network_faults: u32,
    rehearsal: RehearsalRules,
    /// Newer content waits for the end of a rollout.
    pub queues: bool,
    pub api: Api,
    pub git: Git,
    pub operators: Vec<Operator>,
    /// The holder of the lease, and its term.
    pub lease: Option<usize>,
    pub terms: u64,
    /// The number of records that operators have begun.
    pub records: u64,
    pub pods: Vec<PodTruth>,
    pub processes: Vec<Process>,
    pub faults: Faults,
    pub violation: Option<InvariantViolation>,
    /// True if the operators' wall clocks have jumped.
    pub clock_jumped: bool,
    /// When something was done last, other than to operators.
    pub disturbed: Moment,
    /// When something was done last, to whomever.
    pub acted: Moment,
    /// Until then a write of the status may be late, or was.
    pub status_disturbed: Moment,
    /// True if a process has left, in whatever way, or a report did not reach the operator.
    pub somebody_left: bool,
    /// The steps of the history, if they are to be printed.
    pub trace: Option<Vec<String>>,
    /// The number of claims.
    pub claims: u64,
    pub events: u64,
}

impl World {
    /// Returns a world with the rules of `script`, in which nothing runs and nothing is to happen.
    pub fn new(script: &HistoryScript, seed: u64) -> Self {
        Self {
            now: Duration::from_secs(1),
            rng: Rng::with_seed(seed ^ 0x5eed),
            queue: Queue::default(),
            network_faults: script.network_faults,
            rehearsal: script.rehearsal,
            queues: script.queues,
            api: Api::new(script.rollout),
            git: Git::new(),
            operators: vec![Operator::new(), Operator::new()],
            lease: None,
            terms: 0,
            records: 0,
            pods: Vec::new(),
            processes: Vec::new(),
            faults: Faults::default(),
            violation: None,
            clock_jumped: false,
            disturbed: Moment::ZERO,
            acted: Moment::ZERO,
            status_disturbed: Moment::ZERO,
            somebody_left: false,
            trace: None,
            claims: 0,
            events: 0,
        }
    }

    pub fn at(&mut self, at: Moment, event: Event) {
        self.queue.push(at.max(self.now), event);
    }

    pub fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Lets time pass until the next event, and returns it, unless the history is over.
    pub fn next_event(&mut self) -> Option<Event> {
        let (at, event) = self.queue.pop().filter(|(at, _)| *at <= END_AT)?;
        self.now = at;
        self.events += 1;
        Some(event)
    }

    /// Draws the time that a message takes.
    pub fn delay(&mut self) -> Duration {
        let late = self.network_faults > 0 && self.rng.u32(0..100) < self.network_faults && self.now < QUIET_AT;
        Duration::from_millis(if late { self.rng.u64(50..4_000) } else { self.rng.u64(1..30) })
    }

    /// Decides whether a message gets lost.
    pub fn is_lost(&mut self) -> bool {
        self.network_faults > 0 && self.now < QUIET_AT && self.rng.u32(0..100) < self.network_faults / 2
    }

    /// Returns whether a person has this content published whatever processes report about it.
    pub fn is_anyway(&self, content: Option<u8>) -> bool {
        content.is_some_and(|content| self.api.anyway[usize::from(content % 3)])
    }

    /// Returns the rules by which this content is rehearsed: not at all, where a person has it published.
    pub fn rules_of(&self, content: Option<u8>) -> RehearsalRules {
        let anyway = self.is_anyway(content);
        RehearsalRules { mode: if anyway { RehearsalMode::Off } else { self.rehearsal.mode }, ..self.rehearsal }
    }

    /// Returns the wall clock that all agree on.
    pub fn wall(&self) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + i64::try_from(self.now.as_millis()).unwrap_or(0))
            .unwrap_or_default()
    }

    /// Notes what happens, unless it is what was noted last.
    pub fn log(&mut self, what: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            let what = what();
            if trace.last().is_none_or(|last| !last.ends_with(&what)) {
                trace.push(format!("{:>7} ms  {what}", now.as_millis().saturating_sub(8_000)));
            }
        }
    }

    pub fn breaks(&mut self, invariant: Invariant, what: String) {
        if self.violation.is_none() {
            self.violation = Some(InvariantViolation { invariant, at: self.now, what });
        }
    }
}
