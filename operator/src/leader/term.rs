//! The term in which this process may write.
//!
//! [`Leadership`] alone knows it. A term ends by itself when its Lease is no longer fresh by this process's own
//! monotonic clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The right of this process to write.
#[derive(Debug, Default)]
pub struct Leadership {
    term: Mutex<Term>,
    /// The URL of the other process that holds the Lease.
    leader: Mutex<Option<String>>,
    /// The holder of the Lease has changed since this process asked.
    holder_changed: Notify,
}

/// The latest time without a gap in which this process may write.
#[derive(Debug, Default)]
struct Term {
    number: u64,
    tenure: u64,
    until: Option<Instant>,
    /// The time until which another process may have written.
    others_until: Option<Instant>,
    /// The number of changes of the holder until this term, by the Lease.
    transitions: Option<i32>,
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

    /// Returns the number of the latest tenure: terms of this process without another holder of the Lease between them.
    pub(crate) fn tenure(&self) -> u64 {
        self.lock().tenure
    }

    /// Returns whether another process may have written within the last `ago`.
    pub(crate) fn others_wrote_within(&self, ago: Duration, now: Instant) -> bool {
        self.lock().others_until.is_some_and(|ended| now < ended + ago)
    }

    /// Returns the number of changes of the holder until this process's latest term.
    pub(crate) fn transitions(&self) -> Option<i32> {
        self.lock().transitions
    }

    /// Begins a term. `others_until` is the time until which another process may have written, if any ever did.
    pub(crate) fn begin(&self, until: Instant, others_until: Option<Instant>, transitions: Option<i32>) {
        let mut term = self.lock();
        let (number, tenure) = (term.number + 1, term.tenure + 1);
        *term = Term { number, tenure, until: Some(until), others_until, transitions };
    }

    /// Begins a term of a process that wrote before, where no other has written in between.
    pub(super) fn resume(&self, until: Instant) {
        let mut term = self.lock();
        term.number += 1;
        term.until = Some(until);
    }

    /// Returns the URL of the process that holds the Lease, if that is another one.
    pub(crate) fn leader(&self) -> Option<String> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn follow(&self, leader: Option<String>) {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    /// Has the Lease read now, and not only when it is due: another holder was seen.
    pub(super) fn holder_changed(&self) {
        self.holder_changed.notify_one();
    }

    /// Waits until another holder was seen.
    pub(super) async fn until_holder_changed(&self) {
        self.holder_changed.notified().await;
    }

    pub(super) fn renew(&self, until: Instant) {
        self.lock().until = Some(until);
    }

    /// Ends the term, also before the Lease is given up: from now on this process takes no reports and writes nothing.
    pub(crate) fn end(&self) {
        self.lock().until = None;
    }

    fn lock(&self) -> MutexGuard<'_, Term> {
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
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
        leadership.begin(after(1), None, None);
        assert_eq!((leadership.term(now), leadership.term(after(2))), (Some(1), None));
        assert!(leadership.is_held(now) && !leadership.is_held(after(2)));
        leadership.renew(after(3));
        assert_eq!(leadership.term(after(2)), Some(1));
        leadership.resume(after(9));
        assert_eq!((leadership.term(after(8)), leadership.tenure()), (Some(2), 1));
        leadership.begin(after(9), None, None);
        assert_eq!((leadership.term(after(8)), leadership.tenure()), (Some(3), 2));
        leadership.end();
        assert_eq!(leadership.term(now), None);
    }

    #[test]
    fn a_process_that_never_had_a_predecessor_knows_that_no_other_wrote() {
        let now = Instant::now();
        let (hour, after) = (Duration::from_secs(3600), |seconds| now + Duration::from_secs(seconds));
        let leadership = Leadership::default();
        leadership.begin(after(1), None, None);
        assert!(!leadership.others_wrote_within(hour, now));
        leadership.begin(after(20), Some(after(10)), None);
        assert!(leadership.others_wrote_within(hour, after(10)));
        leadership.resume(after(40));
        assert!(leadership.others_wrote_within(hour, after(3_609)));
        assert!(!leadership.others_wrote_within(hour, after(3_610)));
    }
}
