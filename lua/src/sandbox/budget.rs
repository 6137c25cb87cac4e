//! What a script may use up: instructions, and time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rototo_engine::lint::ScriptErrorKind;

/// Within which limits scripts run. The default is what the format promises them.
#[derive(Clone, Copy, Debug)]
pub struct ScriptLimits {
    /// How many bytes the Lua of one call may hold.
    pub memory: usize,
    /// How many instructions one call may run.
    pub instructions: u64,
    /// How long one call may take.
    pub time: Duration,
    /// How long all calls for one workspace may take together.
    pub total_time: Duration,
}

impl Default for ScriptLimits {
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
pub(super) struct ScriptBudget {
    instructions: Cell<u64>,
    end: Instant,
    spent: Cell<Option<ScriptErrorKind>>,
}

/// Nothing is left.
#[derive(Debug)]
pub(super) struct BudgetSpent;

impl ScriptBudget {
    pub(super) fn new(limits: &ScriptLimits) -> Self {
        Self { instructions: Cell::new(limits.instructions), end: Instant::now() + limits.time, spent: Cell::new(None) }
    }

    /// Takes so many instructions off.
    pub(super) fn spend(&self, instructions: u64) -> Result<(), BudgetSpent> {
        match self.instructions.get().checked_sub(instructions) {
            _ if self.spent.get().is_some() => {}
            None => self.spent.set(Some(ScriptErrorKind::Instructions)),
            Some(_) if Instant::now() > self.end => self.spent.set(Some(ScriptErrorKind::Time)),
            Some(left) => self.instructions.set(left),
        }
        if self.spent.get().is_some() { Err(BudgetSpent) } else { Ok(()) }
    }

    pub(super) fn left(&self) -> u64 {
        self.instructions.get()
    }

    /// What was used up, if something was.
    pub(super) fn cause(&self) -> Option<ScriptErrorKind> {
        self.spent.get()
    }
}
