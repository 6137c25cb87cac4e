//! The turn of a poll: the right to read a source, of which there are few.
//!
//! There are as many places for sources that are slow as for all others. A source that has not answered for a while
//! goes on in one of the places for slow ones. If none is free, it goes on where it is while nobody waits for that place,
//! and is given up otherwise. Its next polls begin among the slow ones: for a minute, as hosts recover, and for longer if it
//! is slow again. The other sources of its namespace begin there too once the namespace had many slow answers. So however
//! many namespaces have slow sources, each takes places that others wait for only so often, and for that while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::load::turns::{Crowded, Turn, TurnLimits, Turns};
use crate::source::poll_error::PollError;

/// The time after which a source counts as slow. An ordinary source answers within seconds.
pub(crate) const SLOW_AFTER: Duration = Duration::from_secs(10);
/// The time for which a slow answer counts. A source with two of them begins its polls among the slow ones.
const SLOW_FOR: Duration = Duration::from_secs(3600);
/// The time for which a source with one slow answer begins its polls among the slow ones.
const SLOW_AT_FIRST: Duration = Duration::from_secs(60);
/// The number of slow answers with which all sources of a namespace begin their polls among the slow ones.
const SLOW_ANSWERS: usize = 8;
/// The number of polls that may wait for a turn. Each workspace has one poll at a time, so this is no limit for an
/// install of ordinary size; a waiting poll takes a few hundred bytes.
const WAITING_POLLS: usize = 65_536;

/// The turns of all polls.
#[derive(Clone, Debug)]
pub(crate) struct PollTurns {
    others: Turns<String>,
    slow: Turns<String>,
    /// The slow answers of each namespace that count.
    slow_answers: Arc<Mutex<HashMap<String, Vec<SlowAnswer>>>>,
}

/// A source that has not answered for a while.
#[derive(Debug)]
struct SlowAnswer {
    source: String,
    at: Instant,
}

/// The turn of a poll.
#[derive(Debug)]
pub(crate) struct PollTurn {
    turns: PollTurns,
    namespace: String,
    source: String,
    turn: Option<Turn<String>>,
    is_slow: bool,
}

impl PollTurns {
    /// Makes so many turns for slow sources, and as many for others.
    pub(crate) fn new(at_once: usize, per_namespace: usize) -> Self {
        let limits =
            TurnLimits { at_once, per_key: per_namespace, waiting: WAITING_POLLS, waiting_per_key: WAITING_POLLS };
        Self { others: Turns::new(limits), slow: Turns::new(limits), slow_answers: Arc::default() }
    }

    /// Waits until `source`, that of a workspace of `namespace`, may be read.
    pub(crate) async fn take(&self, namespace: &str, source: &str) -> Result<PollTurn, Crowded> {
        let (key, source) = (namespace.to_owned(), address(source));
        let mut turn = None;
        if !self.is_slow(namespace, source) {
            // The source may have become slow while the poll waited.
            turn = Some(self.others.take(&key).await?).filter(|_| !self.is_slow(namespace, source));
        }
        let (turn, is_slow) = match turn {
            Some(turn) => (turn, false),
            None => (self.slow.take(&key).await?, true),
        };
        Ok(PollTurn { turns: self.clone(), namespace: key, source: source.to_owned(), turn: Some(turn), is_slow })
    }

    fn is_slow(&self, namespace: &str, source: &str) -> bool {
        let answers = self.slow_answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(namespace).is_some_and(|answers| is_slow(answers, source, Instant::now()))
    }

    fn note_slow(&self, namespace: &str, source: &str) {
        let at = Instant::now();
        let mut answers = self.slow_answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, answers| {
            answers.retain(|answer| answer.counts(at));
            !answers.is_empty()
        });
        let answers = answers.entry(namespace.to_owned()).or_default();
        // The polls that read it at the same time have one slow answer together.
        if !is_slow(answers, source, at) {
            answers.push(SlowAnswer { source: source.to_owned(), at });
        }
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

impl SlowAnswer {
    fn counts(&self, now: Instant) -> bool {
        now.duration_since(self.at) < SLOW_FOR
    }
}

/// Returns the address in the text of a source, without the part of it that is one workspace.
fn address(source: &str) -> &str {
    source.split_once('#').map_or(source, |(address, _)| address)
}

/// Returns whether a source of the namespace with these slow answers begins its poll among the slow ones.
fn is_slow(answers: &[SlowAnswer], source: &str, now: Instant) -> bool {
    let counting = || answers.iter().filter(|answer| answer.counts(now));
    let mut own = counting().filter(|answer| answer.source == source);
    match (own.next(), own.next()) {
        _ if counting().count() >= SLOW_ANSWERS => true,
        (Some(_), Some(_)) => true,
        (Some(once), None) => now.duration_since(once.at) < SLOW_AT_FIRST,
        (None, _) => false,
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
        self.turns.note_slow(&self.namespace, &self.source);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_slow_again_and_a_namespace_with_many_slow_answers_begin_among_the_slow_ones() {
        let turns = PollTurns::new(1, 1);
        let slow = |namespace: &str, source: &str| turns.is_slow(namespace, source);
        turns.note_slow("a", "s1");
        assert!(slow("a", "s1") && !slow("a", "s2") && !slow("b", "s1"));
        tokio::time::advance(SLOW_AT_FIRST).await;
        assert!(!slow("a", "s1"));
        for _ in 0..20 {
            // Twenty polls at the same time.
            turns.note_slow("a", "s1");
        }
        tokio::time::advance(SLOW_FOR / 2).await;
        assert!(slow("a", "s1") && !slow("a", "s2"));
        for number in 2..8 {
            assert!(!slow("a", "fast"), "{number}");
            turns.note_slow("a", &format!("s{number}"));
        }
        tokio::time::advance(SLOW_FOR / 3).await;
        assert!(slow("a", "fast") && !slow("b", "fast"));
        tokio::time::advance(SLOW_FOR).await;
        assert!(!slow("a", "fast") && !slow("a", "s1"));
        turns.note_slow("b", "s1");
        assert_eq!(turns.slow_answers.lock().unwrap().len(), 1, "what no longer counts is forgotten");
    }

    #[test]
    fn the_workspaces_of_one_repository_are_one_source() {
        assert_eq!(address("git+https://h/r.git#main:prod"), address("git+https://h/r.git"));
    }
}
