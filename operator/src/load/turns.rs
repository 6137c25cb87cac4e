//! Turns for work of which only so much may happen at once, shared fairly between keys such as namespaces.
//!
//! [`Turns::take`] waits for a turn. Keys that wait are served round robin: one that asks for a thousand turns delays
//! another by one turn at most, and none has more than its own limit at a time. Waiting is bounded as well.
//!
//! Whoever has a turn and can do without it learns when [others wait for it](Turns::crowded).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// The limits of [`Turns`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct TurnLimits {
    /// The largest number of turns at a time.
    pub(crate) at_once: usize,
    /// The largest number of turns that one key has at a time.
    pub(crate) per_key: usize,
    /// The largest number of waiting calls.
    pub(crate) waiting: usize,
    /// The largest number of waiting calls of one key.
    pub(crate) waiting_per_key: usize,
}

/// Turns that are shared fairly between keys.
#[derive(Debug)]
pub(crate) struct Turns<K: Eq + Hash + Clone>(Arc<Shared<K>>);

/// A turn. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<K: Eq + Hash + Clone> {
    shared: Arc<Shared<K>>,
    key: K,
}

/// Too many calls wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

#[derive(Debug)]
struct Shared<K: Eq + Hash + Clone> {
    limits: TurnLimits,
    state: Mutex<State<K>>,
    /// A call began to wait for a place, or goes on waiting for one.
    crowded: Notify,
}

#[derive(Debug)]
struct State<K: Eq + Hash + Clone> {
    taken: usize,
    waiting: usize,
    by_key: HashMap<K, OfKey<K>>,
    /// The keys that wait, each once, in the order in which they are served.
    order: VecDeque<K>,
}

/// The turns of one key, and its calls that wait.
#[derive(Debug)]
struct OfKey<K: Eq + Hash + Clone> {
    taken: usize,
    queue: VecDeque<oneshot::Sender<Turn<K>>>,
}

impl<K: Eq + Hash + Clone> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// Makes turns with these limits, all of them free.
    pub(crate) fn new(limits: TurnLimits) -> Self {
        let state = State { taken: 0, waiting: 0, by_key: HashMap::new(), order: VecDeque::new() };
        Self(Arc::new(Shared { limits, state: Mutex::new(state), crowded: Notify::new() }))
    }

    /// Takes a turn if one is free for `key` now.
    pub(crate) fn try_take(&self, key: &K) -> Option<Turn<K>> {
        let taken = self.0.lock().take_free(key, &self.0.limits);
        taken.then(|| Turn { shared: self.0.clone(), key: key.clone() })
    }

    /// Waits for a turn. Cancellation safe: a call that is dropped waits no longer.
    pub(crate) async fn take(&self, key: &K) -> Result<Turn<K>, Crowded> {
        let receiver = {
            let mut state = self.0.lock();
            if state.take_free(key, &self.0.limits) {
                return Ok(Turn { shared: self.0.clone(), key: key.clone() });
            }
            let receiver = state.wait(key, &self.0.limits)?;
            self.0.note_crowded(&state);
            receiver
        };
        receiver.await.map_err(|_| Crowded)
    }

    /// Waits until all turns are taken, and a call waits that lacks nothing but a free one. Wakes one caller for each such
    /// call.
    pub(crate) async fn crowded(&self) {
        while !self.0.lock().is_crowded(&self.0.limits) {
            self.0.crowded.notified().await;
        }
    }

    /// Returns the number of turns that are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.0.lock().taken
    }

    /// Returns the number of calls that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().waiting
    }
}

impl<K: Eq + Hash + Clone> Shared<K> {
    /// A call that was dropped meanwhile sends its turn back, which ends it.
    fn give(self: &Arc<Self>, served: Vec<(K, oneshot::Sender<Turn<K>>)>) {
        for (key, waiter) in served {
            drop(waiter.send(Turn { shared: self.clone(), key }));
        }
    }

    fn note_crowded(&self, state: &State<K>) {
        if state.is_crowded(&self.limits) {
            self.crowded.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> State<K> {
    fn take_free(&mut self, key: &K, limits: &TurnLimits) -> bool {
        let of = self.by_key.get(key).map_or((0, true), |of| (of.taken, of.queue.is_empty()));
        let free = self.taken < limits.at_once && of.0 < limits.per_key && of.1;
        if free {
            self.taken += 1;
            self.of(key).taken += 1;
        }
        free
    }

    fn of(&mut self, key: &K) -> &mut OfKey<K> {
        self.by_key.entry(key.clone()).or_insert_with(|| OfKey { taken: 0, queue: VecDeque::new() })
    }

    fn wait(&mut self, key: &K, limits: &TurnLimits) -> Result<oneshot::Receiver<Turn<K>>, Crowded> {
        let queued = |state: &Self| state.by_key.get(key).map_or(0, |of| of.queue.len());
        if self.waiting >= limits.waiting || queued(self) >= limits.waiting_per_key {
            self.drop_cancelled();
        }
        if self.waiting >= limits.waiting || queued(self) >= limits.waiting_per_key {
            return Err(Crowded);
        }
        let (sender, receiver) = oneshot::channel();
        let of = self.of(key);
        let first = of.queue.is_empty();
        of.queue.push_back(sender);
        self.waiting += 1;
        if first {
            self.order.push_back(key.clone());
        }
        Ok(receiver)
    }

    fn is_crowded(&self, limits: &TurnLimits) -> bool {
        let lacks_a_turn = |key: &K| {
            self.by_key
                .get(key)
                .is_some_and(|of| of.taken < limits.per_key && of.queue.iter().any(|waiter| !waiter.is_closed()))
        };
        self.taken >= limits.at_once && self.order.iter().any(lacks_a_turn)
    }

    /// Drops the calls that no longer wait.
    fn drop_cancelled(&mut self) {
        for of in self.by_key.values_mut() {
            of.queue.retain(|waiter| !waiter.is_closed());
        }
        self.by_key.retain(|_, of| of.taken > 0 || !of.queue.is_empty());
        self.waiting = self.by_key.values().map(|of| of.queue.len()).sum();
        let by_key = &self.by_key;
        self.order.retain(|key| by_key.get(key).is_some_and(|of| !of.queue.is_empty()));
    }

    /// Gives free turns to the calls that wait, one for each key in turn.
    fn serve(&mut self, limits: &TurnLimits) -> Vec<(K, oneshot::Sender<Turn<K>>)> {
        let (mut served, mut at_limit) = (Vec::new(), 0);
        while self.taken < limits.at_once && at_limit < self.order.len() {
            let Some(key) = self.order.pop_front() else { break };
            let Some(of) = self.by_key.get_mut(&key) else { continue };
            let before = of.queue.len();
            of.queue.retain(|waiter| !waiter.is_closed());
            self.waiting -= before - of.queue.len();
            if of.taken >= limits.per_key && !of.queue.is_empty() {
                self.order.push_back(key);
                at_limit += 1;
                continue;
            }
            if let Some(waiter) = of.queue.pop_front() {
                of.taken += 1;
                self.taken += 1;
                self.waiting -= 1;
                served.push((key.clone(), waiter));
                at_limit = 0;
            }
            if !of.queue.is_empty() {
                self.order.push_back(key);
            } else if of.taken == 0 {
                self.by_key.remove(&key);
            }
        }
        served
    }
}

impl<K: Eq + Hash + Clone> Drop for Turn<K> {
    fn drop(&mut self) {
        let served = {
            let mut state = self.shared.lock();
            state.taken -= 1;
            let of = state.of(&self.key);
            of.taken -= 1;
            if of.taken == 0 && of.queue.is_empty() {
                state.by_key.remove(&self.key);
            }
            let served = state.serve(&self.shared.limits);
            self.shared.note_crowded(&state);
            served
        };
        self.shared.give(served);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn turns(at_once: usize, per_key: usize) -> Turns<&'static str> {
        Turns::new(TurnLimits { at_once, per_key, waiting: 100, waiting_per_key: 50 })
    }

    #[tokio::test]
    async fn a_key_has_no_more_turns_than_its_limit_and_all_keys_no_more_than_there_are() {
        let turns = turns(3, 2);
        let taken = ["a", "a", "a", "b", "b", "c"].map(|key| turns.try_take(&key));
        assert_eq!(taken.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, true, false, false]);
        drop(taken);
        assert_eq!(turns.taken(), 0);
        assert!(turns.0.lock().by_key.is_empty(), "a key without turns is forgotten");
    }

    #[tokio::test]
    async fn keys_that_wait_are_served_in_turn() {
        let turns = turns(1, 1);
        let first = turns.try_take(&"a").unwrap();
        let (done, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = Vec::new();
        for key in ["a", "a", "a", "a", "b", "c"] {
            let (turns, done) = (turns.clone(), done.clone());
            tasks.push(tokio::spawn(async move {
                let turn = turns.take(&key).await.unwrap();
                done.send(key).unwrap();
                tokio::task::yield_now().await;
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        assert_eq!(turns.waiting(), 6);
        drop(first);
        futures::future::join_all(tasks).await;
        drop(done);
        let mut served = Vec::new();
        while let Some(key) = order.recv().await {
            served.push(key);
        }
        assert_eq!(served, ["a", "b", "c", "a", "a", "a"]);
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_waits_no_longer() {
        let turns = turns(1, 1);
        let first = turns.take(&"a").await.unwrap();
        let mut dropped = Box::pin(turns.take(&"a"));
        assert!(dropped.as_mut().now_or_never().is_none());
        let mut waits = Box::pin(turns.take(&"b"));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(dropped);
        drop(first);
        let turn = waits.as_mut().now_or_never().unwrap().unwrap();
        assert_eq!((turns.taken(), turns.waiting()), (1, 0));
        drop(turn);
        assert_eq!(turns.taken(), 0);
    }

    #[tokio::test]
    async fn a_turn_that_arrives_at_a_dropped_call_is_passed_on() {
        let turns = turns(1, 1);
        let first = turns.take(&"a").await.unwrap();
        let mut dropped = Box::pin(turns.take(&"a"));
        assert!(dropped.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(turns.taken(), 1);
        drop(dropped);
        assert_eq!(turns.taken(), 0);
    }

    #[tokio::test]
    async fn no_more_calls_wait_than_the_limits_allow() {
        let turns = Turns::new(TurnLimits { at_once: 1, per_key: 1, waiting: 3, waiting_per_key: 2 });
        let first = turns.take(&"a").await.unwrap();
        let mut waiting: Vec<_> = ["a", "a", "b"].iter().map(|key| Box::pin(turns.take(key))).collect();
        assert!(waiting.iter_mut().all(|call| call.as_mut().now_or_never().is_none()));
        assert_eq!(turns.take(&"a").await.unwrap_err(), Crowded);
        assert_eq!(turns.take(&"c").await.unwrap_err(), Crowded);
        // Calls that were dropped leave their places to others.
        waiting.clear();
        let mut waits = Box::pin(turns.take(&"c"));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waits.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_key_at_its_limit_does_not_hold_up_others() {
        let turns = turns(2, 1);
        let held = turns.take(&"a").await.unwrap();
        let mut waits = Box::pin(turns.take(&"a"));
        assert!(waits.as_mut().now_or_never().is_none());
        assert!(turns.take(&"b").now_or_never().is_some());
        drop(held);
        assert!(waits.as_mut().now_or_never().is_some());
    }

    /// Returns how many of those who wait have learnt that it is crowded.
    fn learn<F: Future<Output = ()>>(crowded: &mut [std::pin::Pin<Box<F>>; 2]) -> usize {
        crowded.iter_mut().filter_map(|crowded| crowded.as_mut().now_or_never()).count()
    }

    #[tokio::test]
    async fn whoever_can_do_without_a_turn_learns_that_others_wait_for_it() {
        let turns = turns(2, 1);
        let held = [turns.try_take(&"a").unwrap(), turns.try_take(&"b").unwrap()];
        let mut crowded = [Box::pin(turns.crowded()), Box::pin(turns.crowded())];
        assert_eq!(learn(&mut crowded), 0);
        // A call of a key that has all of its own lacks more than a place.
        let mut own = Box::pin(turns.take(&"a"));
        assert!(own.as_mut().now_or_never().is_none());
        assert_eq!(learn(&mut crowded), 0);
        let mut other = Box::pin(turns.take(&"c"));
        assert!(other.as_mut().now_or_never().is_none());
        assert_eq!(learn(&mut crowded), 1, "one call waits");
        drop((own, other));
        assert!(turns.crowded().now_or_never().is_none(), "nobody waits any more");
        drop(held);
    }
}
