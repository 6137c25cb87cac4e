//! The memory of all gits together: most need little, and of those that need more one runs at a time.
//!
//! A repository of some kilobytes can make git use all the memory that it may have, and there are as many gits at a time as
//! sources are read.

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

    /// Waits for the git with much memory, if the work ended for lack of it. It has the turn while the permit exists.
    pub(super) async fn after<T>(&self, outcome: &Result<T, SourceFault>) -> Option<(&Program, SemaphorePermit<'_>)> {
        let lacked = matches!(outcome, Err(SourceFault::Git(GitFault::OutOfMemory { .. })));
        if !lacked || self.usual.memory_bytes() >= self.large.memory_bytes() {
            return None;
        }
        Some((&self.large, self.turn.0.acquire().await.ok()?))
    }
}
