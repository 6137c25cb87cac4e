//! Requests that cost their sender little, before and after their token is known.

use std::time::Instant;

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use futures::FutureExt;
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::server_tests::{PATIENCE, TestServer, fleet_path, read, report, request, token, until};
use crate::source::snapshot_cache::SnapshotRequest;

#[tokio::test]
async fn a_refused_name_is_not_remembered() {
    let server = TestServer::start().await;
    server.api().denies = true;
    let mut sender = server.http1_from([127, 0, 0, 1]).await;
    let mut statuses = Vec::new();
    for number in 0..1_000 {
        let path = fleet_path(&format!("{}{number}", "a".repeat(10_000)));
        let answer = sender.send_request(request(Method::POST, &path, &token("a"), report(1))).await.unwrap();
        statuses.push(read(answer).await.0);
    }
    assert_eq!(server.endpoints.remembered_grants(), 0);
    assert!(statuses.iter().all(|status| *status == StatusCode::BAD_REQUEST), "{:?}", statuses.first());
    let reviews = |api: &crate::http::server_tests::ApiServer| api.token_reviews + api.access_reviews;
    assert_eq!(reviews(&server.api()), 0);
    let longer = fleet_path(&"a".repeat(60_000));
    let (status, _) = server.send(request(Method::POST, &longer, &token("a"), "")).await;
    assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    for number in 0..100 {
        let path = fleet_path(&format!("other-{number}"));
        let answer = sender.send_request(request(Method::POST, &path, &token("a"), report(1))).await.unwrap();
        read(answer).await;
    }
    assert_eq!(server.endpoints.remembered_grants(), 0);
}

#[tokio::test]
async fn a_bad_token_is_reviewed_once() {
    let server = TestServer::start().await;
    let mut sender = server.http1_from([127, 0, 0, 1]).await;
    for _ in 0..100 {
        let bad = request(Method::POST, &fleet_path("config"), "bad", report(1));
        assert_eq!(read(sender.send_request(bad).await.unwrap()).await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(server.api().token_reviews, 1);
}

#[tokio::test]
async fn an_address_with_many_bad_tokens_has_to_wait_and_others_do_not() {
    let server = TestServer::start().await;
    let mut sender = server.http1_from([127, 0, 0, 2]).await;
    let (mut statuses, began) = (Vec::new(), Instant::now());
    for number in 0..300 {
        let bad = request(Method::POST, &fleet_path("config"), &format!("bad-{number}"), report(1));
        statuses.push(read(sender.send_request(bad).await.unwrap()).await.0);
    }
    let reviews = server.api().token_reviews;
    // It has two a second after the first 60.
    let allowed = 62 + 2 * usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(reviews <= allowed, "{reviews} reviews, and {allowed} are allowed");
    assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS) || allowed >= 300);
    assert!(server.context.load().requests_refused("bad_tokens") > 0 || allowed >= 300);
    let good = request(Method::POST, &fleet_path("config"), &token("a"), report(1));
    assert_eq!(server.send_from([127, 0, 0, 3], good).await.0, StatusCode::OK);
}

#[tokio::test]
async fn requests_that_wait_for_a_review_do_not_take_the_places_of_others() {
    let server = TestServer::start().await;
    let known = || request(Method::POST, &fleet_path("config"), &token("known"), report(1));
    assert_eq!(server.send(known()).await.0, StatusCode::OK);
    server.api().holds = true;
    // Over HTTP/2 a few connections are enough.
    let mut senders = Vec::new();
    for _ in 0..10 {
        senders.push(server.http2().await);
    }
    let mut waiting = Vec::new();
    for number in 0..600 {
        let bad = request(Method::POST, &fleet_path("config"), &format!("bad-{number}"), report(1));
        let mut sender = senders[number % 10].clone();
        waiting.push(tokio::spawn(async move { sender.send_request(bad).await.map(|answer| answer.status()) }));
    }
    until("reviews wait", || server.api().waiting > 0).await;
    until("the others wait", || server.endpoints.requests_of_strangers() >= 500).await;
    assert!(server.api().waiting <= 64, "{} reviews at once", server.api().waiting);
    let (status, body) = server.send_from([127, 0, 0, 3], known()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    server.release();
    join_all(waiting).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_takes_no_place() {
    let server = TestServer::start().await;
    let length = 100;
    let header = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\nauthorization: Bearer {}\r\n\r\n{{",
        fleet_path("config"),
        token("a")
    );
    let mut held = Vec::new();
    for number in 0..100 {
        let mut stream = server.connect_from([127, 0, 1, number]).await.unwrap();
        stream.write_all(header.as_bytes()).await.unwrap();
        held.push(stream);
    }
    until("all requests have begun", || server.endpoints.requests_of_strangers() >= 100).await;
    assert_eq!(server.endpoints.places_taken(), 0);
}

#[tokio::test]
async fn an_unknown_base_is_no_base() {
    let server = TestServer::start().await;
    let fingerprint = server.keep(b"a".repeat(10_000));
    let mut first: Option<std::sync::Arc<[u8]>> = None;
    for number in 0..100 {
        let base = Some(format!("sha256:{number:064}").parse().unwrap());
        let request = SnapshotRequest { key: TestServer::key(), fingerprint, base };
        let packed = server.context.sources().snapshots().packed(&request).await.unwrap().unwrap();
        let first = first.get_or_insert_with(|| packed.clone());
        assert!(std::sync::Arc::ptr_eq(first, &packed), "base {number} was packed again");
    }
    assert_eq!(server.context.sources().snapshots().packs(), 1);
}

#[tokio::test]
async fn a_report_with_a_text_for_a_fingerprint_is_refused() {
    let server = TestServer::start().await;
    let check = |field: &str, value: &str, expected: StatusCode| {
        let mut sent: serde_json::Value = serde_json::from_str(&report(1)).unwrap();
        sent[field] = value.into();
        let request = request(Method::POST, &fleet_path("config"), &token("a"), Bytes::from(sent.to_string()));
        (request, expected)
    };
    let fingerprint = format!("sha256:{}", "a".repeat(64));
    for (request, expected) in [
        check("fingerprint", &fingerprint, StatusCode::OK),
        check("fingerprint", &"x".repeat(4_000), StatusCode::BAD_REQUEST),
        check("process", "not-a-uuid", StatusCode::BAD_REQUEST),
        check("version", &"9".repeat(4_000), StatusCode::BAD_REQUEST),
    ] {
        let (status, body) = server.send(request).await;
        assert_eq!(status, expected, "{body}");
    }
}

#[tokio::test]
async fn a_pod_that_makes_processes_up_learns_that_it_has_too_many() {
    let server = TestServer::start().await;
    let mut sender = server.http1_from([127, 0, 0, 1]).await;
    let mut last = (StatusCode::OK, String::new());
    for number in 0..33 {
        let report = request(Method::POST, &fleet_path("config"), &token("a"), report(number));
        last = read(sender.send_request(report).await.unwrap()).await;
    }
    assert_eq!(last.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.1.contains("this pod has reported 32 processes"), "{}", last.1);
    assert_eq!(server.context.load().requests_refused("processes_of_pod"), 1);
    let other = request(Method::POST, &fleet_path("config"), &token("b"), report(0));
    assert_eq!(server.send(other).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_body_of_a_stranger_for_the_replicas_is_not_kept() {
    let server = TestServer::start().await;
    let header =
        "POST /v1/replicas HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2000000\r\n\r\n{";
    let mut stream = server.connect().await.unwrap();
    stream.write_all(header.as_bytes()).await.unwrap();
    let mut received = [0; 12];
    // The answer comes although the body does not.
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut received)).await.unwrap().unwrap();
    assert_eq!(&received, b"HTTP/1.1 403");
}

#[tokio::test]
async fn a_namespace_has_a_quarter_of_the_bytes_that_are_being_sent() {
    let server = TestServer::start().await;
    let may_send = |namespace| server.endpoints.may_send((32 << 20) - 1, namespace).now_or_never();
    let first = may_send("a").unwrap().ok().unwrap();
    assert!(may_send("a").is_none(), "a second answer of this size waits");
    let others = ["b", "c", "d"].map(|namespace| may_send(namespace).unwrap().ok().unwrap());
    assert!(may_send("e").is_none(), "all bytes are taken");
    drop(first);
    assert!(may_send("a").unwrap().is_ok());
    drop(others);
    assert_eq!(server.endpoints.bytes_to_send(), 0);
}
