//! One operator writes at a time: the one that holds the Lease, and only while that is fresh by its own monotonic clock.
//!
//! Every write of the Lease carries the resourceVersion that it was decided on, so that two never win. How old another's
//! Lease is, is measured as the time since this process saw it change: clocks of two machines are never compared.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Whether this process may write.
#[derive(Debug, Default)]
pub struct Leadership(Mutex<Option<Instant>>);

impl Leadership {
    /// Whether this process holds a fresh Lease.
    #[must_use]
    pub fn is_held(&self, now: Instant) -> bool {
        self.lock().is_some_and(|until| now < until)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which Lease, and for whom.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who asks for it. A process that is started again in the place of one that has ended has the same identity, and
    /// goes on at once.
    pub identity: String,
    /// How long it holds without being renewed.
    pub duration: Duration,
}

/// The Lease as it was seen, and since when it has not changed.
#[derive(Clone, Debug)]
struct Sight {
    lease: Lease,
    since: Instant,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Create,
    /// Write it with this process as the holder.
    Take,
    /// Somebody else holds it.
    Wait,
}

/// Competes for the Lease until `shutdown`, and then gives it up. `gained` is called each time that it is won, and `lost`
/// when somebody else has it.
pub async fn compete(
    client: &Client,
    terms: &Terms,
    leadership: &Leadership,
    shutdown: &CancellationToken,
    gained: impl Fn(),
    lost: impl Fn(),
) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &terms.namespace);
    let mut seen: Option<Sight> = None;
    let mut held = false;
    while !shutdown.is_cancelled() {
        let asked = Instant::now();
        // An answer that takes so long would come when the Lease has nearly run out.
        let answer = timeout(terms.duration / 3, round(&leases, terms, &mut seen)).await;
        let pause = match answer {
            Ok(Ok(true)) => {
                // Counted from before the question: the answer may have been under way for long.
                *leadership.lock() = Some(asked + terms.duration.mul_f64(0.8));
                if !std::mem::replace(&mut held, true) {
                    info!(lease = terms.name, identity = terms.identity, "this operator writes");
                    gained();
                }
                terms.duration / 3
            }
            Ok(Ok(false)) => {
                *leadership.lock() = None;
                if std::mem::replace(&mut held, false) {
                    warn!(lease = terms.name, "another operator writes now");
                }
                lost();
                terms.duration / 15
            }
            Ok(Err(error)) => {
                warn!(%error, lease = terms.name, "the Lease could not be asked for");
                terms.duration / 15
            }
            Err(_) => {
                warn!(lease = terms.name, "the API server did not answer for the Lease");
                terms.duration / 15
            }
        };
        let _ = timeout(pause, shutdown.cancelled()).await;
    }
    *leadership.lock() = None;
    if held {
        give_up(&leases, terms).await;
    }
}

/// Asks for the Lease, takes it if it is free, and says whether this process holds it.
async fn round(leases: &Api<Lease>, terms: &Terms, seen: &mut Option<Sight>) -> Result<bool, kube::Error> {
    let found = leases.get_opt(&terms.name).await?;
    *seen = look(seen.take(), found, Instant::now());
    let outcome = match decide(seen.as_ref(), terms, Instant::now()) {
        Step::Wait => return Ok(false),
        Step::Create => leases.create(&PostParams::default(), &taken(None, terms)).await,
        Step::Take => {
            leases.replace(&terms.name, &PostParams::default(), &taken(seen.as_ref().map(|s| &s.lease), terms)).await
        }
    };
    match outcome {
        Ok(_) => Ok(true),
        // Somebody was faster.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(error),
    }
}

fn look(before: Option<Sight>, found: Option<Lease>, now: Instant) -> Option<Sight> {
    let lease = found?;
    let since = before.filter(|before| before.lease.resource_version() == lease.resource_version());
    Some(Sight { since: since.map_or(now, |before| before.since), lease })
}

fn decide(seen: Option<&Sight>, terms: &Terms, now: Instant) -> Step {
    let Some(Sight { lease, since }) = seen else { return Step::Create };
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let duration = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    let duration = duration.map_or(terms.duration, Duration::from_secs);
    if holder.is_empty() || holder == terms.identity || now.saturating_duration_since(*since) > duration {
        Step::Take
    } else {
        Step::Wait
    }
}

fn taken(found: Option<&Lease>, terms: &Terms) -> Lease {
    let now = MicroTime(Timestamp::now());
    let before = found.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let renewed = before.holder_identity.as_deref() == Some(&terms.identity);
    let spec = LeaseSpec {
        holder_identity: Some(terms.identity.clone()),
        lease_duration_seconds: Some(i32::try_from(terms.duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: if renewed { before.acquire_time } else { Some(now.clone()) },
        renew_time: Some(now),
        lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!renewed)),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta {
        name: Some(terms.name.clone()),
        resource_version: found.and_then(ResourceExt::resource_version),
        ..ObjectMeta::default()
    };
    Lease { metadata, spec: Some(spec) }
}

/// Lets a successor begin at once instead of waiting for the Lease to grow old.
async fn give_up(leases: &Api<Lease>, terms: &Terms) {
    let released = async {
        let Some(mut lease) = leases.get_opt(&terms.name).await? else { return Ok(()) };
        let Some(spec) = &mut lease.spec else { return Ok(()) };
        if spec.holder_identity.as_deref() == Some(&terms.identity) {
            spec.holder_identity = None;
            leases.replace(&terms.name, &PostParams::default(), &lease).await?;
        }
        Ok::<_, kube::Error>(())
    };
    match timeout(Duration::from_secs(3), released).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "the Lease could not be given up; a successor waits until it is old"),
        Err(_) => warn!("the Lease could not be given up in time; a successor waits until it is old"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Terms {
        let text = |text: &str| text.to_owned();
        Terms { namespace: text("ns"), name: text("lease"), identity: text("me"), duration: Duration::from_secs(15) }
    }

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = taken(None, &Terms { identity: holder.to_owned(), ..terms() });
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    fn check(lease: Lease, unchanged_for: u64, expected: Step) {
        let since = Instant::now();
        let sight = Sight { lease, since };
        assert_eq!(decide(Some(&sight), &terms(), since + Duration::from_secs(unchanged_for)), expected);
    }

    #[test]
    fn a_lease_is_taken_when_it_is_missing_free_own_or_old() {
        assert_eq!(decide(None, &terms(), Instant::now()), Step::Create);
        check(lease("", "1"), 0, Step::Take);
        check(lease("me", "1"), 0, Step::Take);
        check(lease("other", "1"), 14, Step::Wait);
        check(lease("other", "1"), 16, Step::Take);
    }

    #[test]
    fn age_is_the_time_since_this_process_saw_it_change() {
        let start = Instant::now();
        let later = start + Duration::from_secs(60);
        let first = look(None, Some(lease("other", "1")), start);
        let same = look(first.clone(), Some(lease("other", "1")), later).unwrap();
        assert_eq!(same.since, start);
        let renewed = look(first, Some(lease("other", "2")), later).unwrap();
        assert_eq!(renewed.since, later);
    }

    #[test]
    fn a_renewal_keeps_the_time_of_the_acquisition_and_a_takeover_counts() {
        let first = taken(None, &terms());
        let second = taken(Some(&first), &terms());
        assert_eq!(first.spec.as_ref().unwrap().acquire_time, second.spec.as_ref().unwrap().acquire_time);
        let other = taken(Some(&second), &Terms { identity: "other".to_owned(), ..terms() });
        assert_eq!(other.spec.unwrap().lease_transitions, Some(2));
    }

    #[test]
    fn leadership_ends_by_itself() {
        let now = Instant::now();
        let leadership = Leadership(Mutex::new(Some(now + Duration::from_secs(1))));
        assert!(leadership.is_held(now));
        assert!(!leadership.is_held(now + Duration::from_secs(2)));
    }
}
