//! Budgets of things that may happen only so often, one for each key, such as failed reviews of an address.
//!
//! Pure: every method takes the time. A budget that is full again is forgotten, so that the memory holds only the keys
//! that have spent something recently.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The largest number of keys that are remembered. Beyond it, the key that spent last replaces one that is almost full.
const KEYS: usize = 4_096;

/// Budgets by key.
#[derive(Debug)]
pub(crate) struct Budgets<K> {
    /// The number that may happen at once.
    burst: u32,
    /// The time after which one more may happen.
    refill: Duration,
    /// By key: the time at which its budget is full again.
    full_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash + Clone> Budgets<K> {
    /// Makes budgets that allow `burst` at once, and one more in each `refill`.
    pub(crate) fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, full_at: Mutex::default() }
    }

    /// Returns the time until `key` may spend again; `None` if it may now.
    pub(crate) fn wait(&self, key: &K, now: Instant) -> Option<Duration> {
        let full_at = *self.full_at.lock().unwrap_or_else(PoisonError::into_inner).get(key)?;
        let missing = full_at.saturating_duration_since(now);
        missing.checked_sub(self.refill * (self.burst - 1)).filter(|wait| !wait.is_zero())
    }

    /// Takes one from the budget of `key`, and returns the time until it may: `None` if it may now.
    pub(crate) fn charge(&self, key: &K, now: Instant) -> Option<Duration> {
        let wait = self.wait(key, now);
        self.spend(key, now);
        wait
    }

    /// Takes one from the budget of `key`. A budget is never overdrawn by more than its size.
    pub(crate) fn spend(&self, key: &K, now: Instant) {
        let mut all = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEYS && !all.contains_key(key) {
            all.retain(|_, full_at| *full_at > now);
            let fullest = all.iter().min_by_key(|(_, full_at)| **full_at).map(|(key, _)| key.clone());
            if let Some(fullest) = fullest.filter(|_| all.len() >= KEYS) {
                all.remove(&fullest);
            }
        }
        let full_at = all.entry(key.clone()).or_insert(now);
        *full_at = ((*full_at).max(now) + self.refill).min(now + self.refill * self.burst * 2);
    }

    /// Returns the keys that are remembered.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> Vec<K> {
        self.full_at.lock().unwrap().keys().cloned().collect()
    }

    /// Returns the number of keys that are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.full_at.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_may_spend_its_budget_at_once_and_then_one_at_a_time() {
        let budgets = Budgets::new(3, Duration::from_secs(1));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(budgets.wait(&"a", start), None);
            budgets.spend(&"a", start);
        }
        assert_eq!(budgets.wait(&"a", start), Some(Duration::from_secs(1)));
        assert_eq!(budgets.wait(&"b", start), None);
        let later = start + Duration::from_secs(1);
        assert_eq!(budgets.wait(&"a", later), None);
        budgets.spend(&"a", later);
        assert!(budgets.wait(&"a", later).is_some());
        assert_eq!(budgets.wait(&"a", start + Duration::from_secs(60)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_remembered_keys_is_bounded() {
        let budgets = Budgets::new(2, Duration::from_secs(1));
        let now = Instant::now();
        for key in 0..3 * KEYS {
            budgets.spend(&key, now);
        }
        assert!(budgets.len() <= KEYS);
    }
}
