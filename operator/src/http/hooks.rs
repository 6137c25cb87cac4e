//! `POST /hooks/…`: the call of a git host makes a poll due.
//!
//! Each replica checks calls itself, by the spec as its watch shows it, and passes only the result on to the leader:
//! the body of a call may have 25 MiB, and nobody needs it twice.

use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Request, StatusCode};

use crate::http::connections::Peer;
use crate::http::endpoints::{Endpoints, key};
use crate::http::error::HttpError;
use crate::http::webhook::{Delivery, WebhookRefusal};
use crate::outbound::telemetry::TRACE_HEADERS;
use crate::workspace_key::WorkspaceKey;

/// The longest time that the leader may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

/// Takes the call of a git host.
pub(super) async fn hook(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String)>, PathRejection>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, HttpError> {
    let key = key(path)?;
    let context = endpoints.context();
    let workspace = context.cluster().workspace(&key);
    if workspace.is_none() && !context.cluster().is_watching() {
        return Err(HttpError::NotYet);
    }
    let webhook = workspace.as_ref().and_then(|workspace| workspace.spec.webhook.clone());
    let secret = webhook.map(|webhook| webhook.secret_ref.name);
    let checked = endpoints.webhooks().check(&key, peer, secret, &headers, body).await;
    if checked == Err(WebhookRefusal::Unsigned) && is_test_of_connection(&headers) {
        return Ok(StatusCode::OK);
    }
    let delivery = checked.map_err(|refusal| {
        match &refusal {
            WebhookRefusal::TooMany => context.load().refused("webhook_places"),
            WebhookRefusal::TooManyWrong => context.load().refused("webhook_wrong_calls"),
            WebhookRefusal::NoKeys { why, .. } => {
                if let Some(workspace) = workspace.as_deref() {
                    context.webhook_unusable(workspace, why);
                }
            }
            _ => {}
        }
        HttpError::Refused(refusal)
    })?;
    match (delivery, endpoints.leader_for(&headers)) {
        (Delivery::Repeated, _) => return Ok(StatusCode::ACCEPTED),
        (Delivery::New(_), None) => take(&endpoints, &key, &headers)?,
        (Delivery::New(_), Some(leader)) => pass_on(&endpoints, &leader, &key, &headers).await?,
    }
    // A host sends a call again that was not taken.
    if let Delivery::New(Some(delivery)) = delivery {
        endpoints.webhooks().taken(delivery);
    }
    Ok(StatusCode::ACCEPTED)
}

/// Returns whether Bitbucket Server tests the connection, which it does not sign. Such a call shows that the way is open,
/// and does nothing.
fn is_test_of_connection(headers: &HeaderMap) -> bool {
    headers.get("x-event-key").is_some_and(|event| event == "diagnostics:ping")
}

/// Takes a call that another replica has checked.
pub(super) async fn checked_hook(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, HttpError> {
    endpoints.require_peer(&headers)?;
    take(&endpoints, &key(path)?, &headers)?;
    Ok(StatusCode::ACCEPTED)
}

fn take(endpoints: &Endpoints, key: &WorkspaceKey, headers: &HeaderMap) -> Result<(), HttpError> {
    let sender = endpoints.context().telemetry().sender(headers);
    endpoints.record(key)?.lock().webhook_called(Instant::now(), sender);
    endpoints.context().cluster().requeue(key);
    Ok(())
}

async fn pass_on(
    endpoints: &Endpoints,
    leader: &str,
    key: &WorkspaceKey,
    headers: &HeaderMap,
) -> Result<(), HttpError> {
    let WorkspaceKey { namespace, name } = key;
    let request = Request::builder().method(Method::POST).uri(format!("/v1/replicas/hooks/{namespace}/{name}"));
    let named = TRACE_HEADERS.iter().filter_map(|name| Some((*name, headers.get(*name)?)));
    let request = named.fold(request, |request, (name, value)| request.header(name, value));
    let peers = endpoints.peers().ok_or(HttpError::NotLeading)?;
    peers.ask(leader, request, Vec::new(), ANSWERED_WITHIN).await.map_err(|error| {
        tracing::debug!(leader, error, "the leader did not take a webhook call");
        HttpError::NotLeading
    })?;
    Ok(())
}
