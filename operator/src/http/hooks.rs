//! `POST /hooks/…`: the call of a git host makes a poll due.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};

use crate::http::endpoints::Endpoints;
use crate::http::error::HttpError;
use crate::http::webhook::WebhookRefusal;
use crate::workspace_key::WorkspaceKey;

/// Takes the call of a git host.
pub(super) async fn hook(
    State(endpoints): State<Endpoints>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, HttpError> {
    let key = WorkspaceKey { namespace, name };
    let record = match endpoints.record(&key) {
        Err(HttpError::UnknownWorkspace(_)) => return Err(HttpError::Refused(WebhookRefusal::NotConfigured)),
        known => known?,
    };
    let secret = record.lock().webhook().cloned();
    endpoints.webhooks().check(&key, secret, &headers, body).await.map_err(HttpError::Refused)?;
    record.lock().webhook_called(Instant::now());
    endpoints.context().requeue(&key);
    Ok(StatusCode::ACCEPTED)
}
