//! Sends no request to a host that failed until its backoff is over, for all workspaces together. The host may set the
//! time.

mod proxy;
mod recent;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

pub use crate::hosts::proxy::{InvalidProxy, Proxy};
pub(crate) use crate::hosts::recent::Recent;

/// The backoff after the first failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest backoff that the host has not asked for, so that its return is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest backoff that a host may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// The time for which the first request after a backoff keeps the others waiting.
const TRY: Duration = Duration::from_secs(1);

/// A source of numbers from 0 to 1, so that the processes that wait do not all come back at once.
pub type Jitter = fn() -> f64;

/// All hosts that one reader talks to.
pub(crate) struct Hosts {
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    jitter: Jitter,
}

impl Hosts {
    pub(crate) fn new(jitter: Jitter) -> Self {
        Self { hosts: Mutex::default(), jitter }
    }

    pub(crate) fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = || Arc::new(Host { backoff: Mutex::default(), jitter: self.jitter });
        hosts.entry(name.to_owned()).or_insert_with(host).clone()
    }

    /// Returns the rest of the backoff of `name`.
    pub(crate) fn wait(&self, name: &str) -> Option<Duration> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(name)?.with(|backoff| backoff.wait(Instant::now()))
    }

    /// Forgets hosts that are not in use and have not failed.
    pub(crate) fn forget_idle(&self) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.with(|backoff| backoff.failures > 0));
    }
}

/// One host, shared by all that talk to it.
pub(crate) struct Host {
    backoff: Mutex<HostBackoff>,
    jitter: Jitter,
}

/// The refusal of a request because the host is in backoff.
pub(crate) struct BackedOff;

impl Host {
    /// Asks for permission to send a request.
    pub(crate) fn ask(&self) -> Result<(), BackedOff> {
        self.with(|backoff| backoff.ask(Instant::now()))
    }

    /// Records that the host works.
    pub(crate) fn answered(&self) {
        self.with(|backoff| *backoff = HostBackoff::default());
    }

    /// Records that the host is down, or asks for a wait.
    pub(crate) fn refused(&self, retry_after: Option<Duration>) {
        let jitter = (self.jitter)();
        self.with(|backoff| backoff.refused(Instant::now(), retry_after, jitter));
    }

    fn with<T>(&self, act: impl FnOnce(&mut HostBackoff) -> T) -> T {
        act(&mut self.backoff.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The number of failures of a host, and the end of its backoff. Pure.
#[derive(Debug, Default)]
struct HostBackoff {
    failures: u32,
    until: Option<Instant>,
}

impl HostBackoff {
    fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.and_then(|until| until.checked_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// Permits one request once the backoff is over; the others wait for its outcome.
    fn ask(&mut self, now: Instant) -> Result<(), BackedOff> {
        if self.wait(now).is_some() {
            return Err(BackedOff);
        }
        if self.failures > 0 {
            self.until = Some(now + TRY);
        }
        Ok(())
    }

    fn refused(&mut self, now: Instant, retry_after: Option<Duration>, jitter: f64) {
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

/// Parses the value of a `Retry-After` header: seconds, or a date.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok().map(|date| date.duration_since(now).unwrap_or_default()),
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

    #[test]
    fn a_host_says_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 20 Nov 2026 20:00:00 GMT").unwrap();
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Fri, 20 Nov 2026 20:01:00 GMT", Some(60)),
            ("Fri, 20 Nov 2026 19:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(seconds), "{value}");
        }
    }
}
