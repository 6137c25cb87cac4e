//! A process that reads the repository itself doesn't need the operator's endpoint, and still runs only the content
//! that the marker names.

use rototo_tests::harness::AppSettings;
use serde_json::Value;

use crate::scene::{Scene, TRIAL};

/// Returns the settings of a service that can reach the repository, but not the operator's endpoint.
fn without_the_endpoint(scene: &Scene) -> AppSettings {
    // No server listens on this port.
    scene
        .app()
        .environment("ROTOTO_SNAPSHOTS_URL", "https://127.0.0.1:9")
        .environment("ROTOTO_DIRECT_SOURCE", &scene.repository.url())
}

#[tokio::test]
async fn a_process_without_the_endpoint_reads_the_repository_itself() {
    let scene = Scene::published("direct").await;
    let app = without_the_endpoint(&scene).start().await.unwrap();
    app.wait_for_policy("high", "acct-0001", "degraded").unwrap();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    let state = app.state().unwrap();
    assert_eq!(state["fingerprint"], published.fingerprint);
    assert_eq!(state["updated_at"], published.updated_at.to_string());
}

#[tokio::test]
async fn content_of_the_repository_that_the_marker_does_not_name_is_not_used() {
    let scene = Scene::published("ahead").await;
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    // The operator has not polled this commit yet.
    scene.repository.push().unwrap();
    let app = without_the_endpoint(&scene).start().await.unwrap();
    let mismatch = |state: &Value| state["last_error"].as_str().is_some_and(|error| error.contains("the marker names"));
    let state = app.wait_for_state("aware of other content", mismatch).unwrap();
    assert_eq!(state["fingerprint"], Value::Null);
    assert!(!app.is_ready().unwrap());
    scene.poll().await;
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
}
