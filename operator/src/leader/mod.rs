//! Lets one operator write at a time: the one that holds the Lease, and only while that is fresh by its own monotonic
//! clock.
//!
//! [`compete`] is the entry point. Every write of the Lease carries the resourceVersion that it was decided on, so that
//! two processes never win. The age of another's Lease is the time since this process saw it change: clocks of two
//! machines are never compared.

mod lease;
pub(crate) mod peers;
mod term;
mod transition;
mod watch;

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use rototo_connection::api_error;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::leader::lease::{LeaseAction, ObservedLease, Tenure, decide, holder_url, observe, taken};
use crate::leader::transition::{HeldLease, LeaseTransition, transition};

pub use crate::leader::lease::LeaseConfig;
pub(crate) use crate::leader::term::Leadership;
pub(crate) use crate::leader::watch::watch_holder;

/// The longest time that giving up the Lease may take when the operator ends.
pub(crate) const GIVING_UP: Duration = Duration::from_millis(400);

/// A change of the process that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeadershipChange {
    /// This process writes from now on.
    Gained,
    /// The Lease of this process ran out, and nobody else took it. It will be [`LeadershipChange::Gained`] in a moment.
    Lapsed,
    /// Somebody else writes, or has written meanwhile.
    Lost,
}

/// Competes for the Lease until `shutdown`, and then gives it up. Calls `changed` at each change, and `asked` at the
/// end of each attempt, successful or not. `complete` returns whether this process has what a leader needs.
pub async fn compete(
    client: &Client,
    config: &LeaseConfig,
    leadership: &Leadership,
    shutdown: &CancellationToken,
    complete: impl Fn() -> bool,
    changed: impl Fn(LeadershipChange),
    asked: impl Fn(),
) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &config.namespace);
    let mut seen: Option<ObservedLease> = None;
    let mut held: Option<HeldLease> = None;
    // The beginning of the possession that this process wrote last. The answer to that write may be lost.
    let mut acquired: Option<MicroTime> = None;
    // Whoever deletes a Lease does not end the processes that wrote under it.
    let mut existed = false;
    // The reason why the last attempt failed. A reason that stays is logged once.
    let mut trouble: Option<String> = None;
    // A write without an answer may have succeeded. The answer to a later round shows it.
    let mut may_hold = false;
    while !shutdown.is_cancelled() {
        let began = now();
        existed |= seen.is_some();
        let answer = tokio::select! {
            answer = timeout(config.answer_timeout(), round(&leases, config, &mut seen, &mut acquired, complete())) => answer,
            () = shutdown.cancelled() => {
                may_hold = true;
                break;
            }
        };
        asked();
        let pause = match answer {
            Ok(Ok((tenure, created))) => {
                (trouble, may_hold) = (None, false);
                // Counted from before the request: the answer may have taken long.
                let until = began + config.duration.mul_f64(0.8);
                let transition = transition(held.as_ref(), tenure.as_ref(), now());
                let other = seen.as_ref().filter(|_| tenure.is_none());
                leadership.follow(other.and_then(|seen| holder_url(&seen.lease)));
                if let Some(other) = other {
                    leadership.saw_renewal(other.since, config.duration);
                }
                let others_until = if created && !existed { None } else { Some(now()) };
                let transitions = tenure.as_ref().and_then(|tenure| tenure.transitions);
                let begin = || leadership.begin(until, others_until, transitions);
                apply_transition(transition, until, begin, config, leadership, &changed);
                held = tenure.map(|tenure| HeldLease { tenure, until });
                if held.is_some() { config.duration / 3 } else { config.duration / 15 }
            }
            // Another process was faster.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => config.duration / 15,
            unanswered => {
                let error = match unanswered {
                    Ok(Err(error)) => api_error(&error),
                    _ => "the API server did not answer".to_owned(),
                };
                if trouble.as_ref() != Some(&error) {
                    warn!(error, lease = config.name, "the Lease can't be read or written");
                }
                (trouble, may_hold) = (Some(error), true);
                config.duration / 15
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = leadership.until_holder_changed() => {}
            () = shutdown.cancelled() => {}
        }
    }
    leadership.end();
    if may_hold || held.is_some() {
        give_up(&leases, config).await;
    }
}

/// Returns the time by the clock of the runtime, which tests move.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn apply_transition(
    transition: LeaseTransition,
    until: Instant,
    begin: impl FnOnce(),
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
            info!(lease, identity, "this operator writes again, after a time in which none wrote");
            changed(LeadershipChange::Lapsed);
            leadership.resume(until);
            return changed(LeadershipChange::Gained);
        }
        LeaseTransition::Retake => {
            warn!(lease, identity, "this operator writes again, after another one");
            leadership.end();
            changed(LeadershipChange::Lost);
        }
    }
    begin();
    changed(LeadershipChange::Gained);
}

/// Reads the Lease, and takes it if it is free. Returns the tenure of this process, if it holds the Lease, and whether
/// this process has created it.
async fn round(
    leases: &Api<Lease>,
    config: &LeaseConfig,
    seen: &mut Option<ObservedLease>,
    acquired: &mut Option<MicroTime>,
    complete: bool,
) -> Result<(Option<Tenure>, bool), kube::Error> {
    let found = leases.get_opt(&config.name).await?;
    *seen = observe(seen.take(), found, now());
    // If another process was faster, the next round shows it.
    let action = decide(seen.as_ref(), config, complete, now());
    if action == LeaseAction::Wait {
        return Ok((None, false));
    }
    let lease = taken(seen.as_ref().map(|seen| &seen.lease), config, acquired.as_ref());
    *acquired = Tenure::of(&lease).acquired;
    let created = action == LeaseAction::Create;
    let written = if created {
        leases.create(&PostParams::default(), &lease).await?
    } else {
        leases.replace(&config.name, &PostParams::default(), &lease).await?
    };
    Ok((Some(Tenure::of(&written)), created))
}

/// Gives the Lease up, so that a successor begins at once instead of waiting for the Lease to grow old.
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
        Ok(Err(error)) => {
            warn!(error = api_error(&error), "the Lease could not be given up; a successor waits until it expires")
        }
        Err(_) => warn!("the Lease could not be given up in time; a successor waits until it expires"),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use kube::ResourceExt;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::leader::lease::tests::config;

    /// An API server with one Lease. It answers nobody during its `outage`, in seconds since it began.
    struct Server {
        lease: Mutex<Option<Lease>>,
        began: tokio::time::Instant,
        outage: Range<u64>,
        /// It carries out each write, and answers none.
        loses_answers: AtomicBool,
    }

    impl Server {
        fn new(outage: Range<u64>) -> Arc<Self> {
            let (lease, loses_answers) = (Mutex::default(), AtomicBool::new(false));
            Arc::new(Self { lease, began: tokio::time::Instant::now(), outage, loses_answers })
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
                    if parts.method != Method::GET && server.loses_answers.load(Ordering::Relaxed) {
                        std::future::pending::<()>().await;
                    }
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

        fn holder(&self) -> Option<String> {
            self.lease.lock().unwrap().as_ref()?.spec.as_ref()?.holder_identity.clone()
        }

        /// Another process takes the Lease, whoever holds it, and gives it up at once.
        fn taken_by_another(&self) {
            let mut lease = taken(
                self.lease.lock().unwrap().as_ref(),
                &LeaseConfig { identity: "other".to_owned(), ..short_config() },
                None,
            );
            lease.spec.as_mut().unwrap().holder_identity = None;
            assert_eq!(self.write(lease).0, 200);
        }
    }

    fn short_config() -> LeaseConfig {
        LeaseConfig { duration: Duration::from_secs(3), ..config() }
    }

    /// Lets a process compete for `seconds`. Returns the changes with their terms, and the number of attempts.
    async fn compete_for(server: &Arc<Server>, seconds: u64) -> (Vec<(LeadershipChange, Option<u64>)>, usize) {
        compete_as(&Leadership::default(), server, seconds).await
    }

    async fn compete_as(
        leadership: &Leadership,
        server: &Arc<Server>,
        seconds: u64,
    ) -> (Vec<(LeadershipChange, Option<u64>)>, usize) {
        let shutdown = CancellationToken::new();
        let (changes, attempts) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let (client, config) = (server.client(), short_config());
        let changed = |change| changes.lock().unwrap().push((change, leadership.term(now())));
        let asked = || {
            attempts.fetch_add(1, Ordering::Relaxed);
        };
        let competing = compete(&client, &config, leadership, &shutdown, || true, changed, asked);
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
        // The Lease is renewed every second, and asked for during the outage too.
        assert!(attempts > 8, "{attempts}");
        assert_eq!(
            changes,
            [
                (LeadershipChange::Gained, Some(1)),
                (LeadershipChange::Lapsed, None),
                (LeadershipChange::Gained, Some(2))
            ]
        );
        assert_eq!(server.holder(), None, "it was given up at the end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_has_predecessors_unless_it_is_the_first_that_finds_no_lease() {
        const HOUR: Duration = Duration::from_secs(3600);
        let server = Server::new(2..9);
        let first = Leadership::default();
        compete_as(&first, &server, 12).await;
        assert!(!first.others_wrote_within(HOUR, now()), "the outage ended its first term");
        let second = Leadership::default();
        compete_as(&second, &server, 3).await;
        assert!(second.others_wrote_within(HOUR, now()));
        // Somebody deletes the Lease under which another one writes.
        server.taken_by_another();
        let third = Leadership::default();
        let deleted = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            *server.lease.lock().unwrap() = None;
        };
        server.lease.lock().unwrap().as_mut().unwrap().spec.as_mut().unwrap().holder_identity =
            Some("other".to_owned());
        tokio::join!(compete_as(&third, &server, 3), deleted);
        assert!(third.others_wrote_within(HOUR, now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_ends_no_term() {
        let (changes, _) = compete_for(&Server::new(2..3), 12).await;
        assert_eq!(changes, [(LeadershipChange::Gained, Some(1))]);
    }

    #[tokio::test(start_paused = true)]
    async fn everything_known_is_forgotten_when_another_process_wrote_in_between() {
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
    async fn an_operator_whose_lease_somebody_takes_stops_within_a_third_of_it_and_comes_back() {
        let (server, leadership) = (Server::new(1000..1000), Leadership::default());
        let intruder = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let mut lease = server.lease.lock().unwrap().clone().unwrap();
            let spec = lease.spec.as_mut().unwrap();
            spec.holder_identity = Some("intruder".to_owned());
            spec.lease_duration_seconds = Some(i32::MAX);
            assert_eq!(server.write(lease).0, 200);
            tokio::time::sleep(short_config().duration / 3).await;
            assert_eq!(leadership.term(now()), None, "whoever holds the Lease now may write");
        };
        let ((mut changes, _), ()) = tokio::join!(compete_as(&leadership, &server, 140), intruder);
        changes.dedup();
        assert_eq!(
            changes,
            [(LeadershipChange::Gained, Some(1)), (LeadershipChange::Lost, None), (LeadershipChange::Gained, Some(2))]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_was_taken_without_an_answer_is_given_up_at_the_end() {
        let server = Server::new(1000..1000);
        server.loses_answers.store(true, Ordering::Relaxed);
        let (leadership, shutdown) = (Leadership::default(), CancellationToken::new());
        let (client, config) = (server.client(), short_config());
        let asked = || {
            // The signal comes in the pause after the attempt, when the API server answers again.
            assert_eq!(server.holder().as_deref(), Some("me"));
            server.loses_answers.store(false, Ordering::Relaxed);
            shutdown.cancel();
        };
        compete(&client, &config, &leadership, &shutdown, || true, |_| {}, asked).await;
        assert_eq!(server.holder(), None);
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
