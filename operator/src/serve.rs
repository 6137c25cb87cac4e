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
use rototo_api::fleet::{Answer, Report};
use rototo_api::snapshot::ErrorBody;
use rototo_engine::Fingerprint;
use rototo_protocol::fleet::Moment;
use rototo_protocol::windows::Windows;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::access::{Access, Denied, Grant};
use crate::body::{self, NoBody};
use crate::clock;
use crate::context::Context;
use crate::records::{Key, SharedRecord};
use crate::report;
use crate::snapshots::Wanted;
use crate::webhook::{Refused, Webhooks};

/// How many requests are worked on at once. Beyond it a process is asked to come back in a moment.
const AT_ONCE: usize = 512;
/// A report answers for so many siblings at most.
const SIBLINGS: usize = 32;
/// A report has some 600 bytes.
const REPORT_LIMIT: usize = 8 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub struct Endpoints {
    context: Arc<Context>,
    access: Arc<Access>,
    webhooks: Arc<Webhooks>,
    places: Arc<Semaphore>,
}

impl Endpoints {
    /// Endpoints that answer from `context`.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        let (access, webhooks) = (Access::new(context.client.clone()), Webhooks::new(context.client.clone()));
        Self {
            context,
            access: Arc::new(access),
            webhooks: Arc::new(webhooks),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What is known of a workspace. Only who writes knows.
    fn record(&self, key: &Key) -> Result<SharedRecord, Failure> {
        if !self.context.leadership.is_held(Instant::now()) {
            return Err(Failure::NotLeading);
        }
        match self.context.records.get(key) {
            Some(record) => Ok(record),
            None if self.context.exists(key) => Err(Failure::NotYet),
            None => Err(Failure::UnknownWorkspace(key.clone())),
        }
    }

    /// The windows of a workspace's fleet; those of a small one where nothing is known of it.
    fn windows(&self, key: &Key) -> Windows {
        let known = self.context.records.get(key).map(|record| record.lock().fleet.windows());
        known.unwrap_or_else(|| Windows::of(0, self.context.heartbeat))
    }

    /// Whether snapshots of a workspace are served. What a fingerprint names is the same whoever serves it, so this needs
    /// no Lease: one that has lost it, and is still asked for a moment, gives what its disk has.
    fn served(&self, key: &Key) -> Result<(), Failure> {
        if self.context.exists(key) {
            return Ok(());
        }
        Err(if self.context.is_watching() { Failure::UnknownWorkspace(key.clone()) } else { Failure::NotYet })
    }

    /// Only who writes has everything that is published.
    fn not_here(&self, fingerprint: Fingerprint) -> Failure {
        if self.context.leadership.is_held(Instant::now()) {
            Failure::UnknownFingerprint(fingerprint)
        } else {
            Failure::NotLeading
        }
    }

    /// The routes.
    pub fn routes(self) -> Router {
        Router::new()
            .route("/v1/namespaces/{namespace}/workspaces/{name}/snapshots/{fingerprint}", get(snapshot))
            .route("/v1/namespaces/{namespace}/workspaces/{name}/fleet", post(take_report))
            .route("/v1/namespaces/{namespace}/workspaces/{name}/convergence", get(convergence))
            .route("/hooks/{namespace}/{name}", post(hook))
            .fallback(async || Failure::NoSuchPath)
            .method_not_allowed_fallback(async || Failure::NoSuchMethod)
            .with_state(self)
    }
}

/// Why a request was not answered as it asked to be.
enum Failure {
    Malformed(String),
    Denied(Denied),
    UnknownFingerprint(Fingerprint),
    UnknownWorkspace(Key),
    NoSuchPath,
    NoSuchMethod,
    TooLong,
    Refused(Refused),
    NotLeading,
    NotYet,
    Busy,
    Internal,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::Malformed(message) => (StatusCode::BAD_REQUEST, "malformed", message),
            Self::Denied(denied) => denied_parts(&denied),
            Self::UnknownFingerprint(fingerprint) => {
                let message = format!("{fingerprint} is not content of this workspace, or not any more");
                (StatusCode::NOT_FOUND, "unknown_fingerprint", message)
            }
            Self::UnknownWorkspace(Key { namespace, name }) => {
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

fn refused_parts(refused: &Refused) -> (StatusCode, &'static str, String) {
    let (status, code) = match refused {
        Refused::NotConfigured => (StatusCode::NOT_FOUND, "no_webhook"),
        Refused::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too_many_calls"),
        Refused::Unsigned => (StatusCode::UNAUTHORIZED, "unsigned"),
        Refused::WrongSignature => (StatusCode::UNAUTHORIZED, "wrong_signature"),
        Refused::Incomplete => (StatusCode::REQUEST_TIMEOUT, "incomplete"),
        Refused::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "too_long"),
        Refused::NoKeys(_) => (StatusCode::SERVICE_UNAVAILABLE, "no_keys"),
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
) -> Result<Response, Failure> {
    let _place = endpoints.places.try_acquire().map_err(|_| Failure::Busy)?;
    let Path((namespace, name, fingerprint)) = path.map_err(|error| Failure::Malformed(error.body_text()))?;
    let key = Key { namespace, name };
    let parse = |text: &str| text.parse::<Fingerprint>().map_err(|error| Failure::Malformed(error.to_string()));
    let fingerprint = parse(&fingerprint)?;
    let base = base.map_err(|error| Failure::Malformed(error.body_text()))?.0.base;
    let base = base.as_deref().map(parse).transpose()?;
    endpoints
        .access
        .check(authorization(&headers), Grant::ReadSnapshot, &key, &endpoints.windows(&key))
        .await
        .map_err(Failure::Denied)?;
    endpoints.served(&key)?;
    let etag = format!("\"{fingerprint}\"");
    let same = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    if same && endpoints.context.snapshots.has(&key, &fingerprint) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    let packed = endpoints.context.snapshots.packed(&Wanted { key, fingerprint, base }).await.map_err(|error| {
        tracing::error!(%error, %fingerprint, "a snapshot could not be served");
        Failure::Internal
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
) -> Result<Json<Answer>, Failure> {
    // The clock of what a process applied stops here, and not when the API server has said who sends this.
    let received = clock::now();
    let taken = hear(&endpoints, path, &headers, body, received).await;
    if matches!(taken, Err(Failure::Busy | Failure::Denied(Denied::Unavailable(_)))) {
        endpoints.context.turned_away.note(received);
    }
    taken
}

async fn hear(
    endpoints: &Endpoints,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: &HeaderMap,
    body: Body,
    received: Moment,
) -> Result<Json<Answer>, Failure> {
    let _place = endpoints.places.try_acquire().map_err(|_| Failure::Busy)?;
    let Path((namespace, name)) = path.map_err(|error| Failure::Malformed(error.body_text()))?;
    let key = Key { namespace, name };
    let caller = endpoints
        .access
        .check(authorization(headers), Grant::Report, &key, &endpoints.windows(&key))
        .await
        .map_err(Failure::Denied)?;
    let malformed = |message: String| Failure::Malformed(format!("the report could not be read: {message}"));
    let body = body::read(body, REPORT_LIMIT).await.map_err(|why| match why {
        NoBody::TooLong => Failure::TooLong,
        NoBody::Incomplete => malformed("it did not arrive whole".to_owned()),
    })?;
    let report: Report = serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
    if !plausible(&report) {
        return Err(malformed("`process` must be a UUID, `reason` and `container` at most 64 letters, digits, and `_-.`, and `siblings` at most 32".to_owned()));
    }
    let record = endpoints.record(&key)?;
    let (answer, rings) = {
        let mut record = record.lock();
        let taken = record.fleet.report(&report, caller.pod_in(&key.namespace), received, fastrand::f64());
        if let Some(after) = taken.applied_first {
            endpoints.context.metrics.applied(after);
        }
        // A heartbeat that says nothing new is no reason to count anew.
        let rings = taken.news && !std::mem::replace(&mut record.rings_soon, true);
        (record.answer(taken, Instant::now()), rings)
    };
    if rings {
        tokio::spawn(ring_soon(endpoints.context.clone(), record, key));
    }
    Ok(Json(answer))
}

/// Answers whether what is published runs everywhere, from the evidence as it is now.
async fn convergence(
    State(endpoints): State<Endpoints>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<Convergence>, Failure> {
    let _place = endpoints.places.try_acquire().map_err(|_| Failure::Busy)?;
    let Path((namespace, name)) = path.map_err(|error| Failure::Malformed(error.body_text()))?;
    let key = Key { namespace, name };
    endpoints
        .access
        .check(authorization(&headers), Grant::ReadWorkspace, &key, &endpoints.windows(&key))
        .await
        .map_err(Failure::Denied)?;
    let record = endpoints.record(&key)?;
    let workspace = endpoints.context.workspace(&key).ok_or_else(|| Failure::UnknownWorkspace(key.clone()))?;
    Ok(Json(report::convergence(&workspace, &record, &endpoints.context)))
}

/// A fleet reports all at once, and is counted once for as many as come together.
const TOGETHER: Duration = Duration::from_millis(20);

async fn ring_soon(context: Arc<Context>, record: SharedRecord, key: Key) {
    tokio::time::sleep(TOGETHER).await;
    record.lock().rings_soon = false;
    context.ring(&key);
}

async fn hook(
    State(endpoints): State<Endpoints>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let key = Key { namespace, name };
    let record = match endpoints.record(&key) {
        Err(Failure::UnknownWorkspace(_)) => return Err(Failure::Refused(Refused::NotConfigured)),
        known => known?,
    };
    let secret = record.lock().webhook.clone();
    endpoints.webhooks.check(&key, secret, &headers, body).await.map_err(Failure::Refused)?;
    record.lock().source.schedule.called(Instant::now());
    endpoints.context.ring(&key);
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
