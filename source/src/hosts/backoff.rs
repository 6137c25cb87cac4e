//! Decides when the next request to a host that failed may be sent. Pure: the caller passes the time.

use std::time::{Duration, Instant};

use crate::hosts::BackedOff;

/// The backoff after the first failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest backoff that the host has not asked for, so that its return is noticed. It is also the longest for all
/// credentials together.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest backoff that a host may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// The time for which the first request after a backoff keeps the others waiting.
const TRY: Duration = Duration::from_secs(1);
/// The time after the end of its backoff for which a failure is remembered.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The number of failures of a host, and the end of its backoff. Pure.
#[derive(Debug, Default)]
pub(super) struct HostBackoff {
    failures: u32,
    until: Option<Instant>,
}

impl HostBackoff {
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.and_then(|until| until.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Returns whether a failure is remembered, so that a next one waits longer.
    pub(super) fn is_remembered(&self, now: Instant) -> bool {
        self.failures > 0 && self.until.is_some_and(|until| now.saturating_duration_since(until) < REMEMBERED)
    }

    /// Permits one request once the backoff is over; the others wait for its outcome.
    pub(super) fn ask(&mut self, now: Instant) -> Result<(), BackedOff> {
        if self.wait(now).is_some() {
            return Err(BackedOff);
        }
        if self.failures > 0 {
            self.until = Some(now + TRY);
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, now: Instant, retry_after: Option<Duration>, jitter: f64) {
        let jitter = jitter.clamp(0.0, 1.0);
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        let wait = match retry_after {
            // The host's own wait is the minimum.
            Some(asked) => asked.clamp(FIRST_WAIT, LONGEST_RETRY_AFTER).mul_f64(1.0 + jitter / 10.0),
            None => doubled.mul_f64(0.5 + jitter / 2.0),
        };
        self.failures = self.failures.saturating_add(1);
        self.until = now.checked_add(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_limit() {
        let now = Instant::now();
        let mut backoff = HostBackoff::default();
        let waits: Vec<_> = (0..8)
            .map(|_| {
                backoff.refused(now, None, 1.0);
                backoff.wait(now).unwrap().as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        backoff.refused(now, None, 0.0);
        assert_eq!(backoff.wait(now), Some(seconds(15)), "jitter comes early");
    }

    #[test]
    fn the_hosts_own_wait_is_the_minimum() {
        let now = Instant::now();
        for (asked, jitter, expected) in [(120, 0.0, 120), (120, 1.0, 132), (0, 0.0, 1), (1_000_000, 0.0, 3600)] {
            let mut backoff = HostBackoff::default();
            backoff.refused(now, Some(seconds(asked)), jitter);
            assert_eq!(backoff.wait(now), Some(seconds(expected)));
        }
    }

    #[test]
    fn after_the_wait_one_tries_and_the_others_wait_for_it() {
        let now = Instant::now();
        let mut backoff = HostBackoff::default();
        assert!(backoff.ask(now).is_ok() && backoff.ask(now).is_ok());
        backoff.refused(now, Some(seconds(5)), 0.0);
        assert!(backoff.ask(now + seconds(4)).is_err());
        assert!(backoff.ask(now + seconds(5)).is_ok());
        assert!(backoff.ask(now + seconds(5)).is_err());
        assert!(backoff.ask(now + seconds(6)).is_ok(), "also if the first never came back");
    }
}
