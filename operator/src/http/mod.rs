//! Answers over HTTP: snapshots, reports, and questions about convergence for processes, webhook calls of git hosts,
//! and probes.
//!
//! [`routes`] has one line for each endpoint that is served over HTTPS; [`endpoints`] has what the handlers share, and
//! [`access`] decides who may ask. Nothing here changes what is published.

mod access;
mod body;
mod convergence;
pub(crate) mod endpoints;
mod error;
mod hooks;
pub(crate) mod probes;
mod reports;
mod snapshots;
pub(crate) mod tls;
mod webhook;

use axum::Router;
use axum::routing::{get, post};

use crate::http::endpoints::Endpoints;
use crate::http::error::HttpError;

/// Returns the routes that are served over HTTPS.
pub(crate) fn routes(endpoints: Endpoints) -> Router {
    Router::new()
        .route("/v1/namespaces/{namespace}/workspaces/{name}/snapshots/{fingerprint}", get(snapshots::snapshot))
        .route("/v1/namespaces/{namespace}/workspaces/{name}/fleet", post(reports::take_report))
        .route("/v1/namespaces/{namespace}/workspaces/{name}/convergence", get(convergence::convergence))
        .route("/hooks/{namespace}/{name}", post(hooks::hook))
        .fallback(async || HttpError::NoSuchPath)
        .method_not_allowed_fallback(async || HttpError::NoSuchMethod)
        .with_state(endpoints)
}
