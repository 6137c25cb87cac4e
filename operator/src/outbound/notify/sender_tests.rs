//! States of commits arrive at real HTTPS servers, which take what the git hosts document.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use kube::client::Body;
use rototo_api::notify::{CommitStatusSpec, GitHostType};
use rototo_api::workspace::SecretRef;
use rototo_source::{Egress, EgressRules, HttpClient};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};

use crate::outbound::notify::outbox::{Destination, FailureKind};
use crate::outbound::notify::sender::{CommitStatuses, SendError};
use crate::outbound::notify::state::{CommitState, CommitStep};
use crate::workspace_key::WorkspaceKey;

const COMMIT: &str = "2f3c4d5e6f708192aabbccddeeff001122334455";
const TOKEN: &str = "s3cr3t-t0ken";

/// A request that a git host got.
#[derive(Clone, Debug)]
struct Received {
    method: Method,
    path: String,
    headers: HeaderMap,
    json: Value,
}

/// An answer: status, headers, and body.
type Reply = (StatusCode, Vec<(&'static str, String)>, String);

/// A git host on this machine.
struct GitHost {
    address: String,
    authority: String,
    received: Arc<Mutex<Vec<Received>>>,
}

#[derive(Clone)]
struct Serving {
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<dyn Fn(&Received) -> Reply + Send + Sync>,
}

async fn take(
    State(serving): State<Serving>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<axum::body::Body> {
    let json = serde_json::from_slice(&body).unwrap_or_default();
    let received = Received { method, path: uri.path().to_owned(), headers, json };
    let (status, headers, body) = (serving.answer)(&received);
    serving.received.lock().unwrap().push(received);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body.into()).unwrap()
}

impl GitHost {
    fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config =
            config.unwrap().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let serving = Serving { received: received.clone(), answer: Arc::new(answer) };
        let routes = Router::new().fallback(take).with_state(serving);
        let server = from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config))).unwrap();
        tokio::spawn(server.serve(routes.into_make_service()));
        Self { address, authority: made.cert.pem(), received }
    }

    fn answering(status: u16, headers: &[(&'static str, &str)], body: &str) -> Self {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let (status, body) = (StatusCode::from_u16(status).unwrap(), body.to_owned());
        Self::start(move |_| (status, headers.clone(), body.clone()))
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// The way to git hosts, with this Secret in each namespace.
fn statuses(secret: &[(&str, &str)], hosts: Option<&str>, loopback: bool) -> CommitStatuses {
    let data: BTreeMap<_, _> = secret.iter().map(|(key, value)| (*key, STANDARD.encode(value))).collect();
    let annotations = hosts.map(|hosts| json!({ "rototo.dev/hosts": hosts })).unwrap_or_default();
    let secret = json!({ "metadata": { "name": "rototo-commit-status", "annotations": annotations }, "data": data });
    let answer = move |request: Request<Body>| {
        assert_eq!(request.uri().path(), "/api/v1/namespaces/prod/secrets/rototo-commit-status");
        let secret = secret.to_string();
        async move { Response::builder().body(Body::from(secret.into_bytes())) }
    };
    let egress = Egress::Checked(EgressRules { loopback, ..EgressRules::default() });
    CommitStatuses::new(Client::new(tower::service_fn(answer), "prod"), HttpClient::new(egress, None))
}

fn destination(host_type: GitHostType, source: &str, address: &str) -> Destination {
    let spec = CommitStatusSpec {
        host_type: Some(host_type),
        address: Some(address.to_owned()),
        context: None,
        secret_ref: SecretRef { name: "rototo-commit-status".to_owned() },
    };
    Destination { source: source.to_owned(), spec }
}

async fn send(statuses: &CommitStatuses, destination: &Destination) -> Result<(), SendError> {
    send_while(|| true, statuses, destination).await
}

/// Sends in a process that leads as long as this says so.
async fn send_while(
    leads: impl Fn() -> bool,
    statuses: &CommitStatuses,
    destination: &Destination,
) -> Result<(), SendError> {
    let key = WorkspaceKey { namespace: "prod".to_owned(), name: "degradation".to_owned() };
    let description = "refused by rototo/x at a.toml:2".to_owned();
    let step = CommitStep::Refused(description.clone());
    let state = CommitState { commit: COMMIT.to_owned(), publish: None, step, description };
    statuses.send(&key, destination, &state, leads).await
}

/// Sends to GitHub's API at this host, with a token.
async fn send_to(host: &GitHost, hosts: Option<&str>) -> Result<(), SendError> {
    let statuses = statuses(&[("bearerToken", TOKEN), ("ca.crt", &host.authority)], hosts, true);
    let address = format!("https://{}", host.address);
    send(&statuses, &destination(GitHostType::GitHub, "git+https://github.com/acme/config.git", &address)).await
}

/// The rules that a host documents for its endpoint: the fields that it requires, those that it knows, the states, and
/// the status of success.
struct Documented {
    host_type: GitHostType,
    base: &'static str,
    path: &'static str,
    required: &'static [&'static str],
    known: &'static [&'static str],
    states: &'static [&'static str],
    key: usize,
    description: usize,
    success: u16,
}

const BITBUCKET: [&str; 5] = ["INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED", "CANCELLED"];
const BUILD: &[&str] = &["key", "state", "url"];
const BUILD_KNOWN: &[&str] = &["key", "state", "url", "name", "description", "refname", "buildNumber", "ref"];

const DOCUMENTED: [Documented; 5] = [
    Documented {
        host_type: GitHostType::GitHub,
        base: "/api/v3",
        path: "/api/v3/repos/acme/config/statuses/",
        required: &["state"],
        known: &["state", "target_url", "description", "context"],
        states: &["error", "failure", "pending", "success"],
        key: usize::MAX,
        description: 140,
        success: 201,
    },
    Documented {
        host_type: GitHostType::GitLab,
        base: "/api/v4",
        path: "/api/v4/projects/acme%2Fconfig/statuses/",
        required: &["state"],
        known: &["state", "name", "context", "target_url", "description", "ref", "coverage", "pipeline_id"],
        states: &["pending", "running", "success", "failed", "canceled", "skipped"],
        key: usize::MAX,
        description: 255,
        success: 201,
    },
    Documented {
        host_type: GitHostType::Gitea,
        base: "/git/api/v1",
        path: "/git/api/v1/repos/acme/config/statuses/",
        required: &["state"],
        known: &["state", "target_url", "description", "context"],
        states: &["pending", "success", "error", "failure", "warning"],
        key: usize::MAX,
        description: 255,
        success: 201,
    },
    Documented {
        host_type: GitHostType::Bitbucket,
        base: "/2.0",
        path: "/2.0/repositories/acme/config/commit/COMMIT/statuses/build",
        required: BUILD,
        known: BUILD_KNOWN,
        states: &BITBUCKET,
        key: 40,
        description: 255,
        success: 201,
    },
    Documented {
        host_type: GitHostType::BitbucketServer,
        base: "/rest/api/latest",
        path: "/rest/api/latest/projects/acme/repos/config/commits/COMMIT/builds",
        required: BUILD,
        known: BUILD_KNOWN,
        states: &BITBUCKET,
        key: 255,
        description: 255,
        success: 204,
    },
];

impl Documented {
    /// Returns what the host would answer.
    fn judge(&self, request: &Received) -> u16 {
        let path = if self.path.contains("COMMIT") {
            self.path.replace("COMMIT", COMMIT)
        } else {
            format!("{}{COMMIT}", self.path)
        };
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if request.path != path || request.method != Method::POST {
            return 404;
        }
        if header("authorization") != format!("Bearer {TOKEN}") {
            return 401;
        }
        // GitHub refuses requests without a User-Agent.
        if header("user-agent").is_empty() {
            return 403;
        }
        let Some(fields) = request.json.as_object() else { return 400 };
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let long = |name: &str, most: usize| text(name).chars().count() > most;
        let has = |name: &&str| !text(name).is_empty();
        let wrong = header("content-type") != "application/json"
            || !self.required.iter().all(has)
            || !fields.keys().all(|name| self.known.contains(&name.as_str()))
            || !self.states.contains(&text("state"))
            || long("key", self.key)
            || long("description", self.description);
        if wrong { 422 } else { self.success }
    }
}

#[tokio::test]
async fn each_host_takes_the_state_of_a_commit() {
    for documented in DOCUMENTED {
        let (host_type, base) = (documented.host_type, documented.base);
        let host = GitHost::start(move |request| {
            (StatusCode::from_u16(documented.judge(request)).unwrap(), Vec::new(), String::new())
        });
        let statuses = statuses(&[("bearerToken", TOKEN), ("ca.crt", &host.authority)], Some(&host.address), true);
        let address = format!("https://{}{base}", host.address);
        let destination = destination(host_type, "git+https://git.example.com/acme/config.git#main:prod", &address);
        let sent = send(&statuses, &destination).await;
        let received = host.received();
        assert!(sent.is_ok(), "{host_type:?}: {sent:?} for {received:?}");
        let name = if host_type == GitHostType::GitHub || host_type == GitHostType::Gitea { "context" } else { "name" };
        assert_eq!(received[0].json[name], "rototo/prod/degradation");
        assert_eq!(received[0].json["description"], "refused by rototo/x at a.toml:2");
    }
}

#[tokio::test]
async fn a_user_and_a_password_are_sent_as_such() {
    let host = GitHost::answering(201, &[], "");
    let keys = [("username", "robot"), ("password", TOKEN), ("ca.crt", &host.authority)];
    let address = format!("https://{}/2.0", host.address);
    let destination = destination(GitHostType::Bitbucket, "git+https://bitbucket.org/acme/config.git", &address);
    send(&statuses(&keys, None, true), &destination).await.unwrap();
    let expected = format!("Basic {}", STANDARD.encode(format!("robot:{TOKEN}")));
    assert_eq!(host.received()[0].headers["authorization"], expected.as_str());
}

#[tokio::test]
async fn a_secret_of_another_host_is_not_sent() {
    let host = GitHost::answering(201, &[], "");
    let error = send_to(&host, Some("api.github.com")).await.unwrap_err();
    assert!(matches!(error, SendError::Secret(_)) && error.to_string().contains("is not for the host"), "{error}");
    assert!(host.received().is_empty());
}

#[tokio::test]
async fn a_refusal_shows_neither_the_token_nor_what_the_host_says() {
    for status in [401, 403, 404, 422, 500] {
        let host = GitHost::answering(status, &[], &format!("no: {TOKEN} at internal.example"));
        let error = send_to(&host, None).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(&status.to_string()), "{shown}");
        assert!(!shown.contains(TOKEN) && !shown.contains("internal.example"), "{shown}");
    }
}

#[tokio::test]
async fn a_host_that_limits_requests_says_when_to_come_again() {
    let host = GitHost::answering(429, &[("Retry-After", "7")], "");
    let failure = send_to(&host, None).await.unwrap_err().failure();
    assert_eq!((failure.kind, failure.wait), (FailureKind::Passing, Some(Duration::from_secs(7))));
}

#[tokio::test]
async fn a_limit_of_requests_that_is_used_up_is_no_want_of_rights() {
    // In the year 2100.
    let reset = ("X-RateLimit-Reset", "4102444800");
    for (remaining, kind, seconds) in [("0", FailureKind::Passing, 3_600), ("1", FailureKind::Access, 60)] {
        let host = GitHost::answering(403, &[("X-RateLimit-Remaining", remaining), reset], "");
        let failure = send_to(&host, None).await.unwrap_err().failure();
        assert_eq!((failure.kind, failure.wait), (kind, Some(Duration::from_secs(seconds))), "{remaining} remain");
    }
}

#[tokio::test]
async fn a_wait_that_a_host_asks_for_holds_for_all_workspaces_with_the_credentials() {
    let host = GitHost::answering(503, &[("Retry-After", "600")], "");
    let statuses = statuses(&[("bearerToken", TOKEN), ("ca.crt", &host.authority)], None, true);
    let address = format!("https://{}", host.address);
    let destination = destination(GitHostType::GitHub, "git+https://github.com/acme/config.git", &address);
    for expected in [FailureKind::Passing, FailureKind::Unsent, FailureKind::Unsent] {
        let failure = send(&statuses, &destination).await.unwrap_err().failure();
        assert_eq!(failure.kind, expected);
        assert!(failure.wait.is_some_and(|wait| wait > Duration::from_secs(500)));
    }
    assert_eq!(host.received().len(), 1);
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let other = GitHost::answering(201, &[], "");
    let target = format!("https://{}/", other.address);
    let host = GitHost::answering(307, &[("Location", &target)], "");
    let error = send_to(&host, None).await.unwrap_err();
    assert_eq!((error.failure().code, error.failure().kind), ("redirected", FailureKind::Access));
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn an_address_that_no_source_may_have_gets_no_request() {
    let host = GitHost::answering(201, &[], "");
    let statuses = statuses(&[("bearerToken", TOKEN), ("ca.crt", &host.authority)], None, false);
    let address = format!("https://{}", host.address);
    let destination = destination(GitHostType::GitHub, "git+https://github.com/acme/config.git", &address);
    let error = send(&statuses, &destination).await.unwrap_err();
    assert_eq!(error.failure().code, "address_refused");
    assert!(host.received().is_empty());
}

#[tokio::test]
async fn hosts_that_hang_hold_up_no_other() {
    let silent: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let host = GitHost::answering(201, &[], "");
    let statuses = Arc::new(statuses(&[("bearerToken", TOKEN), ("ca.crt", &host.authority)], None, true));
    let to = |address: String| {
        destination(GitHostType::GitHub, "git+https://github.com/acme/config.git", &format!("https://{address}"))
    };
    let mut hanging = Vec::new();
    for listener in silent.iter().cycle().take(30) {
        let (statuses, destination) = (statuses.clone(), to(listener.local_addr().unwrap().to_string()));
        hanging.push(tokio::spawn(async move { send(&statuses, &destination).await }));
    }
    tokio::task::yield_now().await;
    send(&statuses, &to(host.address.clone())).await.unwrap();
    assert!(hanging.iter().all(|task| !task.is_finished()));
}

#[tokio::test]
async fn a_process_that_no_longer_leads_when_it_is_its_turn_sends_nothing() {
    let host = GitHost::answering(201, &[], "{}");
    let statuses = statuses(&[("bearerToken", TOKEN), ("ca.crt", &host.authority)], None, true);
    let address = format!("https://{}", host.address);
    let to = destination(GitHostType::GitHub, "git+https://github.com/acme/config.git", &address);
    let sent = send_while(|| false, &statuses, &to).await;
    assert!(
        matches!(&sent, Err(error @ SendError::NotLeading) if error.failure().kind == FailureKind::Unsent),
        "{sent:?}"
    );
    assert_eq!(host.received().len(), 0);
    send_while(|| true, &statuses, &to).await.unwrap();
    assert_eq!(host.received().len(), 1);
}
