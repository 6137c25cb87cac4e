//! The budget of a script: instructions and time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rototo_engine::lint::ScriptErrorKind;

/// The limits of scripts. The default is the one that the format promises.
#[derive(Clone, Copy, Debug)]
pub struct ScriptLimits {
    /// The most bytes of memory for the Lua state of one call.
    pub memory: usize,
    /// The most instructions of one call.
    pub instructions: u64,
    /// The longest time of one call.
    pub time: Duration,
    /// The longest time of all calls for one workspace together.
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

/// The remaining budget of one call.
pub(super) struct ScriptBudget {
    instructions: Cell<u64>,
    end: Instant,
    spent: Cell<Option<ScriptErrorKind>>,
}

/// The budget is spent.
#[derive(Debug)]
pub(super) struct BudgetSpent;

impl From<BudgetSpent> for mlua::Error {
    fn from(_: BudgetSpent) -> Self {
        Self::runtime("the limits of the script are passed")
    }
}

impl ScriptBudget {
    pub(super) fn new(limits: &ScriptLimits) -> Self {
        Self { instructions: Cell::new(limits.instructions), end: Instant::now() + limits.time, spent: Cell::new(None) }
    }

    /// Subtracts that many instructions.
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

    /// Returns the exhausted limit, if there is one.
    pub(super) fn cause(&self) -> Option<ScriptErrorKind> {
        self.spent.get()
    }
}
