//! Requests to services that others name. Each server is real, and on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use rototo_source::{AnswerLimits, Credentials, Egress, EgressRules, HttpAnswer, HttpClient, RequestFault};
use support::https::{HttpsServer, Request, redirect, respond};

const LIMITS: AnswerLimits = AnswerLimits { bytes: 1_000, time: Duration::from_secs(20) };

fn client(loopback: bool) -> HttpClient {
    HttpClient::new(Egress::Checked(EgressRules { loopback, ..EgressRules::default() }), None)
}

async fn ask(address: &str, credentials: &Credentials, limits: AnswerLimits) -> Result<HttpAnswer, RequestFault> {
    client(true).get(&address.parse().unwrap(), "/api", "query=1", credentials, limits).await
}

#[tokio::test]
async fn a_query_arrives_with_the_credentials_of_its_host_and_the_answer_comes_back() {
    let server = HttpsServer::start(|_| respond(422, &[], "no"));
    let keys = [("bearerToken", "s3cr3t"), ("ca.crt", &server.authority.pem())];
    let answer =
        ask(&format!("https://{}/below/", server.address()), &support::credentials(&keys), LIMITS).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (422, &b"no"[..]));
    let Request { method, path, query, .. } = &server.requests()[0];
    assert_eq!((method.as_str(), path.as_str(), query.as_str()), ("GET", "/below/api", "query=1"));
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer s3cr3t"));
    assert_eq!(server.requests()[0].header("host"), Some(server.address().as_str()));
}

/// Sends this JSON to the address.
async fn post(address: &str, json: &str, credentials: &Credentials) -> Result<HttpAnswer, RequestFault> {
    client(true).post_json(&address.parse().unwrap(), "/a%2Fb/x", json.to_owned(), credentials, LIMITS).await
}

#[tokio::test]
async fn json_arrives_as_it_was_written_and_the_answer_says_when_to_come_again() {
    let server = HttpsServer::start(|_| respond(429, &[("Retry-After", "7")], "later"));
    let keys = [("username", "robot"), ("password", "s3cr3t"), ("ca.crt", &server.authority.pem())];
    let json = r#"{"a":"é"}"#;
    let answer = post(&format!("https://{}/api", server.address()), json, &support::credentials(&keys)).await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(7))));
    let requests = server.requests();
    let Request { method, path, body, .. } = &requests[0];
    assert_eq!((method.as_str(), path.as_str(), body.as_slice()), ("POST", "/api/a%2Fb/x", json.as_bytes()));
    assert_eq!(requests[0].header("content-type"), Some("application/json"));
    assert_eq!(requests[0].header("authorization"), Some("Basic cm9ib3Q6czNjcjN0"));
}

#[tokio::test]
async fn nothing_is_changed_unencrypted_or_where_a_redirect_leads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    assert_eq!(post(&address, "{}", &Credentials::default()).await.unwrap_err(), RequestFault::Unencrypted);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody connected");
    let server = HttpsServer::start(|request| match request.path.as_str() {
        "/elsewhere" => respond(201, &[], ""),
        _ => respond(307, &[("Location", "/elsewhere")], ""),
    });
    let credentials = support::credentials(&[("ca.crt", &server.authority.pem())]);
    let redirected = post(&format!("https://{}", server.address()), "{}", &credentials).await;
    assert_eq!(redirected.unwrap_err(), RequestFault::Redirected(307));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_gets_no_credentials() {
    let other = HttpsServer::start(|_| respond(200, &[], "7"));
    let target = format!("https://{}/", other.address());
    let server = HttpsServer::start(move |_| redirect(&target));
    let keys = [("bearerToken", "s3cr3t"), ("ca.crt", &server.authority.pem())];
    let redirected = ask(&format!("https://{}", server.address()), &support::credentials(&keys), LIMITS).await;
    assert_eq!(redirected.unwrap_err(), RequestFault::Redirected(302));
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn credentials_are_not_sent_unencrypted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let credentials = support::credentials(&[("bearerToken", "s3cr3t")]);
    assert_eq!(ask(&address, &credentials, LIMITS).await.unwrap_err(), RequestFault::UnusableCredentials);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody connected");
}

#[tokio::test]
async fn an_answer_beyond_the_limits_is_given_up() {
    let server = HttpsServer::start(|_| respond(200, &[], "x".repeat(1_001)));
    let credentials = support::credentials(&[("ca.crt", &server.authority.pem())]);
    let large = ask(&format!("https://{}", server.address()), &credentials, LIMITS).await;
    assert_eq!(large.unwrap_err(), RequestFault::TooLarge(1_000));
    // A server that accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let short = AnswerLimits { time: Duration::from_millis(50), ..LIMITS };
    let address = format!("http://{}", silent.local_addr().unwrap());
    let silent = ask(&address, &Credentials::default(), short).await;
    assert_eq!(silent.unwrap_err(), RequestFault::TimedOut(short.time));
}

#[tokio::test]
async fn an_address_that_no_source_may_have_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "169.254.169.254"] {
        let address = format!("http://{host}:{port}").parse().unwrap();
        let asked = client(false).get(&address, "/", "", &Credentials::default(), LIMITS).await;
        let code = asked.unwrap_err().code();
        assert_eq!(code, "address_refused", "{host}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody connected");
}

/// Asks the address that the parent test names, with the proxies that it sets.
#[tokio::test]
async fn asks_the_address_that_its_environment_names() {
    let Ok(address) = std::env::var("ROTOTO_TEST_ADDRESS") else { return };
    let answer = ask(&address, &Credentials::default(), LIMITS).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer.status, 200);
}

/// Runs the test above in a process with this proxy.
fn ask_with(variable: &str, proxy: &str, address: &str) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "asks_the_address_that_its_environment_names", "--nocapture"]);
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_ascii_lowercase().to_string_lossy().ends_with("_proxy"))
    {
        command.env_remove(name);
    }
    let output = command.env("ROTOTO_TEST_ADDRESS", address).env(variable, proxy).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Starts a server without TLS that answers every request with this status. Returns its address.
fn answer_with(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let lines = BufReader::new(connection.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let _ = write!(connection, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

#[test]
fn an_address_without_tls_takes_the_proxy_for_http_and_not_that_for_https() {
    let (server, proxy) = (answer_with("200 Fine"), answer_with("403 Forbidden"));
    ask_with("HTTPS_PROXY", &proxy, &server).unwrap();
    let refused = ask_with("HTTP_PROXY", &proxy, &server).unwrap_err();
    assert!(refused.contains("the proxy did not connect us: it answered 403"), "{refused}");
    let encrypted = ask_with("HTTPS_PROXY", &proxy, &server.replacen("http", "https", 1)).unwrap_err();
    assert!(encrypted.contains("the proxy did not connect us: it answered 403"), "{encrypted}");
}
