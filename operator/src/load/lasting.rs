//! States that last, of which each is logged once when it begins and once when it ends.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rototo_engine::Digest;

/// The most keys whose state is known. Beyond them, all are forgotten, and each is logged once more.
const KEYS: usize = 20_000;

/// The lasting state of each key, by the digest of its words.
#[derive(Debug)]
pub(crate) struct Lasting<K>(Mutex<HashMap<K, Digest>>);

impl<K> Default for Lasting<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone> Lasting<K> {
    /// Records that `key` is in the state with these words. Returns whether that is new.
    pub(crate) fn is_new(&self, key: &K, words: &str) -> bool {
        let words = Digest::of(words.as_bytes());
        let mut states = self.states();
        if states.len() >= KEYS && !states.contains_key(key) {
            states.clear();
        }
        states.insert(key.clone(), words) != Some(words)
    }

    /// Records that `key` is in no such state. Returns whether it was in one.
    pub(crate) fn has_ended(&self, key: &K) -> bool {
        self.states().remove(key).is_some()
    }

    fn states(&self) -> MutexGuard<'_, HashMap<K, Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_new_until_it_ends_or_its_words_change() {
        let lasting = Lasting::default();
        assert!(!lasting.has_ended(&"a"));
        assert!(lasting.is_new(&"a", "down") && lasting.is_new(&"b", "down"));
        assert!(!lasting.is_new(&"a", "down") && lasting.is_new(&"a", "denied"));
        assert!(lasting.has_ended(&"a") && !lasting.has_ended(&"a"));
        assert!(lasting.is_new(&"a", "denied") && !lasting.is_new(&"b", "down"));
    }

    #[test]
    fn the_number_of_keys_has_a_limit() {
        let lasting = Lasting::default();
        for key in 0..KEYS + 10 {
            assert!(lasting.is_new(&key, "down"));
        }
        assert!(lasting.states().len() <= KEYS);
    }
}
