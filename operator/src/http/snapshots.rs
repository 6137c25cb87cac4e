//! `GET …/snapshots/…`: serves the content that a fingerprint names.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rototo_engine::Fingerprint;
use serde::Deserialize;

use crate::http::access::Grant;
use crate::http::connections::{KeptUntilSent, Peer};
use crate::http::endpoints::{Endpoints, checked};
use crate::http::error::HttpError;
use crate::source::snapshot_cache::SnapshotRequest;

#[derive(Deserialize)]
pub(super) struct Base {
    base: Option<String>,
}

/// Serves a snapshot.
pub(super) async fn snapshot(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let request = requested(path, base)?;
    let caller = endpoints.authorize(peer, &headers, Grant::ReadSnapshot, &request.key).await?;
    let place = endpoints.place(&caller, &request.key).await?;
    endpoints.serves(&request.key)?;
    let (fingerprint, snapshots) = (request.fingerprint, endpoints.context().sources().snapshots());
    let etag = format!("\"{fingerprint}\"");
    let same = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    if same && snapshots.has(&request.key, &fingerprint) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let packed = snapshots.packed(&request).await.map_err(|error| {
        tracing::error!(%error, %fingerprint, "a snapshot could not be served");
        HttpError::Internal
    })?;
    let packed = packed.ok_or_else(|| endpoints.not_here(fingerprint))?;
    let headers = [
        (CONTENT_TYPE, "application/zstd".to_owned()),
        (ETAG, etag),
        (CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
    ];
    // Both are kept until the process has read the answer.
    let sending = endpoints.may_send(packed.len(), &request.key.namespace).await?;
    Ok((Extension(KeptUntilSent::new((place, sending))), headers, Bytes::from_owner(packed)).into_response())
}

/// Returns the snapshot that a path and a query name.
pub(super) fn requested(
    path: Result<Path<(String, String, String)>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
) -> Result<SnapshotRequest, HttpError> {
    let Path((namespace, name, fingerprint)) = path.map_err(|error| HttpError::Malformed(error.body_text()))?;
    let parse = |text: &str| text.parse::<Fingerprint>().map_err(|error| HttpError::Malformed(error.to_string()));
    let fingerprint = parse(&fingerprint)?;
    let base = base.map_err(|error| HttpError::Malformed(error.body_text()))?.0.base;
    let base = base.as_deref().map(parse).transpose()?;
    Ok(SnapshotRequest { key: checked(namespace, name)?, fingerprint, base })
}
