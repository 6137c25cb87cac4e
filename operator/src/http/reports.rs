//! `POST …/fleet`: takes the report of a process, and answers what it should run.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use axum::middleware::Next;
use axum::{Extension, Json};
use rototo_api::fleet::{Report, ReportResponse};
use rototo_engine::Fingerprint;
use rototo_protocol::fleet::Moment;

use crate::fleet::clock;
use crate::http::access::Grant;
use crate::http::connections::Peer;
use crate::http::endpoints::{Endpoints, WorkspacePath};
use crate::http::error::{HttpError, REPORT_LIMIT, TurnedAwayMark};
use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::{ReportReceipt, RequeueTime, SharedRecord};
use crate::workspace_key::WorkspaceKey;

/// The largest number of siblings that one report answers for.
const SIBLINGS: usize = 32;
/// The time during which reports are counted together: a fleet reports all at once.
const TOGETHER: Duration = Duration::from_millis(20);

/// A report that has no answer yet. One that a limit refuses, or whose sender gives up, is noted when this is dropped:
/// its sender may be any process, which must not be taken for gone.
struct Unanswered {
    context: Arc<OperatorContext>,
    received: Moment,
    answered: bool,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.answered {
            self.context.report_turned_away(self.received);
        }
    }
}

/// Notes the reports that are turned away, here or on their way to the leader.
pub(super) async fn note_turned_away(
    State(endpoints): State<Endpoints>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let mut report = Unanswered { context: endpoints.context().clone(), received: clock::now(), answered: false };
    let answer = next.run(request).await;
    report.answered = answer.extensions().get::<TurnedAwayMark>().is_none();
    answer
}

/// Takes the report of a process.
pub(super) async fn take_report(
    State(endpoints): State<Endpoints>,
    WorkspacePath(key): WorkspacePath,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ReportResponse>, HttpError> {
    // The time of the report counts for what a process applied, and not the time when the API server has said who sends
    // it.
    let received = clock::now();
    let body = endpoints.read(endpoints.sender(peer, &headers), body, REPORT_LIMIT).await?;
    let caller = endpoints.authorize(peer, &headers, Grant::Report, &key).await?;
    let _place = endpoints.place(&caller, &key).await?;
    // Only a known sender learns what is wrong with its report.
    let report = parsed(&body)?;
    let (record, context) = (endpoints.record(&key)?, endpoints.context());
    let receipt = record.lock().report(&report, caller.pod_in(&key.namespace), received, fastrand::f64());
    let receipt = receipt.ok_or(HttpError::NotLeading)?.map_err(|full| {
        context.load().refused(full.code());
        HttpError::NoRoom(full)
    });
    let ReportReceipt { answer, requeue, applied_first } = receipt?;
    if let Some(after) = applied_first {
        context.metrics().applied(after);
    }
    match requeue {
        RequeueTime::Never => {}
        RequeueTime::Now => context.cluster().requeue(&key),
        RequeueTime::TogetherWithOthers => drop(tokio::spawn(requeue_soon(context.clone(), record, key))),
    }
    Ok(Json(answer))
}

fn parsed(body: &[u8]) -> Result<Report, HttpError> {
    let malformed = |message: &str| HttpError::Malformed(format!("the report could not be read: {message}"));
    let report: Report = serde_json::from_slice(body).map_err(|error| malformed(&error.to_string()))?;
    if !plausible(&report) {
        return Err(malformed(
            "`process` must be a UUID, each `fingerprint` that of a content, each `reason` (of `degraded` too), `container`, and `version` at most \
             64 letters, digits, and `_-.+`, and `siblings` at most 32",
        ));
    }
    Ok(report)
}

/// Returns whether all texts that go into memory or a status are what they should be, and short.
fn plausible(report: &Report) -> bool {
    let code = |text: &String| {
        text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte))
    };
    let next = report.next.as_ref();
    let degraded = report.degraded.as_ref().map(|degraded| &degraded.reason);
    let reasons = [report.reason.as_ref(), next.and_then(|next| next.reason.as_ref()), degraded];
    let codes = [report.container.as_ref(), Some(&report.version)].into_iter().chain(reasons).flatten().all(code);
    let mut fingerprints = report.fingerprint.iter().chain(next.map(|next| &next.fingerprint));
    let fingerprints = fingerprints.all(|text| text.parse::<Fingerprint>().is_ok());
    codes && fingerprints && is_uuid(&report.process) && report.siblings.len() <= SIBLINGS
}

/// Returns whether a text is a UUID: 32 hexadecimal digits in five groups.
fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    groups && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

async fn requeue_soon(context: Arc<OperatorContext>, record: SharedRecord, key: WorkspaceKey) {
    tokio::time::sleep(TOGETHER).await;
    record.lock().requeued();
    context.cluster().requeue(&key);
}
