//! The pace of callers. One who asks without a pause waits for each answer, so that the processors have time for others.
//!
//! A pod has a budget of requests. An account without a pod has a larger one, because many processes may share it. An
//! address has a budget of refusals, which cost it no place anywhere. Nobody is refused here, and nobody waits for
//! somebody else's budget.
//!
//! This file and `endpoints` import each other: [`Endpoints`] has the budgets, and [`delay_refusals`] finds them there.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::middleware::Next;
use rototo_engine::Digest;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use crate::http::access::Caller;
use crate::http::connections::Peer;
use crate::http::endpoints::Endpoints;
use crate::load::budgets::Budgets;

/// The requests that one pod may send at once. A pod of 32 processes sends some 100 at a change.
const OF_POD: u32 = 200;
/// The time after which it may send one more: 50 a second.
const OF_POD_EACH: Duration = Duration::from_millis(20);
/// The requests that one account without a pod may send at once: those of 256 processes at a change, and some more.
const OF_ACCOUNT: u32 = 1_000;
/// The time after which it may send one more: 200 a second.
const OF_ACCOUNT_EACH: Duration = Duration::from_millis(5);
/// The refusals that one address gets at once. All pods of a node, or behind a proxy, may share an address.
const REFUSALS: u32 = 200;
/// The time after which it gets one more without a delay: 20 a second.
const REFUSAL_EACH: Duration = Duration::from_millis(50);
/// The longest delay of a refusal.
const LONGEST: Duration = Duration::from_secs(1);
/// The refusals that are delayed at a time. Others are sent at once.
const DELAYED: usize = 2_048;

/// The budgets.
pub(super) struct Pace {
    of_pod: Budgets<Digest>,
    of_account: Budgets<Digest>,
    refusals: Budgets<Peer>,
    delayed: Semaphore,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            of_pod: Budgets::new(OF_POD, OF_POD_EACH),
            of_account: Budgets::new(OF_ACCOUNT, OF_ACCOUNT_EACH),
            refusals: Budgets::new(REFUSALS, REFUSAL_EACH),
            delayed: Semaphore::new(DELAYED),
        }
    }
}

impl Pace {
    /// Takes a request from the budget of a pod, or of an account without one. Returns the name of the budget, and the time
    /// for which the sender has to wait.
    pub(super) fn of_request(&self, caller: &Caller) -> Option<(&'static str, Duration)> {
        let (limit, budgets) =
            if caller.is_pod() { ("requests_of_pod", &self.of_pod) } else { ("requests_of_account", &self.of_account) };
        Some((limit, budgets.charge(&caller.source(), Instant::now())?))
    }

    /// Takes a refusal from the budget of an address, and returns the time for which the address has to wait.
    fn of_refusal(&self, sender: Peer) -> Option<Duration> {
        self.refusals.charge(&sender, Instant::now()).map(|wait| wait.min(LONGEST))
    }
}

#[cfg(test)]
impl Pace {
    /// Spends the budget of a pod.
    pub(super) fn spend_of_pod(&self, pod: Digest, requests: usize) {
        (0..requests).for_each(|_| self.of_pod.spend(&pod, Instant::now()));
    }

    /// Spends the budgets of the accounts without a pod that have sent something.
    pub(super) fn spend_of_accounts(&self, requests: usize) {
        let accounts = self.of_account.keys();
        accounts.iter().for_each(|account| (0..requests).for_each(|_| self.of_account.spend(account, Instant::now())));
    }

    /// Spends the budget of an address.
    pub(super) fn spend_refusals(&self, sender: Peer, refusals: usize) {
        (0..refusals).for_each(|_| self.refusals.spend(&sender, Instant::now()));
    }
}

/// Delays refusals of an address that has had many. A replica that passes requests on delays those of its own callers.
pub(super) async fn delay_refusals(State(endpoints): State<Endpoints>, request: Request, next: Next) -> Response<Body> {
    let peer =
        request.extensions().get::<Peer>().copied().filter(|_| endpoints.require_peer(request.headers()).is_err());
    let answer = next.run(request).await;
    let pace = endpoints.pace();
    if answer.status().is_client_error()
        && let Some(wait) = peer.and_then(|peer| pace.of_refusal(peer))
        && let Ok(_delayed) = pace.delayed.try_acquire()
    {
        endpoints.context().load().delayed("refusals");
        sleep(wait).await;
    }
    answer
}
