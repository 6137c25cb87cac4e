//! Tests of following a marker without a cluster: at a port without a server, and with a double of the API server and the
//! operator. Tests that need a cluster are among the end-to-end tests.
#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/requests.rs"]
mod requests;

use std::time::Duration;

use futures::FutureExt;
use rototo::{Cluster, Error, ProcessState, RefreshOptions, RefreshingWorkspace};
use rototo_api::fleet::Report;
use rototo_api::names;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// Returns a cluster at a port of this machine on which no server listens.
fn nowhere() -> Cluster {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Cluster::with_config(kube::Config::new(format!("http://127.0.0.1:{port}").parse().unwrap()))
}

#[tokio::test]
async fn a_start_that_takes_too_long_names_the_unreachable_api_server() {
    let options = RefreshOptions::new().with_cluster(nowhere()).with_start_timeout(Duration::from_secs(1));
    let error = RefreshingWorkspace::load("kubernetes://prod/policy", options).await.unwrap_err();
    assert!(matches!(error, Error::StartTimedOut { .. }) && error.is_transient());
    for part in ["kubernetes://prod/policy", "rototo-markers", "`prod`"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_start_does_not_wait_and_a_shutdown_ends_it() {
    let options = RefreshOptions::new().with_cluster(nowhere());
    let workspace = RefreshingWorkspace::start("kubernetes:///policy", Default::default(), options).unwrap();
    assert!(!workspace.ready());
    workspace.shutdown().await;
    assert!(matches!(workspace.refresh_now().await, Err(Error::ShutDown(_))));
}

/// Returns a cluster whose certificate can't be read, so that nothing can connect to it.
fn unusable() -> Cluster {
    let mut config = kube::Config::new("https://127.0.0.1:9".parse().unwrap());
    config.root_cert = Some(vec![b"no certificate".to_vec()]);
    Cluster::with_config(config)
}

// The paused clock moves only while every task waits.
#[tokio::test(start_paused = true)]
async fn a_refresh_ends_in_time_however_many_wait_for_an_unusable_cluster() {
    let options = RefreshOptions::new().with_cluster(unusable()).with_start_timeout(Duration::from_millis(10));
    let workspace = RefreshingWorkspace::start("kubernetes://prod/policy", Default::default(), options).unwrap();
    for call in 1..=9 {
        let refreshed = timeout(PATIENCE, workspace.refresh_now()).await;
        let error = refreshed.unwrap_or_else(|_| panic!("call {call} does not end")).unwrap_err();
        let Error::RefreshFailed { reason, .. } = error else { panic!("call {call}: {error}") };
        assert!(reason.contains("finding the Kubernetes API failed"), "call {call}: {reason}");
    }
}

/// A double of the API server and of the operator, at one address. Nothing is published in its one namespace.
struct TestServer {
    url: String,
    /// The states that were reported.
    reports: watch::Receiver<Vec<ProcessState>>,
    token: tempfile::NamedTempFile,
}

impl TestServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (received, reports) = watch::channel(Vec::new());
        tokio::spawn(serve(listener, url.clone(), received));
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "token").unwrap();
        Self { url, reports, token }
    }

    /// Returns a workspace that has reported for the first time.
    async fn followed(&self) -> RefreshingWorkspace {
        let cluster = Cluster::with_config(kube::Config::new(self.url.parse().unwrap()));
        let options = RefreshOptions::new().with_cluster(cluster).with_token_file(self.token.path());
        let workspace = RefreshingWorkspace::start("kubernetes://prod/policy", Default::default(), options).unwrap();
        let mut reports = self.reports.clone();
        let reported = timeout(PATIENCE, reports.wait_for(|reports| !reports.is_empty())).await;
        reported.unwrap_or_else(|_| panic!("nothing is reported: {:?}", workspace.status())).unwrap();
        workspace
    }

    /// Returns the number of reports so far that the process drains.
    fn drained(&self) -> usize {
        self.reports.borrow().iter().filter(|state| **state == ProcessState::Draining).count()
    }
}

async fn serve(listener: TcpListener, url: String, received: watch::Sender<Vec<ProcessState>>) {
    let annotations = json!({ names::ANNOTATION_SNAPSHOTS: url });
    let map = json!({ "metadata": { "name": names::MARKERS, "namespace": "prod", "annotations": annotations } });
    let list = json!({
        "kind": "ConfigMapList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [map],
    });
    let response = json!({
        "fingerprint": null, "updated_at": null, "revision": null, "verified_ms_ago": null,
        "stale_after_ms": 300_000, "next_report_in_ms": 3_600_000,
    });
    while let Ok((mut stream, _)) = listener.accept().await {
        let (list, response, received) = (list.to_string(), response.to_string(), received.clone());
        tokio::spawn(async move {
            let (target, body) = requests::request(&mut stream).await;
            let answer = if target.contains("/fleet") {
                let report: Report = serde_json::from_slice(&body).unwrap();
                received.send_modify(|reports| reports.push(report.state));
                response
            } else if target.contains("watch=") {
                // The watch shows nothing, for as long as the client keeps it.
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
                drop(stream.read_buf(&mut Vec::new()).await);
                return;
            } else {
                list
            };
            let length = answer.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
            drop(stream.write_all(answer.as_bytes()).await);
        });
    }
}

#[tokio::test]
async fn every_shutdown_of_a_workspace_returns_after_the_one_report_that_it_drains() {
    let server = TestServer::start().await;
    let workspace = server.followed().await;
    let shutdown = async || {
        workspace.shutdown().await;
        server.drained()
    };
    let both = timeout(PATIENCE, async { tokio::join!(shutdown(), shutdown()) }).await.unwrap();
    assert_eq!(both, (1, 1));
    workspace.shutdown().await;
    assert_eq!(server.drained(), 1, "a shutdown after a complete one reports nothing");
}

#[tokio::test]
async fn a_shutdown_that_is_dropped_is_completed_by_the_next_one() {
    let server = TestServer::start().await;
    let workspace = server.followed().await;
    assert!(workspace.shutdown().now_or_never().is_none(), "the first call waits for the last report");
    timeout(PATIENCE, workspace.shutdown()).await.unwrap();
    assert_eq!(server.drained(), 1);
}
