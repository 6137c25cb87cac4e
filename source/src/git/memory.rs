//! The memory of all gits together: most need little, and of those that need more one runs at a time.
//!
//! A repository of some kilobytes can make git use all the memory that it may have, and there are as many gits at a time
//! as sources are read. Owners for whom a reader reads take turns, so that one with many such repositories holds up another
//! for one reading, which has a time limit.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{GitFault, SourceFault};
use crate::git::program::Program;
use crate::hosts::{Shares, owner};

/// The memory of a git that has no turn. Transfers of some 50 MiB, and reading from them, need less.
const WITHOUT_TURN: u64 = 64 << 20;

/// The turn of gits that need much memory. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct MemoryTurn {
    turn: Arc<Semaphore>,
    /// Of each owner, one waits for the turn, and the others for that one to end.
    of_owner: Arc<Shares>,
}

/// The turn while it is taken. It goes to the next owner first, and then the owner may wait again.
pub(super) struct TakenTurn {
    _turn: OwnedSemaphorePermit,
    _of_owner: OwnedSemaphorePermit,
}

impl Default for MemoryTurn {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), of_owner: Arc::new(Shares::new(1)) }
    }
}

impl MemoryTurn {
    async fn take(&self) -> Option<TakenTurn> {
        let of_owner = self.of_owner.of(owner()).acquire_owned().await.ok()?;
        Some(TakenTurn { _turn: self.turn.clone().acquire_owned().await.ok()?, _of_owner: of_owner })
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

    /// Waits for the git with much memory, if the work ended for lack of it. It has the turn while the returned one exists,
    /// and does all of its work [in time](Self::in_time).
    pub(super) async fn after<T>(&self, outcome: &Result<T, SourceFault>) -> Option<(&Program, TakenTurn)> {
        let lacked = matches!(outcome, Err(SourceFault::Git(GitFault::OutOfMemory { .. })));
        if !lacked || self.usual.memory_bytes() >= self.large.memory_bytes() {
            return None;
        }
        Some((&self.large, self.turn.take().await?))
    }

    /// Does work of several runs of git in the time limit of one.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, SourceFault>>,
    ) -> Result<T, SourceFault> {
        let limit = self.large.timeout();
        let ended = tokio::time::timeout(limit, work).await;
        ended.unwrap_or_else(|_| Err(GitFault::TimedOut(limit).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::charged_to;

    #[tokio::test]
    async fn owners_take_turns() {
        let turns = MemoryTurn::default();
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        let held = turns.take().await.unwrap();
        for owner in ["a", "a", "a", "b", "b"] {
            let (turns, done) = (turns.clone(), done.clone());
            tokio::spawn(charged_to(Some(owner.into()), async move {
                let turn = turns.take().await.unwrap();
                done.send(owner).unwrap();
                tokio::task::yield_now().await;
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        drop((held, done));
        let mut served = Vec::new();
        while let Some(owner) = order.recv().await {
            served.push(owner);
        }
        assert_eq!(served, ["a", "b", "a", "b", "a"]);
        turns.of_owner.of(None);
        assert_eq!(turns.of_owner.len(), 1, "who waits no longer is forgotten");
    }
}
