//! `POST …/fleet`: takes the report of a process, and answers what it should run.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use rototo_api::fleet::{Report, ReportResponse};
use rototo_protocol::fleet::Moment;

use crate::fleet::clock;
use crate::http::access::{Denied, Grant};
use crate::http::body::{self, BodyError};
use crate::http::endpoints::{Endpoints, key};
use crate::http::error::{HttpError, REPORT_LIMIT};
use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::{ReportReceipt, SharedRecord};
use crate::workspace_key::WorkspaceKey;

/// The largest number of siblings that one report answers for.
const SIBLINGS: usize = 32;
/// The time during which reports are counted together: a fleet reports all at once.
const TOGETHER: Duration = Duration::from_millis(20);

/// Takes the report of a process.
pub(super) async fn take_report(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ReportResponse>, HttpError> {
    // The time of the report counts for what a process applied, and not the time when the API server has said who sends
    // it.
    let received = clock::now();
    let taken = accept_report(&endpoints, path, &headers, body, received).await;
    if matches!(taken, Err(HttpError::Busy | HttpError::Denied(Denied::Unavailable(_)))) {
        endpoints.context().report_turned_away(received);
    }
    taken
}

async fn accept_report(
    endpoints: &Endpoints,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: &HeaderMap,
    body: Body,
    received: Moment,
) -> Result<Json<ReportResponse>, HttpError> {
    let _place = endpoints.place()?;
    let key = key(path)?;
    let caller = endpoints.authorize(headers, Grant::Report, &key).await?;
    let report = read(body).await?;
    let (record, context) = (endpoints.record(&key)?, endpoints.context());
    let receipt = record.lock().report(&report, caller.pod_in(&key.namespace), received, fastrand::f64());
    let ReportReceipt { answer, requeue, applied_first } = receipt.ok_or(HttpError::NotLeading)?;
    if let Some(after) = applied_first {
        context.metrics().applied(after);
    }
    if requeue {
        tokio::spawn(requeue_soon(context.clone(), record, key));
    }
    Ok(Json(answer))
}

async fn read(body: Body) -> Result<Report, HttpError> {
    let malformed = |message: String| HttpError::Malformed(format!("the report could not be read: {message}"));
    let body = body::read(body, REPORT_LIMIT).await.map_err(|why| match why {
        BodyError::TooLong => HttpError::TooLong(REPORT_LIMIT),
        BodyError::Incomplete => malformed("it did not arrive whole".to_owned()),
    })?;
    let report: Report = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
    if !plausible(&report) {
        return Err(malformed(
            "`process` must be a UUID, `reason` and `container` at most 64 letters, digits, and `_-.`, and `siblings` \
             at most 32"
                .to_owned(),
        ));
    }
    Ok(report)
}

/// Returns whether all texts that go into a status are short identifiers or codes.
fn plausible(report: &Report) -> bool {
    let code = |text: &String| {
        text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let codes = [&report.reason, &report.container].into_iter().flatten();
    !report.process.is_empty()
        && code(&report.process)
        && codes.into_iter().all(code)
        && report.siblings.len() <= SIBLINGS
}

async fn requeue_soon(context: Arc<OperatorContext>, record: SharedRecord, key: WorkspaceKey) {
    tokio::time::sleep(TOGETHER).await;
    record.lock().requeued();
    context.requeue(&key);
}
