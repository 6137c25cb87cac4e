//! When the doorbell is lost, silent, gone, or unreadable, no change is missed and nothing that runs is lost.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use rototo_api::names::MARKERS;
use rototo_tests::harness::{App, Cluster, ControlPlane, Proxy};
use serde_json::{Value, json};

use crate::markers::without_policy;
use crate::scene::{Scene, TRIAL, WORKSPACE};

/// Returns a service that runs the first commit, and the proxy through which it reaches the API server. It reaches the
/// operator directly.
async fn by_way_of_a_proxy(scene: &Scene) -> (Proxy, App) {
    let api_server = scene.namespace.cluster().url().trim_start_matches("https://");
    let proxy = Proxy::to(api_server).unwrap();
    let app = scene.app().by_way_of(&format!("https://{}", proxy.address())).start().await.unwrap();
    scene.wait_for_fleet(1).await;
    assert_eq!(app.state().unwrap()["hydrates"], 1);
    (proxy, app)
}

fn is_applied(state: &Value) -> bool {
    state["state"] == "applied" && state["last_error"].is_null()
}

#[tokio::test]
async fn a_watch_that_was_cut_resumes_without_a_new_list() {
    let scene = Scene::published("resume").await;
    let (proxy, app) = by_way_of_a_proxy(&scene).await;
    proxy.cut();
    app.wait_for_state("without its watch", |state| state["last_error"].is_string()).unwrap();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    proxy.clear();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    let state = app.wait_for_state("watching again", is_applied).unwrap();
    assert_eq!(state["hydrates"], 1);
}

#[tokio::test]
async fn a_watch_whose_version_was_compacted_lists_again() {
    let mut plane = ControlPlane::start().unwrap();
    plane.install_crds().unwrap();
    let scene = Scene::published_on(&Cluster::clone(&plane), "compacted").await;
    let (proxy, app) = by_way_of_a_proxy(&scene).await;
    proxy.cut();
    app.wait_for_state("without its watch", |state| state["last_error"].is_string()).unwrap();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();
    plane.kill_api_server().unwrap();
    plane.compact_etcd().unwrap();
    // The cache of the API server begins here, so it can't serve older versions.
    plane.start_api_server().unwrap();
    proxy.clear();

    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    let state = app.wait_for_state("watching again", |state| is_applied(state) && state["hydrates"] == 2).unwrap();
    assert_eq!(state["fingerprint"], published.fingerprint);
    assert_eq!(state["updated_at"], published.updated_at.to_string());
}

#[tokio::test]
async fn a_report_response_makes_a_process_list_again_whose_watch_died_silently() {
    let scene = Scene::published("half-open").await;
    let (proxy, app) = by_way_of_a_proxy(&scene).await;
    // No byte comes over the watch any more, and the connection does not break.
    proxy.strand();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    let state = app.state().unwrap();
    assert_eq!((&state["updated_at"], &state["hydrates"]), (&json!(published.updated_at), &json!(2)));
    scene.wait_for_fleet(1).await;
}

#[tokio::test]
async fn a_report_response_alone_is_not_followed() {
    let scene = Scene::published("cut-from-markers").await;
    let (proxy, app) = by_way_of_a_proxy(&scene).await;
    let before = app.state().unwrap();
    // The API server is silent, and its marker alone says what to run.
    proxy.freeze();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    app.wait_for_state("failing to list", |state| state["last_error"].is_string()).unwrap();
    assert_eq!(app.state().unwrap()["fingerprint"], before["fingerprint"]);
    proxy.clear();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    scene.wait_for_fleet(1).await;
}

#[tokio::test]
async fn a_process_whose_marker_map_is_deleted_is_orphaned_until_the_map_is_written_again() {
    let mut scene = Scene::published("orphan").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let before = app.state().unwrap();
    without_policy(&scene.namespace).await;
    // The marker must not be put back before the process has seen that it is gone.
    scene.operator.kill().unwrap();
    scene.namespace.api::<ConfigMap>().delete(MARKERS, &DeleteParams::default()).await.unwrap();

    let state = app.wait_for_state("orphaned", |state| state["state"] == "orphaned").unwrap();
    let error = state["last_error"].as_str().unwrap();
    assert!(error.contains(MARKERS) && error.contains(scene.namespace.name()), "{error}");
    assert_eq!(state["fingerprint"], before["fingerprint"]);
    assert_eq!(app.policy("high", "acct-001").unwrap()["value_key"], "severe");
    assert!(app.is_ready().unwrap());

    scene.operator.start_again().unwrap();
    let state = app.wait_for_state("applied", is_applied).unwrap();
    assert_eq!(state["fingerprint"], before["fingerprint"]);
    assert_eq!(state["updated_at"], json!(scene.marker().await.unwrap().updated_at()));
}

#[tokio::test]
async fn a_marker_of_a_later_version_is_refused_with_an_error_and_the_content_stays() {
    let mut scene = Scene::published("later").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let before = app.state().unwrap();
    without_policy(&scene.namespace).await;
    scene.operator.kill().unwrap();
    let marker = r#"{"schema_version":2,"content":"of another time"}"#;
    let edit = json!({ "data": { WORKSPACE: marker } });
    let maps = scene.namespace.api::<ConfigMap>();
    maps.patch(MARKERS, &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();

    let state = app.wait_for_state("refusing the marker", |state| state["state"] == "rejected").unwrap();
    let error = state["last_error"].as_str().unwrap();
    assert!(error.contains("schema_version 2") && error.contains("update rototo"), "{error}");
    assert!(error.contains(WORKSPACE), "{error}");
    assert_eq!(state["fingerprint"], before["fingerprint"]);
    assert_eq!(app.policy("high", "acct-001").unwrap()["value_key"], "severe");
    assert!(app.process().unwrap().log().contains("marker_version_unknown"));

    scene.operator.start_again().unwrap();
    app.wait_for_state("applied", is_applied).unwrap();
}
