//! The term in which this process may write.
//!
//! [`Leadership`] alone knows it. A term ends by itself when its Lease is no longer fresh by this process's own
//! monotonic clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The right of this process to write.
#[derive(Debug, Default)]
pub struct Leadership(Mutex<Term>);

/// The latest time without a gap in which this process may write.
#[derive(Debug, Default)]
struct Term {
    number: u64,
    until: Option<Instant>,
}

impl Leadership {
    /// Returns whether this process holds a fresh Lease.
    #[must_use]
    pub fn is_held(&self, now: Instant) -> bool {
        self.term(now).is_some()
    }

    /// Returns the number of the term in which this process holds a fresh Lease. The number grows with each gain: a
    /// decision of one term must not be written in another.
    #[must_use]
    pub fn term(&self, now: Instant) -> Option<u64> {
        let term = self.lock();
        term.until.filter(|until| now < *until).map(|_| term.number)
    }

    pub(super) fn begin(&self, until: Instant) {
        let mut term = self.lock();
        *term = Term { number: term.number + 1, until: Some(until) };
    }

    pub(super) fn renew(&self, until: Instant) {
        self.lock().until = Some(until);
    }

    pub(super) fn end(&self) {
        self.lock().until = None;
    }

    fn lock(&self) -> MutexGuard<'_, Term> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn leadership_ends_by_itself_and_its_next_term_has_another_number() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let leadership = Leadership::default();
        assert_eq!(leadership.term(now), None);
        leadership.begin(after(1));
        assert_eq!((leadership.term(now), leadership.term(after(2))), (Some(1), None));
        assert!(leadership.is_held(now) && !leadership.is_held(after(2)));
        leadership.renew(after(3));
        assert_eq!(leadership.term(after(2)), Some(1));
        leadership.begin(after(9));
        assert_eq!(leadership.term(after(8)), Some(2));
        leadership.end();
        assert_eq!(leadership.term(now), None);
    }
}
