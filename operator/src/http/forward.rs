//! Requests that only the leader can answer: another replica passes them on to it, and passes its answer back.
//!
//! The leader authorizes them as if they had come to itself, by the token of the one who sent them. A request is passed
//! on once.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version};
use axum::middleware::Next;
use axum::response::IntoResponse;

use crate::http::connections::Peer;
use crate::http::endpoints::{Endpoints, PASSED_ON_FOR};
use crate::http::error::{HttpError, NotLeading, REPORT_LIMIT};

/// The longest time that the leader may take. Processes wait longer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

/// Passes a request on to the leader, if that is another process.
pub(super) async fn to_leader(State(endpoints): State<Endpoints>, request: Request, next: Next) -> Response<Body> {
    let Some(leader) = endpoints.leader_for(request.headers()) else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    pass_on_or_close(&endpoints, &leader, parts, body).await
}

/// Passes a request for a snapshot on to the leader, if this process does not have the snapshot.
pub(super) async fn missing_to_leader(
    State(endpoints): State<Endpoints>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let leader = endpoints.leader_for(request.headers()).filter(|_| request.method() == Method::GET);
    let Some(leader) = leader else { return next.run(request).await };
    let (parts, body) = request.into_parts();
    let answer = next.run(Request::from_parts(parts.clone(), body)).await;
    if answer.extensions().get::<NotLeading>().is_none() {
        return answer;
    }
    pass_on_or_close(&endpoints, &leader, parts, Body::empty()).await
}

/// Passes a request on to the leader. Where this process is cut off from the leader, the connection of the request ends
/// too: the next one may lead to a replica that reaches it.
async fn pass_on_or_close(endpoints: &Endpoints, leader: &str, parts: Parts, body: Body) -> Response<Body> {
    let version = parts.version;
    let passed_on = pass_on(endpoints, leader, parts, body).await;
    let cut_off = || endpoints.context().leadership().is_cut_off(Instant::now());
    // HTTP/2 has no such header.
    let closes = version <= Version::HTTP_11 && matches!(passed_on, Err(HttpError::NotLeading)) && cut_off();
    let mut answer = passed_on.unwrap_or_else(IntoResponse::into_response);
    if closes {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Sends a request to the leader, and returns its answer.
pub(super) async fn pass_on(
    endpoints: &Endpoints,
    leader: &str,
    parts: Parts,
    body: Body,
) -> Result<Response<Body>, HttpError> {
    let peer = parts.extensions.get::<Peer>().copied().ok_or(HttpError::Internal)?;
    let body = endpoints.read(peer, body, REPORT_LIMIT).await?;
    let _place = endpoints.place_to_pass_on(peer).await?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(parts.method).uri(path);
    if let Some(headers) = request.headers_mut() {
        *headers = end_to_end(parts.headers);
        // The address as the leader would see it. A text of digits, dots, and colons is a header.
        headers.remove(PASSED_ON_FOR);
        headers.extend(
            HeaderValue::try_from(peer.to_string()).ok().map(|peer| (HeaderName::from_static(PASSED_ON_FOR), peer)),
        );
    }
    let peers = endpoints.peers().ok_or(HttpError::NotLeading)?;
    let began = Instant::now();
    let answer = peers.send(leader, request, body.into(), ANSWERED_WITHIN).await.map_err(|error| {
        tracing::debug!(leader, error, "the leader did not answer");
        HttpError::NotLeading
    })?;
    // A busy leader answers here, and announcements too late.
    endpoints.context().leadership().tried_to_reach(leader, true, began);
    let (parts, body) = answer.into_parts();
    let mut answer = Response::new(Body::from(body));
    (*answer.status_mut(), *answer.headers_mut()) = (parts.status, end_to_end(parts.headers));
    Ok(answer)
}

/// Returns the headers that are not about one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::http::server_tests::{PATIENCE, TestServer, WORKSPACE, fleet_path, report, request, token};

    use super::*;

    fn post() -> axum::http::Request<http_body_util::Full<axum::body::Bytes>> {
        request(Method::POST, &fleet_path(WORKSPACE), &token("app"), report(1))
    }

    /// Sends a report over HTTP/1.1. Returns the status, and whether the server ends the connection.
    async fn ends_the_connection(server: &TestServer) -> (StatusCode, bool) {
        let mut sender = server.http1_from([127, 0, 0, 1]).await;
        let answer = tokio::time::timeout(PATIENCE, sender.send_request(post())).await.unwrap().unwrap();
        (answer.status(), answer.headers().get(CONNECTION).is_some_and(|value| value == "close"))
    }

    #[tokio::test]
    async fn a_process_leaves_a_replica_that_does_not_reach_the_leader() {
        const LEADER: &str = "https://127.0.0.1:1";
        let server = TestServer::replica(LEADER).await;
        let (leadership, now) = (server.context.leadership(), Instant::now());
        leadership.tried_to_reach(LEADER, false, now - Duration::from_secs(11));
        assert_eq!(ends_the_connection(&server).await, (StatusCode::SERVICE_UNAVAILABLE, false), "it may be dead");
        leadership.saw_renewal(now - Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(ends_the_connection(&server).await, (StatusCode::SERVICE_UNAVAILABLE, true));
        let answer = server.http2().await.send_request(post()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().get(CONNECTION).is_none(), "HTTP/2 has no such header");
        // No replica answers it, and a new connection would not help.
        server.context.leadership().follow(None);
        assert_eq!(ends_the_connection(&server).await, (StatusCode::SERVICE_UNAVAILABLE, false));
    }
}
