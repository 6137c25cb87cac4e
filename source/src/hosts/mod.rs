//! Sends no request to a host that failed until its backoff is over. The host may set the time.
//!
//! There are two backoffs. A host that can't be reached is left alone by everybody, for [half a minute](backoff) at most;
//! the target of a redirect only by those who were sent there. What a host answers concerns those who have the same
//! credentials, as it limits each user: it holds for them alone. Without credentials, it holds for the owner for whom it
//! was asked: what one owner asks for must not silence a host for others.

mod backoff;
mod owner;
mod proxy;
mod recent;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rototo_engine::Digest;

use crate::hosts::backoff::HostBackoff;
pub(crate) use crate::hosts::owner::{Owner, Shares, charged_to, owner};
pub use crate::hosts::proxy::{InvalidProxy, Proxy};
pub(crate) use crate::hosts::recent::Recent;

/// A source of numbers from 0 to 1, so that the processes that wait do not all come back at once.
pub type Jitter = fn() -> f64;

/// All hosts that one reader talks to. A clone knows the same hosts.
#[derive(Clone)]
pub(crate) struct Hosts {
    backoffs: Arc<Mutex<HashMap<BackoffKey, SharedBackoff>>>,
    jitter: Jitter,
}

/// Scheme, host, and port; and the digest of credentials, unless they say nothing about who asks.
pub(crate) type HostKey = (String, Option<Digest>);

/// Scheme, host, and port; and those whom a backoff concerns.
type BackoffKey = (String, Concerned);

/// Those whom a backoff concerns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Concerned {
    Everybody,
    Credentials(Digest),
    Owner(Owner),
}

type SharedBackoff = Arc<Mutex<HostBackoff>>;

impl Hosts {
    pub(crate) fn new(jitter: Jitter) -> Self {
        Self { backoffs: Arc::default(), jitter }
    }

    /// Returns a host for one set of credentials, or without them for the owner for whom the current task asks.
    pub(crate) fn host(&self, key: HostKey) -> Host {
        let (everybody, own) = keys(key);
        let mut backoffs = self.backoffs.lock().unwrap_or_else(PoisonError::into_inner);
        if !backoffs.contains_key(&own) {
            let now = Instant::now();
            backoffs.retain(|_, kept| Arc::strong_count(kept) > 1 || with(kept, |backoff| backoff.is_remembered(now)));
        }
        let mut of = |key| Arc::clone(backoffs.entry(key).or_default());
        Host { everybody: of(everybody), own: of(own), jitter: self.jitter }
    }

    /// Returns the rest of the backoff of [such a host](Self::host).
    pub(crate) fn wait(&self, key: HostKey) -> Option<Duration> {
        let (everybody, own) = keys(key);
        let backoffs = self.backoffs.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |key| with(backoffs.get(key)?, |backoff| backoff.wait(Instant::now()));
        wait(&everybody).max(wait(&own))
    }
}

fn keys((place, credentials): HostKey) -> (BackoffKey, BackoffKey) {
    let own = credentials.map_or_else(|| Concerned::Owner(owner()), Concerned::Credentials);
    ((place.clone(), Concerned::Everybody), (place, own))
}

fn with<T>(backoff: &Mutex<HostBackoff>, act: impl FnOnce(&mut HostBackoff) -> T) -> T {
    act(&mut backoff.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One host for one set of credentials or one owner, shared by all that talk to it with them or for it.
#[derive(Clone)]
pub(crate) struct Host {
    everybody: SharedBackoff,
    own: SharedBackoff,
    jitter: Jitter,
}

/// The refusal of a request because the host is in backoff.
pub(crate) struct BackedOff;

/// A failure that a backoff follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostFailure {
    /// The host can't be reached, whoever asks.
    Unreachable,
    /// The host can't be reached, and another one redirects to it. Whoever owns that one decides where others are sent, so
    /// this concerns those alone who were.
    #[cfg_attr(
        not(feature = "archives"),
        expect(dead_code, reason = "only archives tell the steps of redirects apart")
    )]
    UnreachableByRedirect,
    /// The host answered that it can't serve these credentials now, or broke the connection. It may ask for a wait.
    Refused(Option<Duration>),
}

impl Host {
    /// Asks for permission to send a request.
    pub(crate) fn ask(&self) -> Result<(), BackedOff> {
        let now = Instant::now();
        // A refusal by one must not use up the turn that the other gives.
        if with(&self.everybody, |backoff| backoff.wait(now)).is_some() {
            return Err(BackedOff);
        }
        with(&self.own, |backoff| backoff.ask(now))?;
        with(&self.everybody, |backoff| backoff.ask(now))
    }

    /// Records that the host works.
    pub(crate) fn answered(&self) {
        with(&self.own, |backoff| *backoff = HostBackoff::default());
        self.reached();
    }

    /// Records a failure.
    pub(crate) fn failed(&self, failure: HostFailure) {
        let (now, jitter) = (Instant::now(), (self.jitter)());
        match failure {
            HostFailure::Unreachable => with(&self.everybody, |backoff| backoff.refused(now, None, jitter)),
            HostFailure::UnreachableByRedirect => with(&self.own, |backoff| backoff.refused(now, None, jitter)),
            HostFailure::Refused(retry_after) => {
                with(&self.own, |backoff| backoff.refused(now, retry_after, jitter));
                self.reached();
            }
        }
    }

    fn reached(&self) {
        with(&self.everybody, |backoff| *backoff = HostBackoff::default());
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

    fn key(place: &str, credentials: &str) -> HostKey {
        (place.to_owned(), Some(Digest::of(credentials.as_bytes())))
    }

    #[test]
    fn the_wait_of_one_token_is_not_that_of_another() {
        let hosts = Hosts::new(|| 0.0);
        hosts.host(key("https://h", "one")).failed(HostFailure::Refused(Some(seconds(3600))));
        assert!(hosts.host(key("https://h", "one")).ask().is_err());
        assert!(hosts.wait(key("https://h", "one")).unwrap() > seconds(3500));
        assert!(hosts.host(key("https://h", "two")).ask().is_ok());
        assert_eq!(hosts.wait(key("https://h", "two")), None);
    }

    #[test]
    fn a_host_that_is_not_reached_is_left_alone_by_all_for_half_a_minute_at_most() {
        let hosts = Hosts::new(|| 1.0);
        for _ in 0..100 {
            hosts.host(key("https://h", "one")).failed(HostFailure::Unreachable);
        }
        assert!(hosts.host(key("https://h", "two")).ask().is_err());
        assert!(hosts.wait(key("https://h", "two")).unwrap() <= seconds(30));
        assert!(hosts.host(key("ssh://h", "two")).ask().is_ok(), "another program listens there");
        hosts.host(key("https://h", "one")).failed(HostFailure::Refused(None));
        assert!(hosts.host(key("https://h", "two")).ask().is_ok(), "it answers somebody");
    }

    #[test]
    fn hosts_without_failures_are_forgotten() {
        let hosts = Hosts::new(|| 0.0);
        for number in 0..100 {
            let _ = hosts.host(key(&format!("https://h{number}"), "one")).ask();
        }
        assert!(hosts.backoffs.lock().unwrap().len() <= 2);
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
