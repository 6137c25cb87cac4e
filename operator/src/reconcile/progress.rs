//! Proof that the operator's loops turn: each end of a reconcile, and of an attempt to renew the Lease, counts.
//!
//! An attempt that failed proves as much as one that succeeded. So an API server, a git host, or a workspace that is slow
//! never makes the operator look dead, and an operator without workspaces looks alive as long as it asks for its Lease.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest time that all loops may stand still. A Lease is asked for at least every 50 seconds.
const STANDSTILL: Duration = Duration::from_secs(60);

/// The time of the last progress, on the monotonic clock.
#[derive(Debug)]
pub struct Progress(Mutex<Instant>);

impl Progress {
    /// Progress that begins with the process.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(now))
    }

    /// Notes that a loop has turned.
    pub fn touch(&self, now: Instant) {
        let mut last = self.last();
        *last = now.max(*last);
    }

    /// Whether any loop has turned of late.
    #[must_use]
    pub fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(*self.last()) <= STANDSTILL
    }

    fn last(&self) -> MutexGuard<'_, Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_operator_whose_loops_all_stand_still_is_dead() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let progress = Progress::new(start);
        assert!(progress.is_alive(after(60)));
        assert!(!progress.is_alive(after(61)));
        progress.touch(after(55));
        assert!(progress.is_alive(after(115)));
        // What was noted late by another thread takes nothing back.
        progress.touch(after(40));
        assert!(progress.is_alive(after(115)));
        assert!(!progress.is_alive(after(116)));
    }
}
