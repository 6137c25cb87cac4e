//! `GET …/convergence`: whether what is published runs everywhere, from the evidence as it is now.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use rototo_api::convergence::Convergence;

use crate::http::access::Grant;
use crate::http::connections::Peer;
use crate::http::endpoints::{Endpoints, WorkspacePath};
use crate::http::error::HttpError;
use crate::reconcile::report;

/// Answers whether what is published runs everywhere.
pub(super) async fn convergence(
    State(endpoints): State<Endpoints>,
    WorkspacePath(key): WorkspacePath,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Json<Convergence>, HttpError> {
    let caller = endpoints.authorize(peer, &headers, Grant::ReadWorkspace, &key).await?;
    let _place = endpoints.place(&caller, &key).await?;
    let (workspace, record) = endpoints.workspace(&key)?;
    Ok(Json(report::convergence(&workspace, &record, endpoints.context())))
}
