//! The routes of the page. They are the same wherever it is served; a [`Source`] decides who may ask, and what is known.

use std::future::Future;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use rototo_api::snapshot::ErrorBody;
use serde::Deserialize;

use crate::assets;
use crate::http::document::Document;
use crate::http::stream::events;

/// The path of the list. A workspace is below it, at `/NAMESPACE/NAME`.
pub const API: &str = "/ui/api/workspaces";
/// The interval at which a stream reads one workspace, and the list.
const WORKSPACE_EVERY: Duration = Duration::from_millis(250);
const LIST_EVERY: Duration = Duration::from_secs(1);

/// The permissions of the page: load its own files, and talk to its own server. No text becomes a script or a form.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// The headers of every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The subject of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The workspaces of a namespace, or of all.
    List {
        /// The namespace; `None` for all.
        namespace: Option<String>,
    },
    /// One workspace.
    Workspace {
        /// The context of its cluster, if there are several.
        cluster: Option<String>,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Knows the workspaces, and who may see them.
pub trait Source: Clone + Send + Sync + 'static {
    /// A place among the streams, which is free when it is dropped.
    type Place: Send + 'static;

    /// Returns the document, if whoever sent a request with these `parts` may see it.
    fn document(&self, parts: &Parts, wanted: &Wanted) -> impl Future<Output = Result<Document, Refusal>> + Send;

    /// Returns a place for a stream that a request with these `parts` asks for.
    fn place(&self, parts: &Parts) -> Result<Self::Place, Refusal>;
}

#[derive(Deserialize)]
struct ListQuery {
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct WorkspaceQuery {
    cluster: Option<String>,
}

impl Wanted {
    /// Returns the interval at which a stream reads it.
    pub(super) fn every(&self) -> Duration {
        match self {
            Self::List { .. } => LIST_EVERY,
            Self::Workspace { .. } => WORKSPACE_EVERY,
        }
    }

    /// Returns its path and query at a replica of an operator, which knows one cluster.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::List { namespace: None } => API.to_owned(),
            Self::List { namespace: Some(namespace) } => format!("{API}?namespace={namespace}"),
            Self::Workspace { namespace, name, .. } => format!("{API}/{namespace}/{name}"),
        }
    }
}

/// Returns the routes, all of them below `/ui`.
pub fn routes<S: Source>(source: S) -> Router {
    Router::new()
        // Relative, so that it also holds behind a proxy that serves the page below another path.
        .route("/ui", get(async || (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "ui/")])))
        .route("/ui/", get(async || assets::answer("index.html")))
        .route("/ui/{file}", get(async |Path(file): Path<String>| assets::answer(&file)))
        .route(API, get(list::<S>))
        .route(&format!("{API}/{{namespace}}/{{name}}"), get(workspace::<S>))
        .layer(map_response(with_headers))
        .with_state(source)
}

async fn list<S: Source>(
    State(source): State<S>,
    Query(ListQuery { namespace }): Query<ListQuery>,
    request: Request,
) -> Result<Response, Refusal> {
    let namespace = namespace.filter(|namespace| !namespace.is_empty());
    answer(source, Wanted::List { namespace }, request).await
}

async fn workspace<S: Source>(
    State(source): State<S>,
    Path((namespace, name)): Path<(String, String)>,
    Query(WorkspaceQuery { cluster }): Query<WorkspaceQuery>,
    request: Request,
) -> Result<Response, Refusal> {
    answer(source, Wanted::Workspace { cluster, namespace, name }, request).await
}

async fn answer<S: Source>(source: S, wanted: Wanted, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let document: Document = source.document(&parts, &wanted).await?;
    let accepted = parts.headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    if accepted.contains("text/event-stream") {
        let place = source.place(&parts)?;
        return Ok(Sse::new(events(source, parts, wanted, document, place)).into_response());
    }
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], document.json()).into_response())
}

async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer to a request that is refused.
#[derive(Debug)]
pub struct Refusal(Box<Response>);

impl Refusal {
    /// Makes an answer with a code for programs and a sentence for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, message: String) -> Self {
        (status, Json(ErrorBody { code: code.to_owned(), message })).into_response().into()
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }
}

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}
