//! One operator writes at a time: the one that holds the Lease, and only while that is fresh by its own monotonic clock.
//!
//! Every write of the Lease carries the resourceVersion that it was decided on, so that two never win. How old another's
//! Lease is, is measured as the time since this process saw it change: clocks of two machines are never compared.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The longest that an answer is waited for, however long the Lease lasts.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to give the Lease up when the operator ends.
const GIVING_UP: Duration = Duration::from_millis(500);

/// Whether this process may write.
#[derive(Debug, Default)]
pub struct Leadership(Mutex<Term>);

/// The latest time without a gap in which this process may write.
#[derive(Debug, Default)]
struct Term {
    number: u64,
    until: Option<Instant>,
}

impl Leadership {
    /// Whether this process holds a fresh Lease.
    #[must_use]
    pub fn is_held(&self, now: Instant) -> bool {
        self.term(now).is_some()
    }

    /// The number of the term in which this process holds a fresh Lease: it grows with each gain. What was decided in one
    /// term must not be written in another.
    #[must_use]
    pub fn term(&self, now: Instant) -> Option<u64> {
        let term = self.lock();
        term.until.filter(|until| now < *until).map(|_| term.number)
    }

    fn begin(&self, until: Instant) {
        let mut term = self.lock();
        *term = Term { number: term.number + 1, until: Some(until) };
    }

    fn renew(&self, until: Instant) {
        self.lock().until = Some(until);
    }

    fn end(&self) {
        self.lock().until = None;
    }

    fn lock(&self) -> MutexGuard<'_, Term> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeadershipChange {
    /// This process writes from now on.
    Gained,
    /// The Lease of this process ran out, and nobody else took it. It will be [`LeadershipChange::Gained`] in a moment.
    Lapsed,
    /// Somebody else writes, or has written meanwhile.
    Lost,
}

/// Which Lease, and for whom.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
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
struct ObservedLease {
    lease: Lease,
    since: Instant,
}

impl LeaseConfig {
    /// How long an answer is waited for. One that takes longer would come when the Lease has nearly run out.
    fn answer_timeout(&self) -> Duration {
        (self.duration / 3).min(ANSWERS_WITHIN)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum LeaseAction {
    Create,
    /// Write it with this process as the holder.
    Take,
    /// Somebody else holds it.
    Wait,
}

/// One holder's uninterrupted possession, as the Lease itself tells it: whoever takes it writes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tenure {
    transitions: Option<i32>,
    acquired: Option<MicroTime>,
}

impl Tenure {
    fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        Self { transitions: spec.lease_transitions, acquired: spec.acquire_time }
    }
}

/// The possession that this process knows of, and until when it counts on it.
#[derive(Clone, Debug)]
struct HeldLease {
    tenure: Tenure,
    until: Instant,
}

/// What an answer about the Lease means for this process.
#[derive(Debug, PartialEq, Eq)]
enum LeaseTransition {
    /// It holds the Lease, and did not before.
    Begin,
    /// It goes on without a gap.
    Renew,
    /// It goes on after a gap in which nobody wrote.
    Resume,
    /// It goes on after somebody else.
    Retake,
    /// Somebody else holds the Lease, which this process had.
    Yield,
    /// Somebody else holds the Lease.
    Wait,
}

fn transition(held: Option<&HeldLease>, tenure: Option<&Tenure>, now: Instant) -> LeaseTransition {
    match (held, tenure) {
        (None, None) => LeaseTransition::Wait,
        (Some(_), None) => LeaseTransition::Yield,
        (None, Some(_)) => LeaseTransition::Begin,
        (Some(held), Some(tenure)) if held.tenure != *tenure => LeaseTransition::Retake,
        (Some(held), Some(_)) if now >= held.until => LeaseTransition::Resume,
        (Some(_), Some(_)) => LeaseTransition::Renew,
    }
}

/// Competes for the Lease until `shutdown`, and then gives it up. `changed` hears of each change, and `asked` that an
/// attempt has ended, however it did.
pub async fn compete(
    client: &Client,
    config: &LeaseConfig,
    leadership: &Leadership,
    shutdown: &CancellationToken,
    changed: impl Fn(LeadershipChange),
    asked: impl Fn(),
) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &config.namespace);
    let mut seen: Option<ObservedLease> = None;
    let mut held: Option<HeldLease> = None;
    // A write whose answer was not waited for may have succeeded.
    let mut may_hold = false;
    while !shutdown.is_cancelled() {
        let began = now();
        let answer = tokio::select! {
            answer = timeout(config.answer_timeout(), round(&leases, config, &mut seen)) => answer,
            () = shutdown.cancelled() => {
                may_hold = true;
                break;
            }
        };
        asked();
        let pause = match answer {
            Ok(Ok(tenure)) => {
                // Counted from before the question: the answer may have been under way for long.
                let until = began + config.duration.mul_f64(0.8);
                apply_transition(
                    transition(held.as_ref(), tenure.as_ref(), now()),
                    until,
                    config,
                    leadership,
                    &changed,
                );
                held = tenure.map(|tenure| HeldLease { tenure, until });
                if held.is_some() { config.duration / 3 } else { config.duration / 15 }
            }
            Ok(Err(error)) => {
                warn!(%error, lease = config.name, "the Lease could not be asked for");
                config.duration / 15
            }
            Err(_) => {
                warn!(lease = config.name, "the API server did not answer for the Lease");
                config.duration / 15
            }
        };
        let _ = timeout(pause, shutdown.cancelled()).await;
    }
    leadership.end();
    if may_hold || held.is_some() {
        give_up(&leases, config).await;
    }
}

/// The clock of the runtime, which tests move.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn apply_transition(
    transition: LeaseTransition,
    until: Instant,
    config: &LeaseConfig,
    leadership: &Leadership,
    changed: &impl Fn(LeadershipChange),
) {
    let LeaseConfig { name: lease, identity, .. } = config;
    match transition {
        LeaseTransition::Renew => return leadership.renew(until),
        LeaseTransition::Yield | LeaseTransition::Wait => {
            if transition == LeaseTransition::Yield {
                warn!(lease, "another operator writes now");
            }
            leadership.end();
            return changed(LeadershipChange::Lost);
        }
        LeaseTransition::Begin => info!(lease, identity, "this operator writes"),
        LeaseTransition::Resume => {
            info!(lease, identity, "this operator writes again, after a time in which nobody did");
            changed(LeadershipChange::Lapsed);
        }
        LeaseTransition::Retake => {
            warn!(lease, identity, "this operator writes again, after another one");
            leadership.end();
            changed(LeadershipChange::Lost);
        }
    }
    leadership.begin(until);
    changed(LeadershipChange::Gained);
}

/// Asks for the Lease, takes it if it is free, and says under which tenure this process holds it, if it does.
async fn round(
    leases: &Api<Lease>,
    config: &LeaseConfig,
    seen: &mut Option<ObservedLease>,
) -> Result<Option<Tenure>, kube::Error> {
    let found = leases.get_opt(&config.name).await?;
    *seen = observe(seen.take(), found, now());
    // Where somebody was faster, the next round shows who.
    let written = match decide(seen.as_ref(), config, now()) {
        LeaseAction::Wait => return Ok(None),
        LeaseAction::Create => leases.create(&PostParams::default(), &taken(None, config)).await,
        LeaseAction::Take => {
            leases.replace(&config.name, &PostParams::default(), &taken(seen.as_ref().map(|s| &s.lease), config)).await
        }
    };
    Ok(Some(Tenure::of(&written?)))
}

fn observe(before: Option<ObservedLease>, found: Option<Lease>, now: Instant) -> Option<ObservedLease> {
    let lease = found?;
    let since = before.filter(|before| before.lease.resource_version() == lease.resource_version());
    Some(ObservedLease { since: since.map_or(now, |before| before.since), lease })
}

fn decide(seen: Option<&ObservedLease>, config: &LeaseConfig, now: Instant) -> LeaseAction {
    let Some(ObservedLease { lease, since }) = seen else { return LeaseAction::Create };
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
    let duration = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    let duration = duration.map_or(config.duration, Duration::from_secs);
    if holder.is_empty() || holder == config.identity || now.saturating_duration_since(*since) > duration {
        LeaseAction::Take
    } else {
        LeaseAction::Wait
    }
}

fn taken(found: Option<&Lease>, config: &LeaseConfig) -> Lease {
    let now = MicroTime(Timestamp::now());
    let before = found.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let renewed = before.holder_identity.as_deref() == Some(&config.identity);
    let spec = LeaseSpec {
        holder_identity: Some(config.identity.clone()),
        lease_duration_seconds: Some(i32::try_from(config.duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: if renewed { before.acquire_time } else { Some(now.clone()) },
        renew_time: Some(now),
        lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!renewed)),
        ..LeaseSpec::default()
    };
    let metadata = ObjectMeta {
        name: Some(config.name.clone()),
        resource_version: found.and_then(ResourceExt::resource_version),
        ..ObjectMeta::default()
    };
    Lease { metadata, spec: Some(spec) }
}

/// Lets a successor begin at once instead of waiting for the Lease to grow old.
async fn give_up(leases: &Api<Lease>, config: &LeaseConfig) {
    let released = async {
        let Some(mut lease) = leases.get_opt(&config.name).await? else { return Ok(()) };
        let Some(spec) = &mut lease.spec else { return Ok(()) };
        if spec.holder_identity.as_deref() == Some(&config.identity) {
            spec.holder_identity = None;
            leases.replace(&config.name, &PostParams::default(), &lease).await?;
        }
        Ok::<_, kube::Error>(())
    };
    match timeout(GIVING_UP, released).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(%error, "the Lease could not be given up; a successor waits until it is old"),
        Err(_) => warn!("the Lease could not be given up in time; a successor waits until it is old"),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    fn config() -> LeaseConfig {
        let text = |text: &str| text.to_owned();
        LeaseConfig {
            namespace: text("ns"),
            name: text("lease"),
            identity: text("me"),
            duration: Duration::from_secs(15),
        }
    }

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = taken(None, &LeaseConfig { identity: holder.to_owned(), ..config() });
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    fn check(lease: Lease, unchanged_for: u64, expected: LeaseAction) {
        let since = Instant::now();
        let observed = ObservedLease { lease, since };
        assert_eq!(decide(Some(&observed), &config(), since + Duration::from_secs(unchanged_for)), expected);
    }

    #[test]
    fn a_lease_is_taken_when_it_is_missing_free_own_or_old() {
        assert_eq!(decide(None, &config(), Instant::now()), LeaseAction::Create);
        check(lease("", "1"), 0, LeaseAction::Take);
        check(lease("me", "1"), 0, LeaseAction::Take);
        check(lease("other", "1"), 14, LeaseAction::Wait);
        check(lease("other", "1"), 16, LeaseAction::Take);
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
    fn a_renewal_keeps_the_time_of_the_acquisition_and_a_takeover_counts() {
        let first = taken(None, &config());
        let second = taken(Some(&first), &config());
        assert_eq!(first.spec.as_ref().unwrap().acquire_time, second.spec.as_ref().unwrap().acquire_time);
        let other = taken(Some(&second), &LeaseConfig { identity: "other".to_owned(), ..config() });
        assert_eq!(other.spec.unwrap().lease_transitions, Some(2));
    }

    #[test]
    fn leadership_ends_by_itself_and_its_next_term_has_another_number() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let leadership = Leadership::default();
        assert_eq!(leadership.term(now), None);
        leadership.begin(after(1));
        assert_eq!((leadership.term(now), leadership.term(after(2))), (Some(1), None));
        assert!(leadership.is_held(now) && !leadership.is_held(after(2)));
        leadership.renew(after(3));
        assert_eq!(leadership.term(after(2)), Some(1));
        leadership.begin(after(9));
        assert_eq!(leadership.term(after(8)), Some(2));
        leadership.end();
        assert_eq!(leadership.term(now), None);
    }

    #[test]
    fn a_gap_and_another_holder_both_end_a_term() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let first = taken(None, &config());
        let (ours, renewed) = (Tenure::of(&first), Tenure::of(&taken(Some(&first), &config())));
        let held = HeldLease { tenure: ours.clone(), until: after(12) };
        assert_eq!(transition(None, None, start), LeaseTransition::Wait);
        assert_eq!(transition(None, Some(&ours), start), LeaseTransition::Begin);
        assert_eq!(transition(Some(&held), Some(&renewed), after(11)), LeaseTransition::Renew);
        assert_eq!(transition(Some(&held), Some(&renewed), after(12)), LeaseTransition::Resume);
        assert_eq!(transition(Some(&held), None, after(11)), LeaseTransition::Yield);
        let other = taken(Some(&first), &LeaseConfig { identity: "other".to_owned(), ..config() });
        let retaken = Tenure::of(&taken(Some(&other), &config()));
        assert_eq!(transition(Some(&held), Some(&retaken), after(11)), LeaseTransition::Retake);
        // Somebody deleted it, and it was created again.
        let anew = Tenure { acquired: Some(MicroTime(Timestamp::UNIX_EPOCH)), ..ours };
        assert_eq!(transition(Some(&held), Some(&anew), after(13)), LeaseTransition::Retake);
    }

    /// An API server with one Lease. Nobody is answered during its `outage`, in seconds since it began.
    struct Server {
        lease: Mutex<Option<Lease>>,
        began: tokio::time::Instant,
        outage: Range<u64>,
    }

    impl Server {
        fn new(outage: Range<u64>) -> Arc<Self> {
            Arc::new(Self { lease: Mutex::default(), began: tokio::time::Instant::now(), outage })
        }

        fn client(self: &Arc<Self>) -> Client {
            let server = self.clone();
            let answer = move |request: Request<Body>| {
                let server = server.clone();
                async move {
                    if server.outage.contains(&server.began.elapsed().as_secs()) {
                        std::future::pending::<()>().await;
                    }
                    let (parts, body) = request.into_parts();
                    let written = serde_json::from_slice(&body.collect_bytes().await?).ok();
                    let (status, answer) = match (&parts.method, written) {
                        (&Method::GET, _) => server.read(),
                        (_, Some(lease)) => server.write(lease),
                        (_, None) => (400, json!({})),
                    };
                    let answer = Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()));
                    Ok::<_, tower::BoxError>(answer?)
                }
            };
            Client::new(tower::service_fn(answer), "ns")
        }

        fn read(&self) -> (u16, Value) {
            match &*self.lease.lock().unwrap() {
                Some(lease) => (200, json!(lease)),
                None => (404, json!({ "code": 404, "status": "Failure", "reason": "NotFound", "message": "none" })),
            }
        }

        fn write(&self, mut lease: Lease) -> (u16, Value) {
            let mut known = self.lease.lock().unwrap();
            let version = known.as_ref().and_then(ResourceExt::resource_version);
            if version != lease.resource_version() {
                return (409, json!({ "code": 409, "status": "Failure", "reason": "Conflict", "message": "changed" }));
            }
            let next = version.map_or(1, |version| version.parse::<u32>().unwrap() + 1);
            lease.metadata.resource_version = Some(next.to_string());
            *known = Some(lease);
            (200, json!(*known))
        }

        /// Another process takes the Lease, whoever holds it, and gives it up at once.
        fn taken_by_another(&self) {
            let mut lease = taken(
                self.lease.lock().unwrap().as_ref(),
                &LeaseConfig { identity: "other".to_owned(), ..short_config() },
            );
            lease.spec.as_mut().unwrap().holder_identity = None;
            assert_eq!(self.write(lease).0, 200);
        }
    }

    fn short_config() -> LeaseConfig {
        LeaseConfig { duration: Duration::from_secs(3), ..config() }
    }

    /// What becomes of a process that competes for `seconds`, and the number of attempts.
    async fn compete_for(server: &Arc<Server>, seconds: u64) -> (Vec<(LeadershipChange, Option<u64>)>, usize) {
        let (leadership, shutdown) = (Leadership::default(), CancellationToken::new());
        let (changes, attempts) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let (client, config) = (server.client(), short_config());
        let changed = |change| changes.lock().unwrap().push((change, leadership.term(now())));
        let asked = || {
            attempts.fetch_add(1, Ordering::Relaxed);
        };
        let competing = compete(&client, &config, &leadership, &shutdown, changed, asked);
        let ends = async {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            shutdown.cancel();
        };
        tokio::join!(competing, ends);
        assert_eq!(leadership.term(now()), None);
        (changes.into_inner().unwrap(), attempts.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_ran_out_during_an_outage_is_gained_anew() {
        let server = Server::new(2..9);
        let (changes, attempts) = compete_for(&server, 12).await;
        // It is renewed every second, and asked for during the outage too.
        assert!(attempts > 8, "{attempts}");
        assert_eq!(
            changes,
            [
                (LeadershipChange::Gained, Some(1)),
                (LeadershipChange::Lapsed, None),
                (LeadershipChange::Gained, Some(2))
            ]
        );
        let holder = server.lease.lock().unwrap().clone().unwrap().spec.unwrap().holder_identity;
        assert_eq!(holder, None, "it was given up at the end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_ends_no_term() {
        let (changes, _) = compete_for(&Server::new(2..3), 12).await;
        assert_eq!(changes, [(LeadershipChange::Gained, Some(1))]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_known_is_forgotten_when_another_process_wrote_in_between() {
        let server = Server::new(2..9);
        let other = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            server.taken_by_another();
        };
        let ((changes, _), ()) = tokio::join!(compete_for(&server, 12), other);
        assert_eq!(
            changes,
            [(LeadershipChange::Gained, Some(1)), (LeadershipChange::Lost, None), (LeadershipChange::Gained, Some(2))]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_ends_in_a_moment_also_when_nobody_answers() {
        let server = Server::new(0..1000);
        let began = tokio::time::Instant::now();
        let (changes, _) = compete_for(&server, 5).await;
        assert!(changes.is_empty());
        assert!(began.elapsed() <= Duration::from_secs(5) + GIVING_UP, "{:?}", began.elapsed());
    }
}
