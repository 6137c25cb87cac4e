//! Callers that ask without a pause.

use std::time::Instant;

use axum::http::{Method, StatusCode};
use rototo_engine::Digest;

use crate::http::connections::Peer;
use crate::http::server_tests::{PATIENCE, PEER_KEY, TestServer, fleet_path, read, report, request, token};

const FLOOD: [u8; 4] = [127, 0, 0, 2];

async fn sent(server: &TestServer, from: [u8; 4], token: &str) -> StatusCode {
    server.send_from(from, request(Method::POST, &fleet_path("config"), token, report(1))).await.0
}

/// Sends one request after `spend`, again and again until an answer was delayed because of this limit: what is spent comes
/// back with time.
async fn sent_until_delayed(server: &TestServer, token: &str, limit: &'static str, spend: impl Fn()) -> StatusCode {
    let began = Instant::now();
    loop {
        spend();
        let status = sent(server, FLOOD, token).await;
        if server.context.load().requests_delayed(limit) > 0 {
            return status;
        }
        assert!(began.elapsed() < PATIENCE, "no answer was delayed");
    }
}

#[tokio::test]
async fn a_pod_that_asks_without_a_pause_waits_and_others_do_not() {
    let server = TestServer::start().await;
    let pace = server.endpoints.pace();
    let spend = || pace.spend_of_pod(Digest::of(b"flood"), 260);
    assert_eq!(sent_until_delayed(&server, &token("flood"), "requests_of_pod", spend).await, StatusCode::OK);
    let delayed = || server.context.load().requests_delayed("requests_of_pod");
    let before = delayed();
    assert_eq!(sent(&server, FLOOD, &token("other")).await, StatusCode::OK);
    assert_eq!(delayed(), before, "another pod of the same address");
    for _ in 0..300 {
        assert_eq!(sent(&server, FLOOD, &token("-account")).await, StatusCode::OK);
    }
    assert_eq!(delayed(), before, "many processes may share an account without a pod");
    assert_eq!(server.context.load().requests_delayed("requests_of_account"), 0);
}

#[tokio::test]
async fn an_account_without_a_pod_that_asks_without_a_pause_waits_too() {
    let server = TestServer::start().await;
    assert_eq!(sent(&server, FLOOD, &token("-account")).await, StatusCode::OK);
    let spend = || server.endpoints.pace().spend_of_accounts(1_100);
    assert_eq!(sent_until_delayed(&server, &token("-account"), "requests_of_account", spend).await, StatusCode::OK);
    assert_eq!(server.context.load().requests_delayed("requests_of_pod"), 0);
}

#[tokio::test]
async fn an_address_waits_for_its_refusals_after_many_and_others_do_not() {
    let server = TestServer::leader().await;
    let pace = server.endpoints.pace();
    let spend = || pace.spend_refusals(Peer::at(FLOOD.into()), 220);
    assert_eq!(sent_until_delayed(&server, "bad", "refusals", spend).await, StatusCode::UNAUTHORIZED);
    let delayed = || server.context.load().requests_delayed("refusals");
    let before = delayed();
    spend();
    assert_eq!(sent(&server, FLOOD, &token("good")).await, StatusCode::OK);
    assert_eq!(sent(&server, [127, 0, 0, 4], "bad").await, StatusCode::UNAUTHORIZED);
    let mut passed_on = request(Method::POST, &fleet_path("config"), "bad", report(1));
    passed_on.headers_mut().insert("rototo-peer-key", PEER_KEY.parse().unwrap());
    let mut replica = server.http1_from(FLOOD).await;
    assert_eq!(read(replica.send_request(passed_on).await.unwrap()).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(delayed(), before, "what is granted, another address, and what a replica passes on");
}
