//! Connections that cost their sender little, before any token is shown.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::http::connections::ConnectionLimits;
use crate::http::server_tests::{PATIENCE, TestServer, fleet_path, read, report, request, token, until};

const SHORT: Duration = Duration::from_millis(300);

/// Writes these bytes, and returns what the server sends until it closes the connection.
async fn until_closed(server: &TestServer, sent: &[u8]) -> Vec<u8> {
    let mut stream = server.connect().await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut received = Vec::new();
    let closed = timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    assert!(closed.is_ok(), "the server keeps the connection open");
    received
}

#[tokio::test]
async fn an_unfinished_request_header_is_not_waited_for() {
    let limits = ConnectionLimits { request_header: SHORT, ..ConnectionLimits::default() };
    let server = TestServer::with(limits).await;
    until_closed(&server, b"").await;
    until_closed(&server, b"GET / HTTP/1.1\r\nhost:").await;
    // Another request on a connection that has served one.
    let mut stream = server.connect().await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut received = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut received)).await.unwrap().unwrap();
    assert_eq!(&received, b"HTTP/1.1 404");
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    assert!(timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.is_ok());
    // The preface of HTTP/2, and no request.
    until_closed(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert_eq!(server.context.load().connections_refused("https", "request_header"), 4);
}

#[tokio::test]
async fn a_connection_without_a_tls_handshake_is_not_waited_for() {
    let limits = ConnectionLimits { request_header: SHORT, ..ConnectionLimits::default() };
    let server = TestServer::with(limits).await;
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let closed = timeout(PATIENCE, stream.read(&mut [0; 16])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    until("the connection is gone", || server.context.load().connections("https") == 0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_that_waits_for_the_next_heartbeat_is_not() {
    let limits = ConnectionLimits { idle: 4 * SHORT, request_header: SHORT, ..ConnectionLimits::default() };
    let server = TestServer::with(limits).await;
    for http2 in [false, true] {
        let request = request(Method::GET, "/", "", "");
        if http2 {
            let mut sender = server.http2().await;
            assert_eq!(read(sender.send_request(request).await.unwrap()).await.0, StatusCode::NOT_FOUND);
            until("the connection is closed", || sender.is_closed()).await;
        } else {
            let mut sender = server.http1_from([127, 0, 0, 1]).await;
            assert_eq!(read(sender.send_request(request).await.unwrap()).await.0, StatusCode::NOT_FOUND);
            until("the connection is closed", || sender.is_closed()).await;
        }
    }
    assert_eq!(server.context.load().connections_refused("https", "request_header"), 0);
    assert_eq!(server.context.load().connections_refused("https", "idle"), 2);
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let limits = ConnectionLimits { connections: 6, per_address: 4, ..ConnectionLimits::default() };
    let server = TestServer::with(limits).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(server.connect_from([127, 0, 0, 2]).await.unwrap());
    }
    // A fifth connection of the address takes the place of its oldest.
    held.push(server.connect_from([127, 0, 0, 2]).await.unwrap());
    let closed = timeout(PATIENCE, held[0].read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok(), "the oldest connection is left");
    until("four are left", || server.context.load().connections("https") == 4).await;
    let other = server.connect_from([127, 0, 0, 3]).await.unwrap();
    let _last = server.connect_from([127, 0, 0, 4]).await.unwrap();
    // A seventh connection takes the place of one of the address that has the most.
    let seventh = server.connect_from([127, 0, 0, 5]).await.unwrap();
    let refused = |reason| server.context.load().connections_refused("https", reason);
    until("another is replaced", || refused("replaced") == 2).await;
    assert_eq!((refused("address"), refused("connections")), (0, 0));
    until("six are left", || server.context.load().connections("https") == 6).await;
    drop((held, other, seventh));
    until("five connections are gone", || server.context.load().connections("https") == 1).await;
    server.connect_from([127, 0, 0, 2]).await.unwrap();
}

#[tokio::test]
async fn long_request_headers_are_refused() {
    let server = TestServer::start().await;
    let mut long = request(Method::GET, "/", "", "");
    for number in 0..8 {
        let name = axum::http::HeaderName::try_from(format!("x-{number}")).unwrap();
        long.headers_mut().insert(name, "a".repeat(4_000).parse().unwrap());
    }
    let mut sender = server.http1_from([127, 0, 0, 1]).await;
    let answer = sender.send_request(long).await.map(|answer| answer.status());
    assert!(matches!(answer, Ok(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)), "{answer:?}");
}

/// Returns the settings that the server sends first over HTTP/2.
async fn settings(server: &TestServer) -> Vec<(u16, u32)> {
    let mut stream = server.connect().await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "the first frame is no SETTINGS");
    let mut payload = vec![0; usize::from(frame[2])];
    stream.read_exact(&mut payload).await.unwrap();
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u32, byte| number << 8 | u32::from(*byte));
    payload.chunks(6).map(|setting| (u16::try_from(number(&setting[..2])).unwrap(), number(&setting[2..]))).collect()
}

#[tokio::test]
async fn http2_has_few_streams_small_windows_and_short_headers() {
    let settings = settings(&TestServer::start().await).await;
    let value = |id| settings.iter().find(|(found, _)| *found == id).map(|(_, value)| *value);
    let (streams, window, header_list) = (value(3), value(4), value(6));
    assert_eq!((streams, window, header_list), (Some(64), Some(65_536), Some(16 * 1024)));
}

/// A frame of HTTP/2 on this stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn requests_over_http2_that_are_reset_at_once_end_their_connection_and_leave_nothing() {
    let server = TestServer::start().await;
    server.api().holds = true;
    let text = |name: &[u8], value: &str| {
        let length = u8::try_from(value.len()).unwrap();
        [name, &[length], value.as_bytes()].concat()
    };
    // Literals of HPACK: `:method POST`, `:scheme https`, and `:path`, `:authority`, `authorization` with a value each.
    let mut stream = server.connect().await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let reset = async {
        for number in 0..100_000 {
            let id = 2 * number + 1;
            let path = text(&[0x04], &fleet_path("config"));
            let token = text(&[0x0f, 0x08], &format!("Bearer bad-{number}"));
            let headers = [&[0x83, 0x87], &*path, &text(&[0x01], "a"), &token].concat();
            // The request has no body, so a review of its token begins.
            let sent = [frame(1, 0x05, id, &headers), frame(3, 0, id, &[0, 0, 0, 8])].concat();
            if stream.write_all(&sent).await.is_err() {
                return number;
            }
        }
        100_000
    };
    let sent = timeout(PATIENCE, reset).await.unwrap();
    assert!(sent < 100_000, "the server takes any number of resets");
    until("nothing is left of the requests", || server.endpoints.requests_of_strangers() == 0).await;
    assert!(server.api().waiting <= 64, "{} reviews at once", server.api().waiting);
    server.release();
    let known = request(Method::POST, &fleet_path("config"), &token("a"), report(1));
    assert_eq!(server.send_from([127, 0, 0, 3], known).await.0, StatusCode::OK);
}

/// The beginning of a handshake in this version of TLS, with nothing that only TLS 1.3 has.
fn client_hello(version: u8) -> Vec<u8> {
    // One suite, one algorithm of signatures, and one group, all of which the server has.
    let algorithms = [0, 13, 0, 4, 0, 2, 4, 3];
    let groups = [0, 10, 0, 4, 0, 2, 0, 0x1d];
    let hello = [&[3, version][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 16], &algorithms, &groups].concat();
    let length = u8::try_from(hello.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], &*hello].concat()
}

#[tokio::test]
async fn versions_of_tls_before_1_2_are_refused() {
    const PROTOCOL_VERSION: u8 = 70;
    let server = TestServer::start().await;
    const ALERT: u8 = 21;
    const HANDSHAKE: u8 = 22;
    for (version, kind) in [(1, ALERT), (2, ALERT), (3, HANDSHAKE)] {
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&client_hello(version)).await.unwrap();
        let mut answer = [0; 7];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer[0], kind, "3.{version}: {answer:?}");
        assert!(kind == HANDSHAKE || answer[6] == PROTOCOL_VERSION, "3.{version}: {answer:?}");
    }
}

#[tokio::test]
async fn neither_the_server_name_nor_the_host_of_a_caller_has_an_effect() {
    let server = TestServer::start().await;
    for name in ["localhost", "kubernetes.default.svc", "rototo-operator.other.svc"] {
        // There is one certificate, whatever name is asked for.
        let error = server.connect_as(name, [127, 0, 0, 1]).await.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("127.0.0.1"), "{name}: {error}");
        let mut request = request(Method::POST, &fleet_path("config"), &token("a"), report(1));
        request.headers_mut().insert("host", name.parse().unwrap());
        request.headers_mut().insert("x-forwarded-for", "10.0.0.9".parse().unwrap());
        request.headers_mut().insert("forwarded", "for=10.0.0.9;host=x".parse().unwrap());
        assert_eq!(server.send(request).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_given_up() {
    let limits = ConnectionLimits { sent_within: SHORT, ..ConnectionLimits::default() };
    let server = TestServer::with(limits).await;
    let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(16 << 20).collect();
    let fingerprint = server.keep(random);
    let path = fleet_path("config").replace("fleet", &format!("snapshots/{fingerprint}"));
    let header = format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", token("a"));
    let mut stream = server.connect().await.unwrap();
    stream.write_all(header.as_bytes()).await.unwrap();
    let mut received = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut received)).await.unwrap().unwrap();
    assert_eq!(&received, b"HTTP/1.1 200");
    until("the answer over HTTP/1.1 is given up", || server.context.load().connections_refused("https", "unread") == 1)
        .await;
    until("the connection is gone", || server.context.load().connections("https") == 0).await;
    assert_eq!(server.endpoints.bytes_to_send(), 0);

    // The same over HTTP/2, whose client opens no window.
    let mut sender = server.http2().await;
    let unread = sender.send_request(request(Method::GET, &path, &token("a"), "")).await.unwrap();
    until("the answer is given up", || server.context.load().connections_refused("https", "unread") == 2).await;
    drop(unread);
    until("its bytes are free", || server.endpoints.bytes_to_send() == 0).await;
}

#[tokio::test]
async fn a_report_of_a_few_hundred_bytes_is_taken_over_both_protocols() {
    let server = TestServer::start().await;
    let report = |number| request(Method::POST, &fleet_path("config"), &token("a"), report(number));
    let (status, body) = server.send(report(1)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let mut sender = server.http2().await;
    let (status, body) = read(sender.send_request(report(2)).await.unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}
