//! Answers `/healthz`, `/readyz`, and `/metrics`, from the first moment of the process on.

use std::sync::{Arc, OnceLock};
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
}

impl Health {
    /// A process that has just begun.
    pub(crate) fn new(now: Instant) -> Self {
        Self { progress: Arc::new(Progress::new(now)), context: OnceLock::new() }
    }

    /// The proof that the loops of the process turn.
    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The operator has started. It starts once.
    pub(crate) fn started(&self, context: Arc<OperatorContext>) {
        let _ = self.context.set(context);
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

/// The leader is ready, and so is every replica that has a copy of all snapshots: the Service leads processes to both.
async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    match health.context.get() {
        None => (StatusCode::SERVICE_UNAVAILABLE, "the operator has not started yet"),
        Some(context) if !context.is_watching() => {
            (StatusCode::SERVICE_UNAVAILABLE, "the first lists have not come yet")
        }
        Some(context) if context.leadership().is_held(Instant::now()) => (StatusCode::OK, "ok"),
        Some(context) => match context.copies() {
            None => (StatusCode::SERVICE_UNAVAILABLE, "another operator holds the Lease"),
            Some(copies) if !copies.is_complete() => {
                (StatusCode::SERVICE_UNAVAILABLE, "the leader has not sent all snapshots yet")
            }
            Some(_) => (StatusCode::OK, "ok"),
        },
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    match health.context.get() {
        Some(context) => ([(CONTENT_TYPE, OPEN_METRICS)], context.metrics_text()).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the operator has not started yet").into_response(),
    }
}
