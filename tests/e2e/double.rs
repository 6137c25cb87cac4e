//! A tampering proxy in place of the operator's endpoint can withhold and damage snapshots. It can't make a process run
//! anything except the content that the marker names.

use rototo_engine::Tree;
use rototo_source::snapshot;
use rototo_tests::harness::{App, TamperingProxy};

use crate::scene::{Scene, TRIAL, WORKSPACE};

/// Returns a service that runs the first commit, and gets every further snapshot through a tampering proxy.
async fn behind_a_double(purpose: &str) -> (Scene, TamperingProxy, App) {
    let scene = Scene::published(purpose).await;
    let tampering_proxy = TamperingProxy::before(scene.operator.address()).unwrap();
    let settings = scene
        .app()
        .environment("ROTOTO_SNAPSHOTS_URL", &tampering_proxy.url())
        .environment("ROTOTO_SNAPSHOTS_CA_FILE", &tampering_proxy.authority().display().to_string());
    let app = settings.start().await.unwrap();
    scene.wait_for_fleet(1).await;
    (scene, tampering_proxy, app)
}

/// Publishes a change whose snapshot the proxy damages. The process keeps what it has, logs the error, and reports it
/// to the operator.
async fn check_refused(purpose: &str, spoil: impl Fn(Vec<u8>) -> Vec<u8> + Send + Sync + 'static) {
    let (scene, tampering_proxy, app) = behind_a_double(purpose).await;
    let before = app.state().unwrap();
    tampering_proxy.alter(spoil);
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();

    let refuses = |state: &serde_json::Value| state["state"] == "pending" && state["last_error"].is_string();
    let state = app.wait_for_state("refusing what it was sent", refuses).unwrap();
    let error = state["last_error"].as_str().unwrap();
    assert!(error.contains("unpacking") && error.contains(WORKSPACE), "{error}");
    assert_eq!((&state["fingerprint"], &state["updated_at"]), (&before["fingerprint"], &before["updated_at"]));
    assert_eq!(app.policy("high", "acct-0001").unwrap()["value_key"], "degraded");

    let straggler_status =
        scene.namespace.wait_for_workspace(WORKSPACE, "with the straggler and its reason", |workspace| {
            let fleet = workspace.status.as_ref().and_then(|status| status.fleet.as_ref());
            fleet.is_some_and(|fleet| fleet.behind.iter().any(|one| one.reason.as_deref() == Some("snapshot_damaged")))
        });
    let fleet = straggler_status.await.unwrap().status.unwrap().fleet.unwrap();
    assert_eq!((fleet.applied, fleet.behind.len()), (0, 1));
    assert_eq!(fleet.behind[0].name, app.pod().name());

    tampering_proxy.be_honest();
    app.wait_for_state("at the new publish", |state| state["fingerprint"] == published.fingerprint.as_str()).unwrap();
    scene.wait_for_fleet(1).await;
    assert_eq!(app.policy("high", "acct-0001").unwrap()["value_key"], "severe");
    app.wait_for_state("without an error", |state| state["last_error"].is_null()).unwrap();
}

#[tokio::test]
async fn a_snapshot_with_a_changed_byte_is_refused_until_the_right_one_arrives() {
    let flip = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    };
    check_refused("flipped", flip).await;
}

#[tokio::test]
async fn a_truncated_snapshot_is_refused_until_the_whole_one_arrives() {
    check_refused("cut-off", |bytes| bytes[..bytes.len() / 2].to_vec()).await;
}

#[tokio::test]
async fn a_valid_snapshot_of_another_workspace_is_refused() {
    let manifest = b"schema_version = 1\n".to_vec();
    let other: Tree = [("rototo-workspace.toml".to_owned(), manifest)].into_iter().collect();
    let other = snapshot::pack(&other, None).unwrap();
    check_refused("another", move |_| other.clone()).await;
}

#[tokio::test]
async fn a_process_that_is_killed_during_a_fetch_converges_when_it_starts_again() {
    let (scene, tampering_proxy, mut app) = behind_a_double("mid-fetch").await;
    tampering_proxy.stall();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();
    app.wait_for_state("in mid-fetch", |state| state["refreshing"] == true).unwrap();
    assert_eq!(app.policy("high", "acct-0001").unwrap()["value_key"], "degraded");
    app.kill().unwrap();

    tampering_proxy.be_honest();
    app.start_again().unwrap();
    app.wait_until_listening().unwrap();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    assert_eq!(app.state().unwrap()["fingerprint"], published.fingerprint);
    scene.wait_for_fleet(1).await;
}
