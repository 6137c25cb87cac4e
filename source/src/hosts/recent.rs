//! Keeps what was asked for lately, and forgets the rest. Plain memory; the time comes from outside.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What nobody asked for during this time is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// How often that is looked after.
const CLEAN_EVERY: Duration = Duration::from_secs(300);

/// Values by key, each with the moment when it was wanted last.
pub(crate) struct Recent<K, V> {
    entries: HashMap<K, (V, Instant)>,
    cleaned: Option<Instant>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), cleaned: None }
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// The value of `key`, which is wanted now.
    pub(crate) fn touch(&mut self, key: &K, now: Instant) -> Option<&mut V> {
        let (value, requested) = self.entries.get_mut(key)?;
        *requested = now;
        Some(value)
    }

    /// The value of `key`, for who only looks.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Adds or replaces a value, which is wanted now.
    pub(crate) fn insert(&mut self, key: K, value: V, now: Instant) {
        self.entries.insert(key, (value, now));
    }

    /// Takes out what was not wanted for a while.
    pub(crate) fn forget(&mut self, now: Instant) -> Vec<V> {
        let cleaned = *self.cleaned.get_or_insert(now);
        if now.saturating_duration_since(cleaned) < CLEAN_EVERY {
            return Vec::new();
        }
        self.cleaned = Some(now);
        let old =
            |_: &K, (_, requested): &mut (V, Instant)| now.saturating_duration_since(*requested) >= FORGOTTEN_AFTER;
        self.entries.extract_if(old).map(|(_, (value, _))| value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_wants_for_a_while_is_forgotten() {
        let start = Instant::now();
        let after = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let mut recent = Recent::default();
        recent.insert("a", 1, start);
        recent.insert("b", 2, start);
        assert!(recent.forget(start).is_empty());
        assert_eq!(recent.touch(&"a", after(30)), Some(&mut 1));
        assert_eq!(recent.forget(after(61)), [2]);
        assert_eq!(recent.get(&"b"), None);
        assert!(recent.forget(after(61)).is_empty());
        assert_eq!(recent.forget(after(90)), [1]);
    }
}
