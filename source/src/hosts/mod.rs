//! Sends no request to a host that failed until its backoff is over. The host may set the time.
//!
//! There are two backoffs. A host that can't be reached is left alone by everybody, for [half a minute](backoff) at most.
//! What a host answers concerns those who have the same credentials, as it limits each user: it holds for them alone.

mod backoff;
mod proxy;
mod recent;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rototo_engine::Digest;

use crate::credentials::Credentials;
use crate::hosts::backoff::HostBackoff;
pub use crate::hosts::proxy::{InvalidProxy, Proxy};
pub(crate) use crate::hosts::recent::Recent;
use crate::spec::RemoteUrl;

/// A source of numbers from 0 to 1, so that the processes that wait do not all come back at once.
pub type Jitter = fn() -> f64;

/// All hosts that one reader talks to. A clone knows the same hosts.
#[derive(Clone)]
pub(crate) struct Hosts {
    backoffs: Arc<Mutex<HashMap<HostKey, SharedBackoff>>>,
    jitter: Jitter,
}

/// Scheme, host, and port; and the digest of credentials, or nothing for all of them together.
type HostKey = (String, Option<Digest>);

type SharedBackoff = Arc<Mutex<HostBackoff>>;

impl Hosts {
    pub(crate) fn new(jitter: Jitter) -> Self {
        Self { backoffs: Arc::default(), jitter }
    }

    /// Returns the host of `url` for these credentials.
    pub(crate) fn host(&self, url: &RemoteUrl, credentials: &Credentials) -> Host {
        let (everybody, own) = keys(url, credentials);
        let mut backoffs = self.backoffs.lock().unwrap_or_else(PoisonError::into_inner);
        if !backoffs.contains_key(&own) {
            let now = Instant::now();
            backoffs.retain(|_, kept| Arc::strong_count(kept) > 1 || with(kept, |backoff| backoff.is_remembered(now)));
        }
        let mut of = |key| Arc::clone(backoffs.entry(key).or_default());
        Host { everybody: of(everybody), own: of(own), jitter: self.jitter }
    }

    /// Returns the rest of the backoff of the host of `url` for these credentials.
    pub(crate) fn wait(&self, url: &RemoteUrl, credentials: &Credentials) -> Option<Duration> {
        let (everybody, own) = keys(url, credentials);
        let backoffs = self.backoffs.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |key| with(backoffs.get(key)?, |backoff| backoff.wait(Instant::now()));
        wait(&everybody).max(wait(&own))
    }
}

fn keys(url: &RemoteUrl, credentials: &Credentials) -> (HostKey, HostKey) {
    let place = url.place();
    ((place.clone(), None), (place, Some(credentials.for_address(url).digest())))
}

fn with<T>(backoff: &Mutex<HostBackoff>, act: impl FnOnce(&mut HostBackoff) -> T) -> T {
    act(&mut backoff.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One host for one set of credentials, shared by all that talk to it with them.
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
    use crate::spec::Source;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn url(source: &str) -> RemoteUrl {
        let Source::Git(git) = source.parse().unwrap() else { panic!("{source}") };
        git.remote().clone()
    }

    fn token(token: &str) -> Credentials {
        Credentials::bearer(token).unwrap()
    }

    #[test]
    fn the_wait_of_one_token_is_not_that_of_another() {
        let hosts = Hosts::new(|| 0.0);
        let (a, b) = (url("git+https://h/a.git"), url("git+https://h:443/b.git"));
        hosts.host(&a, &token("one")).failed(HostFailure::Refused(Some(seconds(3600))));
        assert!(hosts.host(&b, &token("one")).ask().is_err());
        assert!(hosts.wait(&b, &token("one")).unwrap() > seconds(3500));
        assert!(hosts.host(&b, &token("two")).ask().is_ok());
        assert!(hosts.host(&b, &Credentials::default()).ask().is_ok());
        assert_eq!(hosts.wait(&b, &token("two")), None);
    }

    #[test]
    fn a_host_that_is_not_reached_is_left_alone_by_all_for_half_a_minute_at_most() {
        let hosts = Hosts::new(|| 1.0);
        let a = url("git+https://h/a.git");
        for _ in 0..100 {
            hosts.host(&a, &token("one")).failed(HostFailure::Unreachable);
        }
        assert!(hosts.host(&a, &token("two")).ask().is_err());
        assert!(hosts.wait(&a, &token("two")).unwrap() <= seconds(30));
        hosts.host(&a, &token("one")).failed(HostFailure::Refused(None));
        assert!(hosts.host(&a, &token("two")).ask().is_ok(), "it answers somebody");
    }

    #[test]
    fn ports_and_schemes_are_other_hosts() {
        let hosts = Hosts::new(|| 0.0);
        let none = Credentials::default();
        hosts.host(&url("git+ssh://git@h/r.git"), &none).failed(HostFailure::Unreachable);
        for same in ["git+ssh://git@h/other.git", "git+ssh://h:22/r.git"] {
            assert!(hosts.host(&url(same), &none).ask().is_err(), "{same}");
        }
        for other in ["git+https://h/r.git", "git+ssh://git@h:2222/r.git", "git+https://h:8443/r.git"] {
            assert!(hosts.host(&url(other), &none).ask().is_ok(), "{other}");
        }
    }

    #[test]
    fn hosts_without_failures_are_forgotten() {
        let hosts = Hosts::new(|| 0.0);
        for number in 0..100 {
            let _ = hosts.host(&url(&format!("git+https://h{number}/r.git")), &Credentials::default()).ask();
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
