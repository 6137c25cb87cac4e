//! The turn of a poll: the right to read a source, of which there are few.

use std::time::Duration;

use tokio::time::timeout;

use crate::load::turns::{Crowded, Turn, Turns};

/// The time after which a source that has not answered leaves its place among all polls to others. It still counts for
/// its namespace. An ordinary source answers within seconds.
const LINGERS_AFTER: Duration = Duration::from_secs(10);

/// The turn of a poll.
#[derive(Debug)]
pub(crate) struct PollTurn {
    turns: Turns<String>,
    namespace: String,
    turn: Option<Turn<String>>,
}

impl PollTurn {
    /// Waits until a source of a workspace of `namespace` may be read.
    pub(crate) async fn take(turns: &Turns<String>, namespace: &str) -> Result<Self, Crowded> {
        let turn = turns.take(&namespace.to_owned()).await?;
        Ok(Self { turns: turns.clone(), namespace: namespace.to_owned(), turn: Some(turn) })
    }

    /// Reads a source. One that takes long leaves its place to others meanwhile.
    pub(crate) async fn reading<T>(&mut self, mut read: impl Future<Output = T> + Unpin) -> T {
        if let Ok(ended) = timeout(LINGERS_AFTER, &mut read).await {
            return ended;
        }
        if let Some(turn) = &mut self.turn {
            turn.linger();
        }
        read.await
    }

    /// Gives the turn back.
    pub(crate) fn release(&mut self) {
        self.turn = None;
    }

    /// Waits until there is a place among all polls again, if the turn was given back or has left its place.
    pub(crate) async fn resume(&mut self) -> Result<(), Crowded> {
        if self.turn.as_ref().is_none_or(Turn::lingers) {
            // A namespace whose polls all linger would wait for itself.
            self.turn = None;
            self.turn = Some(self.turns.take(&self.namespace).await?);
        }
        Ok(())
    }
}
