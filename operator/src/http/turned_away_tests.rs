//! Reports that are refused because of a limit. No fleet may take their senders for gone.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use rototo_protocol::fleet::Moment;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::fleet::clock;
use crate::http::connections::{ConnectionLimits, Peer};
use crate::http::server_tests::{PATIENCE, PEER_KEY, TestServer, fleet_path, read, report, request, token, until};

fn turned_away(server: &TestServer) -> bool {
    server.context.last_turned_away() > Moment::ZERO
}

#[tokio::test]
async fn a_report_from_an_address_with_too_many_bad_tokens_is_turned_away() {
    let server = TestServer::start().await;
    let mut sender = server.http1_from([127, 0, 0, 1]).await;
    for path in [fleet_path("config").replace("fleet", "convergence"), fleet_path("config")] {
        let method = if path.ends_with("fleet") { Method::POST } else { Method::GET };
        assert!(!turned_away(&server), "neither a bad token nor a question is a report");
        let mut status = StatusCode::OK;
        for number in 0..100 {
            let bad = request(method.clone(), &path, &format!("bad-{number}"), report(1));
            status = read(sender.send_request(bad).await.unwrap()).await.0;
        }
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(turned_away(&server));
}

#[tokio::test]
async fn a_report_that_breaks_off_is_turned_away() {
    let server = TestServer::start().await;
    let header = format!("POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{{", fleet_path("config"));
    let mut stream = server.connect().await.unwrap();
    stream.write_all(header.as_bytes()).await.unwrap();
    until("the body is read", || server.endpoints.requests_of_strangers() == 1).await;
    drop(stream);
    until("the report is noted", || turned_away(&server)).await;
}

#[tokio::test]
async fn a_report_that_is_taken_or_of_no_known_sender_is_not_turned_away() {
    let server = TestServer::start().await;
    for (token, expected) in [(token("a"), StatusCode::OK), ("bad".to_owned(), StatusCode::UNAUTHORIZED)] {
        let report = request(Method::POST, &fleet_path("config"), &token, report(1));
        assert_eq!(server.send(report).await.0, expected);
    }
    assert!(!turned_away(&server));
}

#[tokio::test]
async fn a_refused_connection_may_have_been_a_report() {
    let limits = ConnectionLimits { per_address: 1, ..ConnectionLimits::default() };
    let server = TestServer::with(limits).await;
    let header = format!("POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{{", fleet_path("config"));
    let mut stream = server.connect().await.unwrap();
    stream.write_all(header.as_bytes()).await.unwrap();
    until("the only connection is used", || server.endpoints.requests_of_strangers() == 1).await;
    assert!(server.connect().await.is_err());
    assert!(turned_away(&server));
}

#[tokio::test]
async fn a_replica_notes_the_report_that_it_can_not_pass_on() {
    let server = TestServer::replica("https://127.0.0.1:1").await;
    let (status, body) = server.send(request(Method::POST, &fleet_path("config"), &token("a"), report(1))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert!(turned_away(&server));
    // It tells the leader with its next announcement.
    assert!(server.context.turned_away_ago().is_some_and(|ago| ago < PATIENCE));
}

#[tokio::test]
async fn a_replica_notes_the_report_for_which_it_has_no_place() {
    let server = TestServer::replica("https://127.0.0.1:1").await;
    let mut places = Vec::new();
    for _ in 0..32 {
        let place = server.endpoints.place_to_pass_on(Peer::at(IpAddr::from([127, 0, 0, 1]))).await;
        places.push(place.ok().unwrap());
    }
    let (status, body) = server.send(request(Method::POST, &fleet_path("config"), &token("a"), report(1))).await;
    assert_eq!((status, body.contains("busy")), (StatusCode::SERVICE_UNAVAILABLE, true), "{body}");
    assert_eq!(server.context.load().requests_refused("passed_on"), 1);
    assert!(turned_away(&server));
}

#[tokio::test]
async fn the_leader_learns_of_the_reports_that_a_replica_has_turned_away() {
    let server = TestServer::leader().await;
    let announce = |ago: Option<u64>| {
        let mut sent = json!({ "identity": "b", "start": 1, "url": "https://b" });
        if let Some(ago) = ago {
            sent["turned_away_ms_ago"] = ago.into();
        }
        let mut request = request(Method::POST, "/v1/replicas", "", sent.to_string());
        request.headers_mut().insert("rototo-peer-key", PEER_KEY.parse().unwrap());
        request
    };
    assert_eq!(server.send(announce(None)).await.0, StatusCode::OK);
    assert!(!turned_away(&server));
    let before = clock::now();
    assert_eq!(server.send(announce(Some(5_000))).await.0, StatusCode::OK);
    let then = server.context.last_turned_away() + Duration::from_secs(5);
    assert!(turned_away(&server) && then >= before && then <= clock::now(), "{then:?}");
}
