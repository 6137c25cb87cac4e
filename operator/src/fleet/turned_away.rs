//! The time of the last report that was turned away: by a limit, before its sender was known, or on its way to the leader.
//!
//! It may have been the report of any process, so every fleet waits longer for a process that does not report.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rototo_protocol::fleet::Moment;

/// The time of the last report that was turned away, in milliseconds of the operator's clock.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway(AtomicU64);

impl TurnedAway {
    /// Records that a report is turned away at `now`.
    pub(crate) fn note(&self, now: Moment) {
        self.0.fetch_max(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the time at which a report was last turned away.
    pub(crate) fn last(&self) -> Moment {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
