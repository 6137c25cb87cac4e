//! The calls of git hosts, and of those who pose as one.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode};
use futures::future::join_all;
use http_body_util::Full;
use k8s_openapi::ByteString;
use ring::hmac;
use tokio::io::AsyncWriteExt;

use crate::http::server_tests::{KEY, NAMESPACE, TestServer, WORKSPACE, read, until};

/// The length of a body that is not checked in every case.
const LONG: usize = 70_000;

fn signature(key: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), body);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn path() -> String {
    format!("/hooks/{NAMESPACE}/{WORKSPACE}")
}

fn call(header: &str, value: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(Method::POST).uri(path()).header("host", "127.0.0.1");
    request.header(header, value).body(Full::new(body.into())).unwrap()
}

fn signed(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let body = body.into();
    call("x-hub-signature-256", &format!("sha256={}", signature(KEY, &body)), body)
}

#[tokio::test]
async fn a_call_of_a_large_push_is_taken_and_a_larger_body_is_refused() {
    let server = TestServer::start().await;
    let (status, body) = server.send(signed(vec![b' '; 24 << 20])).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let (status, body) = server.send(signed(vec![b' '; (25 << 20) + 1])).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    let mut sender = server.http2().await;
    let (status, _) = read(sender.send_request(signed(vec![b'a'; 24 << 20])).await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_refusal_arrives_over_http2_while_the_host_still_writes() {
    let server = TestServer::start().await;
    let mut sender = server.http2().await;
    for number in 0..60 {
        let body = vec![b' '; 2 << 20];
        let unsigned = call("x-other", "1", body);
        let answer = sender.send_request(unsigned).await.unwrap_or_else(|error| panic!("call {number}: {error:?}"));
        assert_eq!(read(answer).await.0, StatusCode::UNAUTHORIZED, "call {number}");
    }
}

#[tokio::test]
async fn a_value_of_the_secret_that_is_no_key_signs_nothing() {
    let server = TestServer::start().await;
    let public = "a public text that everybody knows";
    for name in ["username", "ca.crt"] {
        let value = ByteString(public.as_bytes().to_vec());
        server.api().secrets.get_mut("hook").unwrap().insert(name.to_owned(), value);
    }
    let forged = call("x-gitea-signature", &signature(public, b"{}"), "{}");
    let (status, body) = server.send(forged).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(body.contains("x-gitea-signature"), "{body}");
    assert_eq!(server.send(call("x-gitlab-token", public, "{}")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(server.send(call("x-gitlab-token", KEY, "{}")).await.0, StatusCode::ACCEPTED);
}

/// Begins a call whose body of `length` bytes does not come whole: all but one of its bytes are sent.
async fn unfinished(server: &TestServer, from: [u8; 4], length: usize) -> impl Sized + use<> {
    let header = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\nx-gitea-signature: {}\r\n\r\n",
        path(),
        signature(KEY, b"")
    );
    let mut stream = server.connect_from(from).await.unwrap();
    stream.write_all(header.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length - 1]).await.unwrap();
    stream
}

#[tokio::test]
async fn slow_long_bodies_of_one_address_take_two_places_of_a_workspace() {
    let server = TestServer::start().await;
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(unfinished(&server, [127, 0, 0, 2], LONG).await);
    }
    until("six are refused", || server.context.load().requests_refused("webhook_places") == 6).await;
    assert_eq!(server.endpoints.webhooks().long_bodies(), 2);
    assert_eq!(server.send_from([127, 0, 0, 2], signed("{}")).await.0, StatusCode::ACCEPTED);
    assert_eq!(server.send_from([127, 0, 0, 3], signed(vec![b' '; LONG])).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn slow_short_bodies_take_no_place_of_the_calls_behind_the_same_proxy() {
    let server = TestServer::start().await;
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(unfinished(&server, [127, 0, 0, 1], 9).await);
    }
    assert_eq!(server.send(signed("{}")).await.0, StatusCode::ACCEPTED);
    assert_eq!(server.send(signed(vec![b' '; LONG])).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_call_that_was_not_taken_is_no_repeated_delivery() {
    let mut server = TestServer::start().await;
    server.context.leadership().end();
    assert_eq!(server.send(signed("{}")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    server.context.leadership().begin(Instant::now() + Duration::from_secs(3600), None, None);
    assert_eq!(server.send(signed("{}")).await.0, StatusCode::ACCEPTED);
    assert_eq!(server.requeued(), 1);
}

#[tokio::test]
async fn a_secret_that_can_not_be_read_is_not_read_for_each_call() {
    let server = TestServer::start().await;
    server.api().secrets.clear();
    for _ in 0..10 {
        assert_eq!(server.send(signed("{}")).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(server.api().secret_reads, 1);
}

#[tokio::test]
async fn a_secret_is_read_once_for_all_calls_that_wait_for_it() {
    let server = TestServer::start().await;
    server.api().holds = true;
    let calls = join_all((0..20).map(|number| server.send(signed(format!("{{\"number\": {number}}}")))));
    let released = async {
        until("a Secret is read", || server.api().waiting > 0).await;
        server.release();
    };
    let (answers, ()) = tokio::join!(calls, released);
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::ACCEPTED), "{answers:?}");
    assert_eq!(server.api().secret_reads, 1);
}

#[tokio::test]
async fn an_address_with_many_wrong_calls_has_to_wait_with_long_bodies_and_the_host_does_not() {
    let server = TestServer::start().await;
    let mut statuses = Vec::new();
    for length in [2, LONG] {
        for _ in 0..25 {
            let body = vec![b' '; length];
            let wrong = call("x-gitea-signature", &signature("guessed-guessed-guessed", &body), body);
            statuses.push(server.send_from([127, 0, 0, 2], wrong).await.0);
        }
    }
    assert_eq!(statuses[24], StatusCode::UNAUTHORIZED, "a short body is always checked");
    assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    assert!(server.context.load().requests_refused("webhook_wrong_calls") > 0);
    // The host may be behind the same proxy.
    for address in [[127, 0, 0, 2], [127, 0, 0, 3]] {
        assert_eq!(server.send_from(address, signed("{}")).await.0, StatusCode::ACCEPTED, "{address:?}");
    }
    assert_eq!(server.send_from([127, 0, 0, 3], signed(vec![b' '; LONG])).await.0, StatusCode::ACCEPTED);
    // The key itself is checked before the body.
    let with_key = call("x-gitlab-token", KEY, vec![b' '; LONG]);
    assert_eq!(server.send_from([127, 0, 0, 2], with_key).await.0, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_repeated_delivery_makes_no_poll_due() {
    let mut server = TestServer::start().await;
    for _ in 0..10 {
        assert_eq!(server.send(signed("{}")).await.0, StatusCode::ACCEPTED);
    }
    assert_eq!(server.requeued(), 1);
    assert_eq!(server.send(signed("{\"another\": 1}")).await.0, StatusCode::ACCEPTED);
    assert_eq!(server.requeued(), 1);
    // A script may send the same body each time. The schedule bounds the polls that it causes.
    for _ in 0..10 {
        let same = call("x-rototo-signature", &format!("sha256={}", signature(KEY, b"{}")), "{}");
        assert_eq!(server.send(same).await.0, StatusCode::ACCEPTED);
    }
    assert_eq!(server.requeued(), 10);
}

#[tokio::test]
async fn a_call_makes_polls_of_all_workspaces_of_the_repository_due() {
    let mut server = TestServer::start().await;
    let source = |rest: &str| format!("git+https://git.example.com/acme/config.git#main:{rest}");
    server.show("one", &source("one"), "hook");
    server.show("two", &source("two"), "hook");
    server.show("other-repository", "git+https://git.example.com/acme/other.git", "hook");
    server.show("other-secret", &source("four"), "hook-2");
    let mut request = signed("{}");
    *request.uri_mut() = format!("/hooks/{NAMESPACE}/one").parse().unwrap();
    assert_eq!(server.send(request).await.0, StatusCode::ACCEPTED);
    assert_eq!(server.requeued_names(), ["one", "two"]);
    // A workspace without a repository is alone.
    assert_eq!(server.send(signed("{}")).await.0, StatusCode::ACCEPTED);
    assert_eq!(server.requeued_names(), [WORKSPACE]);
}

/// Bitbucket Server signs pushes, and no test of the connection, whatever its secret is.
#[tokio::test]
async fn a_test_of_the_connection_shows_that_the_way_is_open_and_does_nothing() {
    let mut server = TestServer::start().await;
    let (status, body) = server.send(call("x-event-key", "diagnostics:ping", "{\"test\":true}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, _) = server.send(call("x-event-key", "repo:refs_changed", "{}")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!((server.requeued(), server.api().secret_reads), (0, 0));
}

#[tokio::test]
async fn a_call_for_no_webhook_is_refused_before_its_body() {
    let server = TestServer::start().await;
    for (path, expected) in [
        (format!("/hooks/{NAMESPACE}/other"), StatusCode::NOT_FOUND),
        (format!("/hooks/{NAMESPACE}/{}", "a".repeat(10_000)), StatusCode::BAD_REQUEST),
    ] {
        let mut request = signed("{}");
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(server.send(request).await.0, expected, "{path}");
    }
    assert_eq!(server.api().secret_reads, 0);
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_reported_by_an_event() {
    let server = TestServer::start().await;
    for (data, expected) in [(None, "does not exist"), (Some("short"), "at least 16 bytes"), (Some("short"), "")] {
        {
            let mut api = server.api.lock().unwrap();
            api.events.clear();
            api.secrets.remove("hook");
            if let Some(value) = data {
                let key = [("webhook".to_owned(), ByteString(value.as_bytes().to_vec()))];
                api.secrets.insert("hook".to_owned(), key.into());
            }
        }
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(6)).await;
        tokio::time::resume();
        let (status, body) = server.send(signed("{}")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert!(body.contains("no_keys") && !body.contains("at least"), "{body}");
        if expected.is_empty() {
            // It was reported already.
            continue;
        }
        until("an Event", || !server.api.lock().unwrap().events.is_empty()).await;
        let events = server.api.lock().unwrap().events.clone();
        let (reason, note) = (events[0]["reason"].as_str().unwrap(), events[0]["note"].as_str().unwrap());
        assert!(reason == "WebhookUnusable" && note.contains(expected), "{events:?}");
    }
    assert!(server.api.lock().unwrap().events.is_empty());
}
