//! The requests between the replicas of one install: announcements to the leader, and copies of snapshots and the
//! leader's evidence from it.
//!
//! All are refused unless the sender shows that it has the install's Secret.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::fleet::clock;
use crate::http::body;
use crate::http::endpoints::Endpoints;
use crate::http::error::HttpError;
use crate::http::snapshots::{Base, requested};
use crate::leader::peers::LARGEST_SNAPSHOT;
use crate::source::copies::{AnnouncementAnswer, KeptSnapshots, ReplicaMessage};

/// The largest announcement, in bytes.
const ANNOUNCEMENT_LIMIT: usize = 8 * 1024;
/// The largest handover, in bytes: that of some 200,000 processes.
const HANDOVER_LIMIT: usize = 128 * 1024 * 1024;

/// The snapshots of the workspace that the leader keeps, separated by commas. Without them, nothing is deleted.
#[derive(Deserialize)]
pub(super) struct Kept {
    kept: Option<String>,
}

/// Takes the announcement of a replica.
pub(super) async fn announce(
    State(endpoints): State<Endpoints>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<AnnouncementAnswer>, HttpError> {
    endpoints.require_peer(&headers)?;
    let body = body::read(body, ANNOUNCEMENT_LIMIT).await.map_err(|why| HttpError::unread(why, ANNOUNCEMENT_LIMIT))?;
    let ReplicaMessage { announcement, turned_away_ms_ago } =
        serde_json::from_slice(&body).map_err(|error| HttpError::Malformed(error.to_string()))?;
    endpoints.require_leadership()?;
    let context = endpoints.context();
    let copies = context.copies().ok_or(HttpError::NoSuchPath)?;
    if let Some(ago) = turned_away_ms_ago {
        context.report_turned_away(clock::now().saturating_sub(Duration::from_millis(ago)));
    }
    Ok(Json(copies.announced(&announcement)))
}

/// Takes the evidence of a leader that is about to end.
pub(super) async fn inherit(
    State(endpoints): State<Endpoints>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, HttpError> {
    endpoints.require_peer(&headers)?;
    let body = body::read(body, HANDOVER_LIMIT).await.map_err(|why| HttpError::unread(why, HANDOVER_LIMIT))?;
    let handover = serde_json::from_slice(&body).map_err(|error| HttpError::Malformed(error.to_string()))?;
    // Now, and not before the body: a term may have begun meanwhile, in which this process took reports.
    endpoints.require_no_leadership()?;
    endpoints.context().inherit(handover);
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the copy of a snapshot.
pub(super) async fn take_copy(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
    kept: Result<Query<Kept>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, HttpError> {
    endpoints.require_peer(&headers)?;
    let request = requested(path, base)?;
    let Query(Kept { kept }) = kept.map_err(|error| HttpError::Malformed(error.body_text()))?;
    let kept: Option<Result<KeptSnapshots, _>> =
        kept.map(|kept| kept.split(',').filter(|one| !one.is_empty()).map(str::parse).collect());
    let kept =
        kept.transpose().map_err(|_| HttpError::Malformed("`kept` must be a list of fingerprints".to_owned()))?;
    endpoints.require_no_leadership()?;
    let body = body::read(body, LARGEST_SNAPSHOT).await.map_err(|why| HttpError::unread(why, LARGEST_SNAPSHOT))?;
    let fingerprint = request.fingerprint;
    let stored = endpoints.context().sources().take_copy(request, body, kept).await;
    stored.map_err(|error| {
        tracing::warn!(%error, %fingerprint, "a copy of a snapshot could not be taken");
        HttpError::Internal
    })?;
    Ok(StatusCode::NO_CONTENT)
}
