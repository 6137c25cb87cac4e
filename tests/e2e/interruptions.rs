//! Programs that restart continue from the actual state, and not from memory.

use rototo_api::marker::Marker;
use rototo_tests::harness::{Cluster, ControlPlane, Fleet};

use crate::scene::{POLICY, Scene, TRIAL, WORKSPACE, condition};
use crate::updates_denied::UpdatesDenied;

#[tokio::test]
async fn an_operator_that_was_killed_does_not_publish_again_and_recounts_the_fleet() {
    let mut scene = Scene::published("restart").await;
    let _fleet = Fleet::start(&scene.app(), 3).await.unwrap();
    scene.wait_for_fleet(3).await;
    let (marker, markers) = (scene.marker().await, scene.markers().await);

    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.operator.wait_until_ready().unwrap();
    let status = scene.poll().await;
    assert_eq!(scene.markers().await, markers);
    assert_eq!(status.history.len(), 1);
    let status = scene.wait_for_fleet(3).await;
    assert_eq!(condition(&status, "Ready"), "True/Converged");
    assert_eq!(scene.marker().await, marker);
    let events = scene.namespace.cluster().kubectl(&[
        "-n",
        scene.namespace.name(),
        "get",
        "events",
        "--field-selector=reason=Published",
        "-o",
        "name",
    ]);
    assert_eq!(events.unwrap().lines().count(), 1);
}

#[tokio::test]
async fn an_operator_that_lost_its_disk_does_not_publish_again() {
    let mut scene = Scene::published("diskless").await;
    let markers = scene.markers().await;
    scene.operator.kill().unwrap();
    scene.operator.forget_everything().unwrap();
    scene.operator.start_again().unwrap();
    scene.operator.wait_until_ready().unwrap();
    scene.poll().await;
    assert_eq!(scene.markers().await, markers);
    // The content that the marker names is available again: a new process gets it.
    let app = scene.app().start().await.unwrap();
    app.wait_for_policy("high", "acct-001", "severe").unwrap();
}

#[tokio::test]
async fn a_fleet_keeps_running_without_the_operator_and_applies_the_change_when_it_is_back() {
    let mut scene = Scene::published("away").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    scene.operator.kill().unwrap();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.repository.push().unwrap();
    assert_eq!(app.policy("high", "acct-0001").unwrap()["value_key"], "degraded");
    scene.operator.start_again().unwrap();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
}

#[tokio::test]
async fn a_process_that_was_killed_catches_up_when_it_starts_again() {
    let scene = Scene::published("catchup").await;
    let mut app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    app.kill().unwrap();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let status = scene.push().await;
    app.start_again().unwrap();
    app.wait_until_listening().unwrap();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    // The content is swapped a moment before the state says so.
    let published = status.published.unwrap().fingerprint;
    app.wait_for_state("caught up", |state| state["fingerprint"] == published.as_str()).unwrap();
}

#[tokio::test]
async fn a_change_is_delayed_by_a_restart_of_the_api_server_and_not_lost() {
    let mut plane = ControlPlane::start().unwrap();
    plane.install_crds().unwrap();
    let cluster = Cluster::clone(&plane);
    let scene = Scene::published_on(&cluster, "apiserver").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let marker = scene.marker().await;

    plane.kill_api_server().unwrap();
    assert_eq!(app.policy("high", "acct-001").unwrap()["value_key"], "severe");
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.repository.push().unwrap();
    plane.start_api_server().unwrap();
    scene.poll().await;
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    let Some(Marker::Published { fingerprint, .. }) = scene.marker().await else { panic!("unpublished") };
    app.wait_for_state("at the marker", |state| state["fingerprint"] == fingerprint.as_str()).unwrap();
    assert!(scene.marker().await.unwrap().updated_at() > marker.unwrap().updated_at());
}

#[tokio::test]
async fn published_content_that_the_disk_lost_is_fetched_from_git_while_the_newest_is_refused() {
    let mut scene = Scene::published("recovered").await;
    let markers = scene.markers().await;
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 0").unwrap();
    scene.push().await;
    scene.operator.kill().unwrap();
    scene.operator.forget_everything().unwrap();
    scene.operator.start_again().unwrap();
    let app = scene.app().start().await.unwrap();
    app.wait_for_policy("high", "acct-001", "severe").unwrap();
    let status = scene.wait_for_fleet(1).await;
    assert_eq!(condition(&status, "LintPassed"), "False/LintRefused");
    assert_eq!(condition(&status, "Published"), "True/Published");
    assert_eq!(scene.markers().await, markers);
}

#[tokio::test]
async fn an_operator_that_ends_between_snapshot_and_marker_publishes_when_it_is_back() {
    let mut scene = Scene::published("before-marker").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let denied = UpdatesDenied::of(&scene.namespace, "", "configmaps").await;
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    scene.namespace.wait_for_condition(WORKSPACE, "Published", "False").await.unwrap();
    scene.operator.kill().unwrap();
    assert_eq!(app.policy("high", "acct-0001").unwrap()["value_key"], "degraded");
    denied.lift();
    scene.operator.start_again().unwrap();
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    let status = scene.wait_for_fleet(1).await;
    assert_eq!(status.history.len(), 2);
}

#[tokio::test]
async fn an_operator_that_ends_between_marker_and_status_does_not_publish_again() {
    let mut scene = Scene::published("before-status").await;
    let app = scene.app().start().await.unwrap();
    let before = scene.wait_for_fleet(1).await;
    let denied = UpdatesDenied::of(&scene.namespace, "rototo.dev", "rototoworkspaces/status").await;
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.repository.push().unwrap();
    scene.ask().await;
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();
    let markers = scene.markers().await;
    let stale = scene.namespace.workspace(WORKSPACE).await.unwrap().status.unwrap();
    assert_eq!(stale.published, before.published);

    scene.operator.kill().unwrap();
    denied.lift();
    scene.operator.start_again().unwrap();
    scene.operator.wait_until_ready().unwrap();
    let status = scene.poll().await;
    assert_eq!(scene.markers().await, markers);
    assert_eq!(status.history.len(), 2);
    assert!(status.published.unwrap().revision.unwrap().ends_with(&scene.repository.head().unwrap()));
    scene.wait_for_fleet(1).await;
}
