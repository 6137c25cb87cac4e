//! A map that forgets the entries which nobody asks for. Memory only; the caller passes the time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// The time after which an entry that nobody asked for is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// The interval between two searches for such entries.
const CLEAN_EVERY: Duration = Duration::from_secs(300);

/// Values by key, each with the time of the last request for it.
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
    /// Returns the value of `key`, and records the request.
    pub(crate) fn touch(&mut self, key: &K, now: Instant) -> Option<&mut V> {
        let (value, requested) = self.entries.get_mut(key)?;
        *requested = now;
        Some(value)
    }

    /// Returns the value of `key`, without recording a request.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(value, _)| value)
    }

    /// Returns all values, without recording a request.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|(value, _)| value)
    }

    /// Returns all values, without recording a request.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut().map(|(value, _)| value)
    }

    /// Adds or replaces a value, and records a request for it.
    pub(crate) fn insert(&mut self, key: K, value: V, now: Instant) {
        self.entries.insert(key, (value, now));
    }

    /// Removes a value.
    pub(crate) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Removes and returns the values that nobody asked for recently.
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
    fn values_without_requests_for_a_while_are_forgotten() {
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
