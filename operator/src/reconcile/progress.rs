//! The proof that the operator's loops turn: each end of a reconcile, and of an attempt to renew the Lease, counts.
//!
//! A failed attempt proves as much as a successful one. So a slow API server, git host, or workspace never makes the
//! operator seem dead, and an operator without workspaces seems alive as long as it asks for its Lease.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest time that all loops may stand still. The operator asks for its Lease at least every 50 seconds.
const STANDSTILL: Duration = Duration::from_secs(60);

/// The time of the last progress, on the monotonic clock.
#[derive(Debug)]
pub struct Progress(Mutex<Instant>);

impl Progress {
    /// Progress that begins at `now`, with the process.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(now))
    }

    /// Notes that a loop has turned.
    pub fn touch(&self, now: Instant) {
        let mut last = self.last();
        *last = now.max(*last);
    }

    /// Returns whether any loop has turned recently.
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
        // Another thread that notes an earlier time takes nothing back.
        progress.touch(after(40));
        assert!(progress.is_alive(after(115)));
        assert!(!progress.is_alive(after(116)));
    }
}
