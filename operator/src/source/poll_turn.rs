//! The turn of a poll: the right to read a source, of which there are few.
//!
//! There are as many places for sources that are slow as for all others. A source that has not answered for a while
//! goes on in one of the places for slow ones. If none is free, it goes on where it is while nobody waits for that place,
//! and is given up otherwise. The next polls of its namespace begin among the slow ones. So however many namespaces have
//! slow sources, together they take a place that others wait for once, and for that while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::load::turns::{Crowded, Turn, TurnLimits, Turns};
use crate::source::poll_error::PollError;

/// The time after which a source counts as slow. An ordinary source answers within seconds.
const SLOW_AFTER: Duration = Duration::from_secs(10);
/// The time for which a namespace with a slow source begins its polls among the slow ones.
const SLOW_FOR: Duration = Duration::from_secs(3600);
/// The number of polls that may wait for a turn. Each workspace has one poll at a time, so this is no limit for an
/// install of ordinary size; a waiting poll takes a few hundred bytes.
const WAITING_POLLS: usize = 65_536;

/// The turns of all polls.
#[derive(Clone, Debug)]
pub(crate) struct PollTurns {
    others: Turns<String>,
    slow: Turns<String>,
    /// The namespaces with slow sources, and until when they count as such.
    slow_until: Arc<Mutex<HashMap<String, Instant>>>,
}

/// The turn of a poll.
#[derive(Debug)]
pub(crate) struct PollTurn {
    turns: PollTurns,
    namespace: String,
    turn: Option<Turn<String>>,
    is_slow: bool,
}

impl PollTurns {
    /// Makes so many turns for slow sources, and as many for others.
    pub(crate) fn new(at_once: usize, per_namespace: usize) -> Self {
        let limits =
            TurnLimits { at_once, per_key: per_namespace, waiting: WAITING_POLLS, waiting_per_key: WAITING_POLLS };
        Self { others: Turns::new(limits), slow: Turns::new(limits), slow_until: Arc::default() }
    }

    /// Waits until a source of a workspace of `namespace` may be read.
    pub(crate) async fn take(&self, namespace: &str) -> Result<PollTurn, Crowded> {
        let key = namespace.to_owned();
        let mut turn = None;
        if !self.is_slow(namespace) {
            // The namespace may have become slow while the poll waited.
            turn = Some(self.others.take(&key).await?).filter(|_| !self.is_slow(namespace));
        }
        let (turn, is_slow) = match turn {
            Some(turn) => (turn, false),
            None => (self.slow.take(&key).await?, true),
        };
        Ok(PollTurn { turns: self.clone(), namespace: key, turn: Some(turn), is_slow })
    }

    fn is_slow(&self, namespace: &str) -> bool {
        let slow = self.slow_until.lock().unwrap_or_else(PoisonError::into_inner);
        slow.get(namespace).is_some_and(|until| *until > Instant::now())
    }

    fn note_slow(&self, namespace: &str) {
        let now = Instant::now();
        let mut slow = self.slow_until.lock().unwrap_or_else(PoisonError::into_inner);
        slow.retain(|_, until| *until > now);
        slow.insert(namespace.to_owned(), now + SLOW_FOR);
    }

    /// Returns the number of turns of ordinary sources that are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.others.taken()
    }

    /// Returns the number of turns of slow sources that are taken.
    #[cfg(test)]
    pub(crate) fn taken_by_slow(&self) -> usize {
        self.slow.taken()
    }

    /// Returns the number of polls that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.others.waiting() + self.slow.waiting()
    }
}

impl PollTurn {
    /// Reads a source. One that takes long leaves its place to others: it goes on among the slow ones, or is given up.
    pub(crate) async fn reading<T>(&mut self, mut read: impl Future<Output = T> + Unpin) -> Result<T, PollError> {
        if self.is_slow {
            return Ok(read.await);
        }
        if let Ok(ended) = timeout(SLOW_AFTER, &mut read).await {
            return Ok(ended);
        }
        self.turns.note_slow(&self.namespace);
        let turns = self.turns.clone();
        tokio::select! {
            biased;
            ended = &mut read => return Ok(ended),
            turn = turns.slow.take(&self.namespace) => {
                self.turn = turn.ok();
                self.is_slow = true;
            }
            () = turns.others.crowded() => self.turn = None,
        }
        if self.turn.is_none() {
            return Err(PollError::Displaced(SLOW_AFTER));
        }
        Ok(read.await)
    }

    /// Gives the turn back.
    pub(crate) fn release(&mut self) {
        self.turn = None;
    }

    /// Waits until there is a place among the others again, if the turn was given back or is one of a slow source. What
    /// follows is no reading.
    pub(crate) async fn resume(&mut self) -> Result<(), Crowded> {
        if self.turn.is_none() || self.is_slow {
            self.turn = None;
            self.turn = Some(self.turns.others.take(&self.namespace).await?);
            self.is_slow = false;
        }
        Ok(())
    }
}
