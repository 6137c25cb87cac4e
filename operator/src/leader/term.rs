//! The term in which this process may write.
//!
//! [`Leadership`] alone knows it. A term ends by itself when its Lease is no longer fresh by this process's own
//! monotonic clock.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A process that fails to reach the leader for this long is cut off from it.
const CUT_OFF_AFTER: Duration = Duration::from_secs(10);
/// The time, from the first failure on, after which only a leader that still works renews its Lease. A request may have
/// been under way when the leader died, and its last renewal is seen a moment later.
const OUTLIVES: Duration = Duration::from_secs(5);

/// The right of this process to write.
#[derive(Debug, Default)]
pub struct Leadership {
    term: Mutex<Term>,
    leader: Mutex<Leader>,
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

/// The other process that holds the Lease.
#[derive(Debug, Default)]
struct Leader {
    url: Option<String>,
    /// The time at which this process saw its last renewal, and the time until which that holds.
    renewed: Option<(Instant, Instant)>,
    /// The time since which no request to it succeeds.
    unreachable: Option<Instant>,
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
        self.lock_leader().url.clone()
    }

    /// Records which process holds the Lease, if that is another one.
    pub(crate) fn follow(&self, leader: Option<String>) {
        let mut known = self.lock_leader();
        if known.url != leader {
            *known = Leader { url: leader, ..Leader::default() };
        }
    }

    /// Records that the other process's Lease was seen to be renewed at this time, for so long.
    pub(crate) fn saw_renewal(&self, at: Instant, lasts: Duration) {
        self.lock_leader().renewed = Some((at, at + lasts));
    }

    /// Records whether a request to the process at `url`, which began at this time, has succeeded.
    pub(crate) fn tried_to_reach(&self, url: &str, succeeded: bool, began: Instant) {
        let mut leader = self.lock_leader();
        if leader.url.as_deref() == Some(url) {
            leader.unreachable = if succeeded { None } else { leader.unreachable.or(Some(began)) };
        }
    }

    /// Returns whether this process can't reach the leader, which works: its Lease was renewed meanwhile, and is fresh.
    /// A leader that is dead cuts nobody off.
    pub(crate) fn is_cut_off(&self, now: Instant) -> bool {
        let leader = self.lock_leader();
        let (Some(since), Some((renewed, until))) = (leader.unreachable, leader.renewed) else { return false };
        now >= since + CUT_OFF_AFTER && renewed >= since + OUTLIVES && now < until
    }

    fn lock_leader(&self) -> MutexGuard<'_, Leader> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner)
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

    const LASTS: Duration = Duration::from_secs(15);

    /// A process that fails to reach the leader from the given second on, and has seen the last renewal then.
    fn failing(since: u64, renewed: u64) -> (Leadership, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let at = move |second| start + Duration::from_secs(second);
        let leadership = Leadership::default();
        leadership.follow(Some("https://leader".to_owned()));
        leadership.saw_renewal(at(renewed), LASTS);
        leadership.tried_to_reach("https://leader", false, at(since));
        (leadership, at)
    }

    #[test]
    fn a_process_is_cut_off_once_it_fails_to_reach_a_leader_that_works() {
        let (leadership, at) = failing(100, 100);
        assert!(!leadership.is_cut_off(at(115)), "nobody has seen the leader since");
        leadership.tried_to_reach("https://leader", false, at(105));
        leadership.saw_renewal(at(105), LASTS);
        assert!(!leadership.is_cut_off(at(109)) && leadership.is_cut_off(at(110)));
        leadership.tried_to_reach("https://leader", true, at(111));
        assert!(!leadership.is_cut_off(at(112)));
    }

    #[test]
    fn a_leader_that_is_dead_or_another_one_cuts_nobody_off() {
        // A request was under way when the leader died, just after its last renewal.
        let (leadership, at) = failing(100, 104);
        assert!((100..140).all(|second| !leadership.is_cut_off(at(second))));
        // It dies later, and its Lease lapses. Nobody need have taken it.
        let (leadership, at) = failing(100, 108);
        assert!(leadership.is_cut_off(at(122)) && !leadership.is_cut_off(at(123)));
        let (leadership, at) = failing(100, 108);
        leadership.follow(None);
        assert!(!leadership.is_cut_off(at(111)));
        let (leadership, at) = failing(100, 108);
        leadership.follow(Some("https://other".to_owned()));
        leadership.saw_renewal(at(111), LASTS);
        leadership.tried_to_reach("https://leader", false, at(111));
        assert!(!leadership.is_cut_off(at(111)), "the answer of the one before says nothing of it");
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
