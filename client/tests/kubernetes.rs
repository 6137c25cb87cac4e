//! Tests of following a marker without a cluster. Tests that need a cluster are among the end-to-end tests.
#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use rototo::{Cluster, Error, RefreshOptions, RefreshingWorkspace};

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
