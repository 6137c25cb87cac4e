//! The time after which a grant that was taken back, or the token of a pod that is gone, is refused.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use rototo_protocol::windows::{HEARTBEAT, Windows};
use tokio::time::{Instant, advance};

use crate::http::access::{Authorizer, BAD_TOKEN, Denied, Grant};
use crate::http::connections::Peer;
use crate::http::server_tests::{ApiServer, TestServer, client, token};
use crate::workspace_key::WorkspaceKey;

struct Reviewed {
    api: Arc<Mutex<ApiServer>>,
    authorizer: Authorizer,
}

impl Reviewed {
    fn new() -> Self {
        let api = Arc::<Mutex<ApiServer>>::default();
        let authorizer = Authorizer::new(client(&api, &Arc::default()));
        Self { api, authorizer }
    }

    fn change(&self, change: impl FnOnce(&mut ApiServer)) {
        change(&mut self.api.lock().unwrap());
    }

    async fn check(&self, grant: Grant, windows: &Windows) -> Result<(), Denied> {
        self.check_token(&token("a"), grant, windows).await
    }

    async fn check_token(&self, token: &str, grant: Grant, windows: &Windows) -> Result<(), Denied> {
        self.check_workspace(token, grant, windows, &TestServer::key().name).await
    }

    async fn check_workspace(&self, token: &str, grant: Grant, windows: &Windows, name: &str) -> Result<(), Denied> {
        let (peer, header) = (Peer::at(IpAddr::from([10, 0, 0, 1])), format!("Bearer {token}"));
        let key = WorkspaceKey { name: name.to_owned(), ..TestServer::key() };
        self.authorizer.check(peer, Some(&header), grant, &key, windows).await.map(|_| ())
    }

    /// Asks for grants that this pod does not have, until its budget is spent.
    async fn spend(&self, pod: &str, windows: &Windows) {
        self.change(|api| api.denies = true);
        let mut last = Ok(());
        for number in 0..70 {
            last = self.check_workspace(&token(pod), Grant::Report, windows, &format!("other-{number}")).await;
        }
        assert!(matches!(last, Err(Denied::TooManyRefusals { .. })), "{last:?}");
        self.change(|api| api.denies = false);
    }

    /// Returns the time after which the process, which reports and reads all the time, is refused both.
    async fn refused_after(&self, windows: &Windows) -> Duration {
        let began = Instant::now();
        loop {
            let checked = [self.check(Grant::Report, windows).await, self.check(Grant::ReadSnapshot, windows).await];
            if checked.iter().all(Result::is_err) {
                return began.elapsed();
            }
            advance(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_back_is_refused_within_two_heartbeats_and_a_minute() {
    let no_grant: fn(&mut ApiServer) = |api| api.denies = true;
    let no_token: fn(&mut ApiServer) = |api| api.forgets = true;
    for processes in [1, 10_000] {
        for (what, taken_back) in [("grant", no_grant), ("token of a pod that is gone", no_token)] {
            let (reviewed, windows) = (Reviewed::new(), Windows::of(processes, HEARTBEAT));
            reviewed.check(Grant::ReadSnapshot, &windows).await.unwrap();
            reviewed.check(Grant::Report, &windows).await.unwrap();
            reviewed.change(taken_back);
            let after = reviewed.refused_after(&windows).await;
            let limit = windows.heartbeat * 2 + Duration::from_secs(60);
            assert!(
                after <= limit,
                "{processes} processes, {what}: refused after {after:?}, and the limit is {limit:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_grant_works_at_once_and_a_new_token_after_some_seconds() {
    let (reviewed, windows) = (Reviewed::new(), Windows::of(1, HEARTBEAT));
    reviewed.change(|api| api.denies = true);
    assert!(matches!(reviewed.check(Grant::Report, &windows).await, Err(Denied::Forbidden { .. })));
    reviewed.change(|api| api.denies = false);
    reviewed.check(Grant::Report, &windows).await.unwrap();

    let reviewed = Reviewed::new();
    reviewed.change(|api| api.forgets = true);
    assert!(matches!(reviewed.check(Grant::Report, &windows).await, Err(Denied::BadToken(_))));
    reviewed.change(|api| api.forgets = false);
    advance(BAD_TOKEN).await;
    reviewed.check(Grant::Report, &windows).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_account_that_asks_for_what_it_may_not_has_to_wait() {
    let (reviewed, windows) = (Reviewed::new(), Windows::of(1, HEARTBEAT));
    reviewed.change(|api| api.denies = true);
    let mut last = Ok(());
    for _ in 0..200 {
        last = reviewed.check(Grant::Report, &windows).await;
    }
    assert!(matches!(last, Err(Denied::TooManyRefusals { .. })), "{last:?}");
    assert_eq!(reviewed.api.lock().unwrap().access_reviews, 60);
    reviewed.change(|api| api.denies = false);
    advance(Duration::from_secs(1)).await;
    reviewed.check(Grant::Report, &windows).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_process_keeps_its_approval_beside_a_caller_of_its_address_that_shows_bad_tokens() {
    let (reviewed, windows) = (Reviewed::new(), Windows::of(1, HEARTBEAT));
    reviewed.check(Grant::Report, &windows).await.unwrap();
    for number in 0..600 {
        let bad = reviewed.check_token(&format!("bad-{number}"), Grant::Report, &windows).await;
        assert!(matches!(bad, Err(Denied::BadToken(_) | Denied::TooManyRefusals { .. })), "{bad:?}");
        advance(Duration::from_millis(400)).await;
        if number % 30 == 0 {
            reviewed.check(Grant::Report, &windows).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_was_given_is_renewed_whatever_else_the_pod_asks_for() {
    let (reviewed, windows) = (Reviewed::new(), Windows::of(1, HEARTBEAT));
    reviewed.check(Grant::Report, &windows).await.unwrap();
    advance(windows.approval + Duration::from_secs(1)).await;
    reviewed.spend("a", &windows).await;
    reviewed.check(Grant::Report, &windows).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_asks_for_what_it_may_not_costs_no_other_pod_of_its_account_anything() {
    let (reviewed, windows) = (Reviewed::new(), Windows::of(1, HEARTBEAT));
    reviewed.spend("b", &windows).await;
    reviewed.check(Grant::Report, &windows).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_together_cost_no_more_refusals_than_the_budget() {
    let (reviewed, windows) = (Reviewed::new(), Windows::of(1, HEARTBEAT));
    reviewed.check(Grant::Report, &windows).await.unwrap();
    reviewed.change(|api| (api.denies, api.access_reviews) = (true, 0));
    let (reviewed, token) = (&reviewed, token("a"));
    let names: Vec<_> = (0..200).map(|number| format!("other-{number}")).collect();
    join_all(names.iter().map(|name| reviewed.check_workspace(&token, Grant::Report, &windows, name))).await;
    let reviews = reviewed.api.lock().unwrap().access_reviews;
    assert!(reviews < 70, "{reviews} reviews");
}
