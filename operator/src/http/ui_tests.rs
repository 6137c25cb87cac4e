//! The page as the operator serves it: who sees what, and how much one address may take.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use crate::http::server_tests::{NAMESPACE, TestServer, WORKSPACE, fleet_path, read, report, request, token};

const LIST: &str = "/ui/api/workspaces";

fn workspace() -> String {
    format!("{LIST}/{NAMESPACE}/{WORKSPACE}")
}

fn stream(path: &str) -> Request<http_body_util::Full<axum::body::Bytes>> {
    let mut stream = request(Method::GET, path, &token("viewer"), "");
    stream.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    stream
}

#[tokio::test]
async fn there_is_no_page_unless_it_is_turned_on() {
    let server = TestServer::start().await;
    for (on, expected) in [(false, StatusCode::NOT_FOUND), (true, StatusCode::OK)] {
        let routes = crate::http::routes(server.endpoints.clone(), on);
        let asked = Request::get("/ui/").body(Body::empty()).unwrap();
        assert_eq!(routes.oneshot(asked).await.unwrap().status(), expected);
    }
}

#[tokio::test]
async fn the_files_are_for_everybody_and_the_data_for_those_with_a_grant() {
    let server = TestServer::start().await;
    assert_eq!(server.send(request(Method::GET, "/ui/", "", "")).await.0, StatusCode::OK);
    for path in [LIST, &workspace()] {
        let (status, body) = server.send(request(Method::GET, path, "bad", "")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        let (status, body) = server.send(request(Method::GET, path, &token("viewer"), "")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let server = TestServer::start().await;
    server.api().denies = true;
    let (status, body) = server.send(request(Method::GET, LIST, &token("viewer"), "")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("may not list rototoworkspaces in all namespaces; name one of them"), "{body}");
    let (status, body) =
        server.send(request(Method::GET, &format!("{LIST}?namespace=prod"), &token("viewer"), "")).await;
    assert!(status == StatusCode::FORBIDDEN && body.contains("in namespace prod"), "{body}");
}

#[tokio::test]
async fn bad_names_are_refused_before_anything_is_asked() {
    let server = TestServer::start().await;
    let long = "a".repeat(300);
    for path in [format!("{LIST}?namespace=UP"), format!("{LIST}/prod/{long}"), format!("{LIST}/a%2Fb/c")] {
        let (status, body) = server.send(request(Method::GET, &path, &token("viewer"), "")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {body}");
    }
    assert_eq!(server.api().token_reviews, 0);
    let (status, _) = server.send(request(Method::GET, &format!("{LIST}/prod/other"), &token("viewer"), "")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_processes_are_those_of_this_moment() {
    let server = TestServer::start().await;
    let sent = server.send(request(Method::POST, &fleet_path(WORKSPACE), &token("app-1"), report(1))).await;
    assert_eq!(sent.0, StatusCode::OK, "{}", sent.1);
    let (_, body) = server.send(request(Method::GET, &workspace(), &token("viewer"), "")).await;
    let document: Value = serde_json::from_str(&body).unwrap();
    let part = &document["parts"][0];
    assert_eq!((part["fleet"]["processes"].as_u64(), part["dated"].as_bool()), (Some(1), Some(true)), "{body}");
    let process = &part["roster"]["named"][0];
    assert_eq!((process["name"].as_str(), process["state"].as_str()), (Some("app-1"), Some("starting")), "{body}");
}

#[tokio::test]
async fn one_address_has_half_of_the_streams() {
    let server = TestServer::start().await;
    let mut open = Vec::new();
    let mut refused = 0;
    for _ in 0..34 {
        let mut sender = server.http1_from([127, 0, 0, 2]).await;
        let answer = sender.send_request(stream(&workspace())).await.unwrap();
        match answer.status() {
            StatusCode::OK => open.push((sender, answer)),
            status => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                refused += 1;
            }
        }
    }
    assert_eq!((open.len(), refused), (32, 2));
    assert_eq!(server.context.load().requests_refused("ui"), 2);
    let mut other = server.http1_from([127, 0, 0, 3]).await;
    assert_eq!(other.send_request(stream(&workspace())).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_process_that_does_not_lead_has_no_evidence() {
    let server = TestServer::replica("https://127.0.0.1:1").await;
    for path in [LIST, &workspace()] {
        let mut sender = server.http1_from([127, 0, 0, 1]).await;
        let (status, body) =
            read(sender.send_request(request(Method::GET, path, &token("a"), "")).await.unwrap()).await;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE && body.contains("not_leading"), "{body}");
    }
}
