//! Answers `/healthz`, `/readyz`, and `/metrics`, from the first moment of the process on.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::reconcile::context::OperatorContext;
use crate::reconcile::progress::Progress;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The state of the process that the probes ask about.
pub(crate) struct Health {
    progress: Arc<Progress>,
    /// The means of the operator, once it has started.
    context: OnceLock<Arc<OperatorContext>>,
    /// The reason why it can't start yet, if it is known.
    obstacle: Mutex<Option<String>>,
}

impl Health {
    /// Creates the health of a process that has just begun.
    pub(crate) fn new(now: Instant) -> Self {
        Self { progress: Arc::new(Progress::new(now)), context: OnceLock::new(), obstacle: Mutex::default() }
    }

    /// Returns the proof that the loops of the process turn.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Records that the operator has started. It starts once.
    pub(crate) fn started(&self, context: Arc<OperatorContext>) {
        let _ = self.context.set(context);
    }

    /// Records that the operator waits for something before it starts, or no longer.
    pub(crate) fn waits_for(&self, obstacle: Option<String>) {
        *self.obstacle.lock().unwrap_or_else(PoisonError::into_inner) = obstacle;
    }

    fn not_started(&self) -> String {
        let obstacle = self.obstacle.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = obstacle.as_ref().map_or(String::new(), |obstacle| format!(": {obstacle}"));
        format!("the operator has not started yet{reason}")
    }

    /// Returns the three paths.
    pub(crate) fn routes(self: Arc<Self>) -> Router {
        let routes = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz));
        routes.route("/metrics", get(metrics)).with_state(self)
    }
}

async fn healthz(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.progress.is_alive(Instant::now()) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "neither a reconcile nor an attempt to renew the Lease has ended recently")
    }
}

/// Answers whether this process is ready. The leader is, and so is every replica that has a copy of all snapshots and
/// reaches the leader, because the Service leads processes to both.
async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    let not_ready = |reason: &str| (StatusCode::SERVICE_UNAVAILABLE, reason.to_owned());
    let ready = (StatusCode::OK, "ok".to_owned());
    match health.context.get() {
        None => not_ready(&health.not_started()),
        Some(context) if !context.cluster().is_watching() => {
            not_ready("the first lists of the API server have not arrived yet")
        }
        Some(context) if context.leadership().is_held(Instant::now()) => ready,
        Some(context) => match context.copies() {
            None => not_ready("another operator holds the Lease"),
            Some(copies) if !copies.is_complete() => not_ready("the leader has not sent all snapshots yet"),
            Some(_) if context.leadership().is_cut_off(Instant::now()) => {
                not_ready("the leader works, and can't be reached from this replica")
            }
            Some(_) => ready,
        },
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    match health.context.get() {
        Some(context) => ([(CONTENT_TYPE, OPEN_METRICS)], context.metrics_text()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, health.not_started()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::server_tests::TestServer;

    #[tokio::test]
    async fn a_replica_that_is_cut_off_from_a_leader_that_works_is_not_ready() {
        let leader = "https://127.0.0.1:1";
        let server = TestServer::replica(leader).await;
        let (context, health) = (&server.context, Arc::new(Health::new(Instant::now())));
        health.started(context.clone());
        let (copies, leadership) = (context.copies().unwrap(), context.leadership());
        let ready = || readyz(State(health.clone()));
        assert_eq!(ready().await.1, "the leader has not sent all snapshots yet");
        copies.completed();
        assert_eq!(ready().await.0, StatusCode::OK);
        let (now, lasts) = (Instant::now(), Duration::from_secs(15));
        let began = now.checked_sub(Duration::from_secs(10)).unwrap();
        leadership.tried_to_reach(leader, false, began);
        leadership.saw_renewal(began, lasts);
        assert_eq!(ready().await.0, StatusCode::OK, "the leader may be dead");
        leadership.saw_renewal(now, lasts);
        let (status, text) = ready().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "the leader works, and can't be reached from this replica");
        leadership.begin(now + lasts, None, None);
        assert_eq!(ready().await.0, StatusCode::OK, "it leads itself");
    }

    #[tokio::test]
    async fn an_operator_that_waits_is_not_ready_and_says_for_what() {
        let health = Arc::new(Health::new(Instant::now()));
        health.waits_for(Some("the operator needs the program `git`".to_owned()));
        let (status, text) = readyz(State(health.clone())).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "the operator has not started yet: the operator needs the program `git`");
        health.waits_for(None);
        assert_eq!(readyz(State(health)).await.1, "the operator has not started yet");
    }
}
