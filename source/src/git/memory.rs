//! The memory of all gits together: most need little, and of those that need more one runs at a time.
//!
//! A repository of some kilobytes can make git use all the memory that it may have, and there are as many gits at a time as
//! sources are read.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{GitFault, SourceFault};
use crate::git::program::Program;

/// The memory of a git that has no turn. Transfers of some 50 MiB, and reading from them, need less.
const WITHOUT_TURN: u64 = 64 << 20;

/// The turn of gits that need much memory. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct MemoryTurn(Arc<Semaphore>);

impl Default for MemoryTurn {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// The git of one remote, with little memory and with much. What fails for lack of it is done once more.
pub(super) struct Programs {
    usual: Program,
    large: Program,
    turn: MemoryTurn,
}

/// The git with much memory, while it has the turn.
pub(super) struct LargeProgram<'a> {
    program: &'a Program,
    _turn: SemaphorePermit<'a>,
}

/// A fault that more memory may mend.
pub(super) trait MemoryFault {
    /// Returns whether git lacked memory.
    fn is_of_memory(&self) -> bool;
}

impl MemoryFault for GitFault {
    fn is_of_memory(&self) -> bool {
        matches!(self, Self::OutOfMemory { .. })
    }
}

impl MemoryFault for SourceFault {
    fn is_of_memory(&self) -> bool {
        matches!(self, Self::Git(fault) if fault.is_of_memory())
    }
}

impl Programs {
    /// Limits the memory of `program` until it has the turn.
    pub(super) fn new(program: Program, turn: MemoryTurn) -> Self {
        let usual = program.with_memory(program.memory_bytes().min(WITHOUT_TURN));
        Self { usual, large: program, turn }
    }

    /// Returns the git with little memory.
    pub(super) fn usual(&self) -> &Program {
        &self.usual
    }

    /// Waits for the git with much memory, if the work ended for lack of it.
    pub(super) async fn after<T, F: MemoryFault>(&self, outcome: &Result<T, F>) -> Option<LargeProgram<'_>> {
        let lacked = outcome.as_ref().is_err_and(MemoryFault::is_of_memory);
        if !lacked || self.usual.memory_bytes() >= self.large.memory_bytes() {
            return None;
        }
        Some(LargeProgram { program: &self.large, _turn: self.turn.0.acquire().await.ok()? })
    }
}

impl Deref for LargeProgram<'_> {
    type Target = Program;

    fn deref(&self) -> &Program {
        self.program
    }
}
