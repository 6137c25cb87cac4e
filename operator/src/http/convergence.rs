//! `GET …/convergence`: whether what is published runs everywhere, from the evidence as it is now.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use rototo_api::convergence::Convergence;

use crate::http::access::Grant;
use crate::http::endpoints::{Endpoints, key};
use crate::http::error::HttpError;
use crate::reconcile::report;

/// Answers whether what is published runs everywhere.
pub(super) async fn convergence(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Convergence>, HttpError> {
    let _place = endpoints.place()?;
    let key = key(path)?;
    endpoints.authorize(&headers, Grant::ReadWorkspace, &key).await?;
    let record = endpoints.record(&key)?;
    let context = endpoints.context();
    let workspace = context.workspace(&key).ok_or(HttpError::UnknownWorkspace(key))?;
    Ok(Json(report::convergence(&workspace, &record, context)))
}
