//! The routes of the page, which are the same wherever it is served.

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::assets;
use crate::http::document::Document;
use crate::http::source::{API, Refusal, Source, Wanted};
use crate::http::stream::events;

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

#[derive(Deserialize)]
struct ListQuery {
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct WorkspaceQuery {
    cluster: Option<String>,
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
        let events = Sse::new(events(source, parts, wanted, document, place));
        // nginx would keep events until they fill its buffer.
        return Ok(([("x-accel-buffering", "no")], events).into_response());
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
