//! Answers that are remembered for a while, by the digest of the question. Neither the number of entries nor their
//! bytes exceed a limit, whoever asks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rototo_engine::Digest;
use tokio::time::Instant;

/// The memory of an entry beside the bytes of its value.
const OVERHEAD: usize = 128;

/// Answers by the digest of the question.
#[derive(Debug)]
pub(crate) struct Remembered<V> {
    entries: usize,
    bytes: usize,
    known: Mutex<Known<V>>,
}

#[derive(Debug)]
struct Known<V> {
    answers: HashMap<Digest, Answer<V>>,
    bytes: usize,
}

#[derive(Debug)]
struct Answer<V> {
    value: V,
    until: Instant,
    bytes: usize,
}

impl<V: Clone> Remembered<V> {
    /// Remembers at most this number of answers, in at most this number of bytes.
    pub(crate) fn new(entries: usize, bytes: usize) -> Self {
        Self { entries, bytes, known: Mutex::new(Known { answers: HashMap::new(), bytes: 0 }) }
    }

    /// Returns the answer, if it is remembered until after `then`.
    pub(crate) fn get(&self, question: &Digest, then: Instant) -> Option<V> {
        let known = self.lock();
        known.answers.get(question).filter(|answer| answer.until > then).map(|answer| answer.value.clone())
    }

    /// Remembers an answer of `bytes` bytes until `until`, if there is room. An answer that is not remembered is asked
    /// for again.
    pub(crate) fn put(&self, question: Digest, value: V, bytes: usize, until: Instant) {
        let (bytes, now) = (bytes.saturating_add(OVERHEAD), Instant::now());
        let mut known = self.lock();
        known.remove(&question);
        if known.answers.len() >= self.entries || known.bytes.saturating_add(bytes) > self.bytes {
            known.drop_expired(now);
        }
        if known.answers.len() < self.entries && known.bytes.saturating_add(bytes) <= self.bytes {
            known.bytes += bytes;
            known.answers.insert(question, Answer { value, until, bytes });
        }
    }

    /// Forgets an answer.
    pub(crate) fn forget(&self, question: &Digest) {
        self.lock().remove(question);
    }

    /// Returns the number of answers that are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().answers.len()
    }

    fn lock(&self) -> MutexGuard<'_, Known<V>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Known<V> {
    fn remove(&mut self, question: &Digest) {
        self.bytes -= self.answers.remove(question).map_or(0, |answer| answer.bytes);
    }

    fn drop_expired(&mut self, now: Instant) {
        self.answers.retain(|_, answer| answer.until > now);
        self.bytes = self.answers.values().map(|answer| answer.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_for_its_time() {
        let remembered = Remembered::new(10, 10_000);
        let now = Instant::now();
        remembered.put(digest(1), "yes", 3, now + Duration::from_secs(5));
        assert_eq!(remembered.get(&digest(1), now), Some("yes"));
        assert_eq!(remembered.get(&digest(1), now + Duration::from_secs(5)), None);
        remembered.forget(&digest(1));
        assert_eq!(remembered.get(&digest(1), now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn neither_entries_nor_bytes_exceed_their_limits_and_expired_answers_make_room() {
        let remembered = Remembered::new(10, 10_000);
        let until = Instant::now() + Duration::from_secs(5);
        for number in 0..100 {
            remembered.put(digest(number), (), 0, until);
        }
        assert_eq!(remembered.len(), 10);
        remembered.put(digest(5), (), 20_000, until);
        assert_eq!((remembered.len(), remembered.lock().bytes), (9, 9 * OVERHEAD));
        tokio::time::advance(Duration::from_secs(6)).await;
        for number in 200..300 {
            remembered.put(digest(number), (), 0, Instant::now() + Duration::from_secs(5));
        }
        assert!(remembered.get(&digest(200), Instant::now()).is_some());
        assert_eq!(remembered.len(), 10);
    }
}
