//! What a script may use up: instructions, and time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rototo_engine::lint::Cause;

/// Within which limits scripts run. The default is what the format promises them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many bytes the Lua of one call may hold.
    pub memory: usize,
    /// How many instructions one call may run.
    pub instructions: u64,
    /// How long one call may take.
    pub time: Duration,
    /// How long all calls for one workspace may take together.
    pub total_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 16 * 1024 * 1024,
            instructions: 1_000_000,
            time: Duration::from_secs(2),
            total_time: Duration::from_secs(20),
        }
    }
}

/// What is left of it for one call.
pub(super) struct Budget {
    instructions: Cell<u64>,
    end: Instant,
    spent: Cell<Option<Cause>>,
}

/// Nothing is left.
#[derive(Debug)]
pub(super) struct Spent;

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { instructions: Cell::new(limits.instructions), end: Instant::now() + limits.time, spent: Cell::new(None) }
    }

    /// Takes so many instructions off.
    pub(super) fn spend(&self, instructions: u64) -> Result<(), Spent> {
        match self.instructions.get().checked_sub(instructions) {
            _ if self.spent.get().is_some() => {}
            None => self.spent.set(Some(Cause::Instructions)),
            Some(_) if Instant::now() > self.end => self.spent.set(Some(Cause::Time)),
            Some(left) => self.instructions.set(left),
        }
        if self.spent.get().is_some() { Err(Spent) } else { Ok(()) }
    }

    pub(super) fn left(&self) -> u64 {
        self.instructions.get()
    }

    /// What was used up, if something was.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.spent.get()
    }
}
