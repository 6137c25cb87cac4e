//! The disk cache: a process that starts while nobody answers uses what the process before it left on the disk of the
//! pod.

use rototo_tests::harness::{App, Observation, PATIENCE, Proxy, until};
use serde_json::Value;

use crate::scene::{Scene, TRIAL, WORKSPACE};

/// Returns a service with a disk cache that has applied the first commit, and the proxy through which it reaches the
/// API server.
async fn with_a_disk(scene: &Scene) -> (Proxy, App, tempfile::TempDir) {
    let proxy = Proxy::to(scene.namespace.cluster().url().trim_start_matches("https://")).unwrap();
    let disk = tempfile::tempdir().unwrap();
    let settings = scene.app().environment("ROTOTO_CACHE_DIR", &disk.path().display().to_string());
    let app = settings.by_way_of(&format!("https://{}", proxy.address())).start().await.unwrap();
    scene.wait_for_fleet(1).await;
    // The process writes the copy after it has applied the commit, and nothing waits for it.
    let copy = disk.path().join(scene.namespace.name()).join(WORKSPACE).join("marker.json");
    until(format_args!("{} to be written", copy.display()), PATIENCE, || {
        Ok(if copy.exists() { Observation::Done(()) } else { Observation::NotYet("no such file".to_owned()) })
    })
    .unwrap();
    (proxy, app, disk)
}

fn restart(app: &mut App) {
    app.kill().unwrap();
    app.start_again().unwrap();
    app.wait_until_listening().unwrap();
}

/// Returns the state of the process once it is stale and its last error names `unreachable`. It may be stale before its
/// first request fails.
fn stale_without(app: &App, unreachable: &str) -> Value {
    let is_stale = |state: &Value| state["stale"] == true && state["state"] == "stale";
    let names = |state: &Value| state["last_error"].as_str().is_some_and(|error| error.contains(unreachable));
    app.wait_for_state(&format!("stale without {unreachable}"), |state| is_stale(state) && names(state)).unwrap()
}

#[tokio::test]
async fn a_process_that_starts_without_the_operator_uses_its_disk_cache_and_is_stale() {
    let mut scene = Scene::published("disk").await;
    let (_proxy, mut app, _disk) = with_a_disk(&scene).await;
    let before = app.state().unwrap();
    scene.operator.kill().unwrap();
    restart(&mut app);

    app.wait_for_policy("high", "acct-001", "severe").unwrap();
    let state = stale_without(&app, scene.operator.address());
    assert_eq!((&state["fingerprint"], &state["updated_at"]), (&before["fingerprint"], &before["updated_at"]));
    assert!(app.is_ready().unwrap());

    scene.operator.start_again().unwrap();
    let fresh = |state: &Value| state["state"] == "applied" && state["stale"] == false && state["last_error"].is_null();
    app.wait_for_state("fresh", fresh).unwrap();
}

#[tokio::test]
async fn a_process_that_starts_without_operator_and_api_server_uses_its_disk_cache_too() {
    let mut scene = Scene::published("alone").await;
    let (proxy, mut app, _disk) = with_a_disk(&scene).await;
    let before = app.state().unwrap();
    scene.operator.kill().unwrap();
    proxy.cut();
    restart(&mut app);

    app.wait_for_policy("high", "acct-001", "severe").unwrap();
    let state = stale_without(&app, "rototo-markers");
    assert_eq!((&state["fingerprint"], &state["updated_at"]), (&before["fingerprint"], &before["updated_at"]));
}

#[tokio::test]
async fn the_disk_cache_replaces_nothing_once_a_marker_was_seen() {
    let mut scene = Scene::published("named").await;
    let (_proxy, mut app, _disk) = with_a_disk(&scene).await;
    app.kill().unwrap();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();
    scene.operator.kill().unwrap();
    app.start_again().unwrap();
    app.wait_until_listening().unwrap();

    // It failed to fetch the content that the marker names. The content on its disk is older.
    let failed = |state: &Value| state["consecutive_failures"].as_u64() > Some(2);
    let state = app.wait_for_state("without what the marker names", failed).unwrap();
    assert_eq!(state["fingerprint"], Value::Null);
    assert!(state["last_error"].as_str().unwrap().contains(scene.operator.address()), "{state}");
    assert!(!app.is_ready().unwrap());

    scene.operator.start_again().unwrap();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    assert_eq!(app.state().unwrap()["fingerprint"], published.fingerprint);
}
