//! The Lease: what it says, whether this process may take it, and how it is written.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;
use kube::api::ObjectMeta;

/// The longest wait for an answer, however long the Lease lasts.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// The longest that a Lease of a process can hold. One that says more was written by somebody else.
const HOLDS_AT_MOST: Duration = Duration::from_secs(120);
/// The annotation of the Lease with the URL of the process that holds it.
const ANNOTATION_PEER_URL: &str = "rototo.dev/peer-url";

/// The Lease that a process competes for.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// The identity of the process. A process that takes the place of one that has ended has the same identity, and
    /// goes on at once.
    pub identity: String,
    /// The time for which the Lease holds without being renewed.
    pub duration: Duration,
    /// The URL at which the other processes of this install reach this one. `None` if there are none.
    pub peer_url: Option<String>,
}

impl LeaseConfig {
    /// Returns the time for which a free Lease is left to the replicas that have every snapshot. They ask for it several
    /// times meanwhile.
    fn deference(&self) -> Duration {
        self.duration / 5
    }

    /// Returns the longest wait for an answer. A later answer would come when the Lease has nearly run out.
    pub(super) fn answer_timeout(&self) -> Duration {
        (self.duration / 3).min(ANSWERS_WITHIN)
    }
}

/// The Lease as it was read, and the time since which it has not changed.
#[derive(Clone, Debug)]
pub(super) struct ObservedLease {
    pub(super) lease: Lease,
    pub(super) since: Instant,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum LeaseAction {
    Create,
    /// Write the Lease with this process as the holder.
    Take,
    /// Somebody else holds the Lease.
    Wait,
}

/// One holder's uninterrupted possession, as the Lease itself shows it: the next holder writes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tenure {
    pub(super) transitions: Option<i32>,
    pub(super) acquired: Option<MicroTime>,
}

impl Tenure {
    pub(super) fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        Self { transitions: spec.lease_transitions, acquired: spec.acquire_time }
    }
}

pub(super) fn observe(before: Option<ObservedLease>, found: Option<Lease>, now: Instant) -> Option<ObservedLease> {
    let lease = found?;
    let since = before.filter(|before| before.lease.resource_version() == lease.resource_version());
    Some(ObservedLease { since: since.map_or(now, |before| before.since), lease })
}

/// Decides about the Lease. A process that is not `complete` leaves a free Lease to one that is, for a moment.
pub(super) fn decide(seen: Option<&ObservedLease>, config: &LeaseConfig, complete: bool, now: Instant) -> LeaseAction {
    let Some(ObservedLease { lease, since }) = seen else { return LeaseAction::Create };
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let duration = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    let duration = duration.map_or(config.duration, Duration::from_secs).min(HOLDS_AT_MOST);
    let unchanged = now.saturating_duration_since(*since);
    let deference = if complete { Duration::ZERO } else { config.deference() };
    let free = holder.is_empty() && unchanged >= deference;
    if free || holder == config.identity || unchanged > duration + deference {
        LeaseAction::Take
    } else {
        LeaseAction::Wait
    }
}

/// Returns the URL of the process that holds the Lease, if one holds it.
pub(super) fn holder_url(lease: &Lease) -> Option<String> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref().unwrap_or_default();
    lease.annotations().get(ANNOTATION_PEER_URL).filter(|_| !holder.is_empty()).cloned()
}

/// Returns the Lease with this process as the holder. It goes on with the possession that began at `acquired`, if the Lease
/// shows that one. A process that takes the place of one with its identity begins another: it has other evidence.
pub(super) fn taken(found: Option<&Lease>, config: &LeaseConfig, acquired: Option<&MicroTime>) -> Lease {
    // As the API server keeps it.
    let now = Timestamp::now();
    let now = MicroTime(Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now));
    let before = found.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let is_own = before.holder_identity.as_deref() == Some(&config.identity);
    let renewed = is_own && acquired.is_some() && before.acquire_time.as_ref() == acquired;
    let spec = LeaseSpec {
        holder_identity: Some(config.identity.clone()),
        lease_duration_seconds: Some(i32::try_from(config.duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: if renewed { before.acquire_time } else { Some(now.clone()) },
        renew_time: Some(now),
        lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!renewed)),
        ..LeaseSpec::default()
    };
    let peer_url = config.peer_url.iter().map(|url| (ANNOTATION_PEER_URL.to_owned(), url.clone()));
    let metadata = ObjectMeta {
        name: Some(config.name.clone()),
        annotations: Some(peer_url.collect()),
        resource_version: found.and_then(ResourceExt::resource_version),
        ..ObjectMeta::default()
    };
    Lease { metadata, spec: Some(spec) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::leader) fn config() -> LeaseConfig {
        let text = |text: &str| text.to_owned();
        LeaseConfig {
            namespace: text("ns"),
            name: text("lease"),
            identity: text("me"),
            duration: Duration::from_secs(15),
            peer_url: Some(text("https://10.0.0.1:8443")),
        }
    }

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = taken(None, &LeaseConfig { identity: holder.to_owned(), ..config() }, None);
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    fn check_as(complete: bool, lease: Lease, unchanged_for: u64, expected: LeaseAction) {
        let since = Instant::now();
        let observed = ObservedLease { lease, since };
        let now = since + Duration::from_secs(unchanged_for);
        assert_eq!(decide(Some(&observed), &config(), complete, now), expected);
    }

    fn check(lease: Lease, unchanged_for: u64, expected: LeaseAction) {
        check_as(true, lease, unchanged_for, expected);
    }

    #[test]
    fn a_process_without_all_snapshots_leaves_a_free_lease_to_others_for_a_moment() {
        check_as(false, lease("", "1"), 0, LeaseAction::Wait);
        check_as(false, lease("", "1"), 3, LeaseAction::Take);
        check_as(false, lease("other", "1"), 16, LeaseAction::Wait);
        check_as(false, lease("other", "1"), 19, LeaseAction::Take);
        // Its own disk is that of the process before it.
        check_as(false, lease("me", "1"), 0, LeaseAction::Take);
    }

    #[test]
    fn a_lease_is_taken_when_it_is_missing_free_own_or_old() {
        assert_eq!(decide(None, &config(), false, Instant::now()), LeaseAction::Create);
        check(lease("", "1"), 0, LeaseAction::Take);
        check(lease("me", "1"), 0, LeaseAction::Take);
        check(lease("other", "1"), 14, LeaseAction::Wait);
        check(lease("other", "1"), 16, LeaseAction::Take);
    }

    #[test]
    fn a_lease_that_somebody_edited_holds_nobody_up_for_more_than_two_minutes() {
        for seconds in [i32::MAX, -1, 0] {
            let mut edited = lease("intruder", "1");
            edited.spec.as_mut().unwrap().lease_duration_seconds = Some(seconds);
            check(edited, 121, LeaseAction::Take);
        }
    }

    #[test]
    fn age_is_the_time_since_this_process_saw_it_change() {
        let start = Instant::now();
        let later = start + Duration::from_secs(60);
        let first = observe(None, Some(lease("other", "1")), start);
        let same = observe(first.clone(), Some(lease("other", "1")), later).unwrap();
        assert_eq!(same.since, start);
        let renewed = observe(first, Some(lease("other", "2")), later).unwrap();
        assert_eq!(renewed.since, later);
    }

    #[test]
    fn a_renewal_keeps_the_possession_and_a_takeover_begins_another() {
        let first = taken(None, &config(), None);
        let acquired = Tenure::of(&first).acquired;
        let second = taken(Some(&first), &config(), acquired.as_ref());
        assert_eq!(Tenure::of(&first), Tenure::of(&second));
        let other = taken(Some(&second), &LeaseConfig { identity: "other".to_owned(), ..config() }, acquired.as_ref());
        assert_eq!(other.spec.as_ref().unwrap().lease_transitions, Some(2));
        // Another process in its place, such as that of a container that was restarted.
        for unknown in [None, Some(MicroTime(Timestamp::UNIX_EPOCH))] {
            let next = taken(Some(&second), &config(), unknown.as_ref());
            assert_eq!(next.spec.as_ref().unwrap().lease_transitions, Some(2));
            assert_ne!(Tenure::of(&next).acquired, acquired);
        }
        assert_eq!(holder_url(&other).as_deref(), Some("https://10.0.0.1:8443"));
        assert_eq!(holder_url(&lease("", "1")), None);
    }
}
