//! Answers over HTTP: snapshots, reports, and questions about convergence for processes, webhook calls of git hosts,
//! the page for people, and probes.
//!
//! [`routes`] has one line for each endpoint that is served over HTTPS; [`endpoints`] has what the handlers share, and
//! [`access`] decides who may ask. Nothing here changes what is published.

mod access;
#[cfg(test)]
mod access_tests;
mod body;
#[cfg(test)]
mod connection_tests;
pub(crate) mod connections;
mod convergence;
pub(crate) mod endpoints;
mod error;
mod forward;
mod hooks;
mod pace;
#[cfg(test)]
mod pace_tests;
pub(crate) mod probes;
mod replicas;
mod reports;
#[cfg(test)]
mod request_tests;
#[cfg(test)]
pub(crate) mod server_tests;
mod snapshots;
pub(crate) mod tls;
#[cfg(test)]
mod turned_away_tests;
mod ui;
#[cfg(test)]
mod ui_tests;
mod webhook;
#[cfg(test)]
mod webhook_tests;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};

use crate::http::endpoints::Endpoints;
use crate::http::error::HttpError;

/// Returns the routes that are served over HTTPS, with the page for people if `ui` is true.
pub(crate) fn routes(endpoints: Endpoints, ui: bool) -> Router {
    let page = if ui { rototo_page::routes(ui::UiSource::new(endpoints.clone())) } else { Router::new() };
    let by_any_replica = Router::new()
        .route("/v1/namespaces/{namespace}/workspaces/{name}/snapshots/{fingerprint}", get(snapshots::snapshot))
        .route_layer(from_fn_with_state(endpoints.clone(), forward::missing_to_leader));
    let reports = Router::new()
        .route("/v1/namespaces/{namespace}/workspaces/{name}/fleet", post(reports::take_report))
        .route_layer(from_fn_with_state(endpoints.clone(), forward::to_leader))
        .route_layer(from_fn_with_state(endpoints.clone(), reports::note_turned_away));
    let by_the_leader = Router::new()
        .route("/v1/namespaces/{namespace}/workspaces/{name}/convergence", get(convergence::convergence))
        .route_layer(from_fn_with_state(endpoints.clone(), forward::to_leader));
    let between_replicas = Router::new()
        .route("/v1/replicas", post(replicas::announce))
        .route("/v1/replicas/handover", post(replicas::inherit))
        .route("/v1/replicas/hooks/{namespace}/{name}", post(hooks::checked_hook))
        .route("/v1/replicas/snapshots/{namespace}/{name}/{fingerprint}", put(replicas::take_copy));
    Router::new()
        .merge(by_any_replica)
        .merge(reports)
        .merge(by_the_leader)
        .merge(between_replicas)
        .route("/hooks/{namespace}/{name}", post(hooks::hook))
        .fallback(async || HttpError::NoSuchPath)
        .method_not_allowed_fallback(async || HttpError::NoSuchMethod)
        .with_state(endpoints.clone())
        .merge(page)
        .layer(from_fn_with_state(endpoints, pace::delay_refusals))
}
