//! What is asked over HTTPS. By processes: what does this fingerprint name, and is what I run still right? By git hosts:
//! will you have a look?

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rototo_api::convergence::Convergence;
use rototo_api::fleet::{Report, ReportResponse};
use rototo_api::snapshot::ErrorBody;
use rototo_engine::Fingerprint;
use rototo_protocol::fleet::Moment;
use rototo_protocol::windows::Windows;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::fleet::clock;
use crate::http::access::{Authorizer, Denied, Grant};
use crate::http::body;
use crate::http::body::BodyError;
use crate::http::webhook::{WebhookRefusal, Webhooks};
use crate::reconcile::context::OperatorContext;
use crate::reconcile::record_store::{SharedRecord, WorkspaceKey};
use crate::reconcile::report;
use crate::source::snapshots::SnapshotRequest;

/// How many requests are worked on at once. Beyond it a process is asked to come back in a moment.
const AT_ONCE: usize = 512;
/// A report answers for so many siblings at most.
const SIBLINGS: usize = 32;
/// A report has some 600 bytes.
const REPORT_LIMIT: usize = 8 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub struct Endpoints {
    context: Arc<OperatorContext>,
    authorizer: Arc<Authorizer>,
    webhooks: Arc<Webhooks>,
    places: Arc<Semaphore>,
}

impl Endpoints {
    /// Endpoints that answer from `context`.
    #[must_use]
    pub fn new(context: Arc<OperatorContext>) -> Self {
        let (authorizer, webhooks) = (Authorizer::new(context.client.clone()), Webhooks::new(context.client.clone()));
        Self {
            context,
            authorizer: Arc::new(authorizer),
            webhooks: Arc::new(webhooks),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What is known of a workspace. Only who writes knows.
    fn record(&self, key: &WorkspaceKey) -> Result<SharedRecord, HttpError> {
        if !self.context.leadership.is_held(Instant::now()) {
            return Err(HttpError::NotLeading);
        }
        match self.context.records.get(key) {
            Some(record) => Ok(record),
            None if self.context.exists(key) => Err(HttpError::NotYet),
            None => Err(HttpError::UnknownWorkspace(key.clone())),
        }
    }

    /// The windows of a workspace's fleet; those of a small one where nothing is known of it.
    fn windows(&self, key: &WorkspaceKey) -> Windows {
        let known = self.context.records.get(key).map(|record| record.lock().fleet.windows());
        known.unwrap_or_else(|| Windows::of(0, self.context.heartbeat))
    }

    /// Whether snapshots of a workspace are served. What a fingerprint names is the same whoever serves it, so this needs
    /// no Lease: one that has lost it, and is still asked for a moment, gives what its disk has.
    fn served(&self, key: &WorkspaceKey) -> Result<(), HttpError> {
        if self.context.exists(key) {
            return Ok(());
        }
        Err(if self.context.is_watching() { HttpError::UnknownWorkspace(key.clone()) } else { HttpError::NotYet })
    }

    /// Only who writes has everything that is published.
    fn not_here(&self, fingerprint: Fingerprint) -> HttpError {
        if self.context.leadership.is_held(Instant::now()) {
            HttpError::UnknownFingerprint(fingerprint)
        } else {
            HttpError::NotLeading
        }
    }

    /// The routes.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/v1/namespaces/{namespace}/workspaces/{name}/snapshots/{fingerprint}", get(snapshot))
            .route("/v1/namespaces/{namespace}/workspaces/{name}/fleet", post(take_report))
            .route("/v1/namespaces/{namespace}/workspaces/{name}/convergence", get(convergence))
            .route("/hooks/{namespace}/{name}", post(hook))
            .fallback(async || HttpError::NoSuchPath)
            .method_not_allowed_fallback(async || HttpError::NoSuchMethod)
            .with_state(self)
    }
}

/// Why a request was not answered as it asked to be.
enum HttpError {
    Malformed(String),
    Denied(Denied),
    UnknownFingerprint(Fingerprint),
    UnknownWorkspace(WorkspaceKey),
    NoSuchPath,
    NoSuchMethod,
    TooLong,
    Refused(WebhookRefusal),
    NotLeading,
    NotYet,
    Busy,
    Internal,
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::Malformed(message) => (StatusCode::BAD_REQUEST, "malformed", message),
            Self::Denied(denied) => denied_parts(&denied),
            Self::UnknownFingerprint(fingerprint) => {
                let message = format!("{fingerprint} is not content of this workspace, or not any more");
                (StatusCode::NOT_FOUND, "unknown_fingerprint", message)
            }
            Self::UnknownWorkspace(WorkspaceKey { namespace, name }) => {
                let message = format!("there is no RototoWorkspace `{name}` in namespace {namespace}");
                (StatusCode::NOT_FOUND, "unknown_workspace", message)
            }
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path".to_owned()),
            Self::NoSuchMethod => {
                let message = "snapshots are got, reports and calls of a git host are posted".to_owned();
                (StatusCode::METHOD_NOT_ALLOWED, "no_such_method", message)
            }
            Self::TooLong => {
                let message = format!("a report may have at most {REPORT_LIMIT} bytes");
                (StatusCode::PAYLOAD_TOO_LARGE, "too_long", message)
            }
            Self::Refused(refused) => refused_parts(&refused),
            Self::NotLeading => {
                let message = "another operator process answers; try again".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "not_leading", message)
            }
            Self::NotYet => {
                let message = "the operator has just started; try again".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "starting", message)
            }
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests at once; try again".to_owned()),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the operator could not read its store; its log says why".to_owned(),
            ),
        };
        let mut response = (status, Json(ErrorBody { code: code.to_owned(), message })).into_response();
        let headers = response.headers_mut();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn denied_parts(denied: &Denied) -> (StatusCode, &'static str, String) {
    let (status, code) = match denied {
        Denied::NoToken => (StatusCode::UNAUTHORIZED, "no_token"),
        Denied::BadToken(_) => (StatusCode::UNAUTHORIZED, "bad_token"),
        Denied::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
        Denied::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "reviews_unavailable"),
    };
    (status, code, denied.to_string())
}

fn refused_parts(refused: &WebhookRefusal) -> (StatusCode, &'static str, String) {
    let (status, code) = match refused {
        WebhookRefusal::NotConfigured => (StatusCode::NOT_FOUND, "no_webhook"),
        WebhookRefusal::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many_calls"),
        WebhookRefusal::Unsigned => (StatusCode::UNAUTHORIZED, "unsigned"),
        WebhookRefusal::WrongSignature => (StatusCode::UNAUTHORIZED, "wrong_signature"),
        WebhookRefusal::Incomplete => (StatusCode::REQUEST_TIMEOUT, "incomplete"),
        WebhookRefusal::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "too_long"),
        WebhookRefusal::NoKeys(_) => (StatusCode::SERVICE_UNAVAILABLE, "no_keys"),
    };
    (status, code, refused.to_string())
}

#[derive(Deserialize)]
struct Base {
    base: Option<String>,
}

async fn snapshot(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    base: Result<Query<Base>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let _place = endpoints.places.try_acquire().map_err(|_| HttpError::Busy)?;
    let Path((namespace, name, fingerprint)) = path.map_err(|error| HttpError::Malformed(error.body_text()))?;
    let key = WorkspaceKey { namespace, name };
    let parse = |text: &str| text.parse::<Fingerprint>().map_err(|error| HttpError::Malformed(error.to_string()));
    let fingerprint = parse(&fingerprint)?;
    let base = base.map_err(|error| HttpError::Malformed(error.body_text()))?.0.base;
    let base = base.as_deref().map(parse).transpose()?;
    endpoints
        .authorizer
        .check(authorization(&headers), Grant::ReadSnapshot, &key, &endpoints.windows(&key))
        .await
        .map_err(HttpError::Denied)?;
    endpoints.served(&key)?;
    let etag = format!("\"{fingerprint}\"");
    let same = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    if same && endpoints.context.snapshots.has(&key, &fingerprint) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let packed =
        endpoints.context.snapshots.packed(&SnapshotRequest { key, fingerprint, base }).await.map_err(|error| {
            tracing::error!(%error, %fingerprint, "a snapshot could not be served");
            HttpError::Internal
        })?;
    let packed = packed.ok_or_else(|| endpoints.not_here(fingerprint))?;
    let headers = [
        (CONTENT_TYPE, "application/zstd".to_owned()),
        (ETAG, etag),
        (CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, Bytes::from_owner(packed)).into_response())
}

async fn take_report(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ReportResponse>, HttpError> {
    // The clock of what a process applied stops here, and not when the API server has said who sends this.
    let received = clock::now();
    let taken = accept_report(&endpoints, path, &headers, body, received).await;
    if matches!(taken, Err(HttpError::Busy | HttpError::Denied(Denied::Unavailable(_)))) {
        endpoints.context.turned_away.note(received);
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
    let _place = endpoints.places.try_acquire().map_err(|_| HttpError::Busy)?;
    let Path((namespace, name)) = path.map_err(|error| HttpError::Malformed(error.body_text()))?;
    let key = WorkspaceKey { namespace, name };
    let caller = endpoints
        .authorizer
        .check(authorization(headers), Grant::Report, &key, &endpoints.windows(&key))
        .await
        .map_err(HttpError::Denied)?;
    let malformed = |message: String| HttpError::Malformed(format!("the report could not be read: {message}"));
    let body = body::read(body, REPORT_LIMIT).await.map_err(|why| match why {
        BodyError::TooLong => HttpError::TooLong,
        BodyError::Incomplete => malformed("it did not arrive whole".to_owned()),
    })?;
    let report: Report = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
    if !plausible(&report) {
        return Err(malformed("`process` must be a UUID, `reason` and `container` at most 64 letters, digits, and `_-.`, and `siblings` at most 32".to_owned()));
    }
    let record = endpoints.record(&key)?;
    let (answer, requeues) = {
        let mut record = record.lock();
        let taken = record.fleet.report(&report, caller.pod_in(&key.namespace), received, fastrand::f64());
        if let Some(after) = taken.applied_first {
            endpoints.context.metrics.applied(after);
        }
        // A heartbeat that says nothing new is no reason to count anew.
        let requeues = taken.news && !std::mem::replace(&mut record.requeue_pending, true);
        (record.answer(taken, Instant::now()), requeues)
    };
    if requeues {
        tokio::spawn(requeue_soon(endpoints.context.clone(), record, key));
    }
    Ok(Json(answer))
}

/// Answers whether what is published runs everywhere, from the evidence as it is now.
async fn convergence(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Convergence>, HttpError> {
    let _place = endpoints.places.try_acquire().map_err(|_| HttpError::Busy)?;
    let Path((namespace, name)) = path.map_err(|error| HttpError::Malformed(error.body_text()))?;
    let key = WorkspaceKey { namespace, name };
    endpoints
        .authorizer
        .check(authorization(&headers), Grant::ReadWorkspace, &key, &endpoints.windows(&key))
        .await
        .map_err(HttpError::Denied)?;
    let record = endpoints.record(&key)?;
    let workspace = endpoints.context.workspace(&key).ok_or_else(|| HttpError::UnknownWorkspace(key.clone()))?;
    Ok(Json(report::convergence(&workspace, &record, &endpoints.context)))
}

/// A fleet reports all at once, and is counted once for as many as come together.
const TOGETHER: Duration = Duration::from_millis(20);

async fn requeue_soon(context: Arc<OperatorContext>, record: SharedRecord, key: WorkspaceKey) {
    tokio::time::sleep(TOGETHER).await;
    record.lock().requeue_pending = false;
    context.requeue(&key);
}

async fn hook(
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
    let secret = record.lock().webhook.clone();
    endpoints.webhooks.check(&key, secret, &headers, body).await.map_err(HttpError::Refused)?;
    record.lock().source.schedule.called(Instant::now());
    endpoints.context.requeue(&key);
    Ok(StatusCode::ACCEPTED)
}

/// What goes into a status must be short and without surprises: an identifier and a code.
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

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()
}
