//! The operator owns the markers: it puts back what others change, and leaves alone what others own.

use std::pin::pin;

use anyhow::Context;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, WatchEvent, WatchParams};
use rototo_api::marker::Marker;
use rototo_api::names::MARKERS;
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{ControlPlane, Namespace, Observation, PATIENCE, install_chart, until, until_async};
use serde_json::json;

use crate::scene::{Scene, TRIAL, WORKSPACE, condition};
use crate::updates_denied::UpdatesDenied;

/// Removes the admission policy, so that an administrator can do what it prevents, and waits until that is in force.
pub(crate) async fn without_policy(namespace: &Namespace) {
    install_chart(namespace, &["markersPolicy.enabled=false"]).unwrap();
    let touch = json!({ "metadata": { "annotations": { "example.com/touched": "yes" } } });
    until_async("the policy to be removed", PATIENCE, async || {
        let maps = namespace.api::<ConfigMap>();
        Ok(match maps.patch(MARKERS, &PatchParams::default(), &Patch::Merge(&touch)).await {
            Ok(_) => Observation::Done(()),
            Err(error) => Observation::NotYet(error.to_string()),
        })
    })
    .await
    .unwrap();
}

async fn wait_for_marker(scene: &Scene, what: &str, holds: impl Fn(Option<&Marker>) -> bool) -> Option<Marker> {
    until_async(format!("the marker to be {what}"), PATIENCE, async || {
        let marker = scene.namespace.marker(WORKSPACE).await.context("read the marker");
        Ok(match marker {
            Ok(marker) if holds(marker.as_ref()) => Observation::Done(marker),
            seen => Observation::NotYet(format!("{seen:?}")),
        })
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_manual_edit_is_put_back_and_counted() {
    let scene = Scene::published("meddled").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let original = scene.marker().await.unwrap();
    without_policy(&scene.namespace).await;

    let forged = Marker::Published {
        fingerprint: format!("sha256:{}", "0".repeat(64)),
        updated_at: "2099-01-01T00:00:00.000000Z".parse().unwrap(),
        next: None,
        held: None,
    };
    let edit = json!({ "data": { WORKSPACE: forged.to_json() } });
    let maps = scene.namespace.api::<ConfigMap>();
    maps.patch(MARKERS, &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();

    let back = |marker: Option<&Marker>| marker.is_some_and(|marker| marker.updated_at() > forged.updated_at());
    let marker = wait_for_marker(&scene, "put back", back).await.unwrap();
    let (Marker::Published { fingerprint, .. }, Marker::Published { fingerprint: before, .. }) = (&marker, &original)
    else {
        panic!("{marker:?}")
    };
    assert_eq!(fingerprint, before);
    // The marker is there before the operator has the API server's answer.
    until("the operator to count it", PATIENCE, || {
        let count = scene.operator.metric("rototo_markers_put_back_total", &[])?;
        Ok(if count > 0.0 { Observation::Done(()) } else { Observation::NotYet(count.to_string()) })
    })
    .unwrap();
    scene.wait_for_fleet(1).await;
    assert_eq!(scene.operator.metric("rototo_markers_put_back_total", &[]).unwrap(), 1.0);
    assert_eq!(app.state().unwrap()["fingerprint"], before.as_str());
    let events = scene.namespace.cluster().kubectl(&["-n", scene.namespace.name(), "get", "events"]).unwrap();
    assert!(events.contains("MarkerPutBack"), "{events}");
}

#[tokio::test]
async fn a_deleted_map_is_written_again_under_a_later_name() {
    let scene = Scene::published("deleted-map").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let original = scene.marker().await.unwrap();
    without_policy(&scene.namespace).await;
    scene.namespace.api::<ConfigMap>().delete(MARKERS, &DeleteParams::default()).await.unwrap();
    let later = |marker: Option<&Marker>| marker.is_some_and(|marker| marker.updated_at() > original.updated_at());
    wait_for_marker(&scene, "back", later).await;
    scene.wait_for_fleet(1).await;
    app.wait_for_state("applied", |state| state["state"] == "applied").unwrap();
}

#[tokio::test]
async fn the_marker_of_a_deleted_workspace_is_removed_and_others_stay() {
    let scene = Scene::published("deleted").await;
    let spec = json!({ "source": scene.repository.url(), "interval": "1h" });
    scene.namespace.apply_workspace("other", spec).await.unwrap();
    scene.namespace.wait_for_condition("other", "Published", "True").await.unwrap();
    let (other, original) = (scene.namespace.marker("other").await.unwrap(), scene.marker().await.unwrap());

    scene.namespace.api::<RototoWorkspace>().delete(WORKSPACE, &DeleteParams::default()).await.unwrap();
    wait_for_marker(&scene, "gone", |marker| marker.is_none()).await;
    assert_eq!(scene.namespace.marker("other").await.unwrap(), other);

    scene.apply().await;
    let published = |marker: Option<&Marker>| marker.is_some_and(|marker| marker.updated_at() > original.updated_at());
    wait_for_marker(&scene, "published again", published).await;
}

/// Returns the changes of a marker from now on.
async fn changes(scene: &Scene, workspace: &'static str) -> impl Stream<Item = Option<Marker>> + use<> {
    let maps = scene.namespace.api::<ConfigMap>();
    let parameters = WatchParams::default().fields(&format!("metadata.name={MARKERS}"));
    let events = maps.watch(&parameters, &scene.map_version().await).await.unwrap();
    events.map(move |event| match event.unwrap() {
        WatchEvent::Modified(map) => map.data?.get(workspace).map(|text| Marker::parse(text).unwrap()),
        other => panic!("{other:?}"),
    })
}

#[tokio::test]
async fn a_marker_says_that_its_workspace_is_gone_before_it_is_removed() {
    let scene = Scene::published("tombstone").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let original = scene.marker().await.unwrap();
    let mut changes = pin!(changes(&scene, WORKSPACE).await);
    scene.namespace.api::<RototoWorkspace>().delete(WORKSPACE, &DeleteParams::default()).await.unwrap();

    let said = changes.next().await.unwrap();
    let Some(Marker::Removed { updated_at }) = said else { panic!("{said:?}") };
    assert!(updated_at > original.updated_at());
    assert_eq!(changes.next().await.unwrap(), None);
    // The process keeps what it runs, and reports that it is orphaned.
    app.wait_for_state("orphaned", |state| state["state"] == "orphaned").unwrap();
    assert_eq!(app.policy("high", "acct-001").unwrap()["value_key"], "severe");
    until("its snapshots to be deleted", PATIENCE, || {
        let kept = scene.operator.keeps_snapshots(&scene.namespace, WORKSPACE);
        Ok(if kept { Observation::NotYet("the snapshots still exist".to_owned()) } else { Observation::Done(()) })
    })
    .unwrap();

    scene.apply().await;
    let again = changes.next().await.unwrap().unwrap();
    assert!(matches!(again, Marker::Published { .. }) && again.updated_at() > updated_at, "{again:?}");
    app.wait_for_state("applied", |state| state["state"] == "applied").unwrap();
}

#[tokio::test]
async fn a_workspace_that_was_never_published_says_that_it_is_gone_too() {
    let scene = Scene::published("unpublished").await;
    let spec = json!({ "source": scene.repository.url_at("no-such-branch"), "interval": "1h" });
    scene.namespace.apply_workspace("other", spec).await.unwrap();
    scene.namespace.wait_for_condition("other", "SourceReady", "False").await.unwrap();
    let mut changes = pin!(changes(&scene, "other").await);
    scene.namespace.api::<RototoWorkspace>().delete("other", &DeleteParams::default()).await.unwrap();
    // A process that waits for the first publish gets an event. Removing a key that does not exist would cause none.
    let said = changes.next().await.unwrap();
    assert!(matches!(said, Some(Marker::Removed { .. })), "{said:?}");
    assert_eq!(changes.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_workspace_that_was_deleted_while_the_operator_was_away_is_swept_at_its_start() {
    let mut scene = Scene::published("swept").await;
    scene.operator.kill().unwrap();
    scene.namespace.api::<RototoWorkspace>().delete(WORKSPACE, &DeleteParams::default()).await.unwrap();
    assert!(scene.marker().await.is_some());
    let mut changes = pin!(changes(&scene, WORKSPACE).await);
    scene.operator.start_again().unwrap();
    let said = changes.next().await.unwrap();
    assert!(matches!(said, Some(Marker::Removed { .. })), "{said:?}");
    assert_eq!(changes.next().await.unwrap(), None);
    until("its snapshots to be deleted", PATIENCE, || {
        let kept = scene.operator.keeps_snapshots(&scene.namespace, WORKSPACE);
        Ok(if kept { Observation::NotYet("the snapshots still exist".to_owned()) } else { Observation::Done(()) })
    })
    .unwrap();
}

#[tokio::test]
async fn a_change_and_its_revert_make_three_publishes() {
    let scene = Scene::published("aba").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let first = scene.marker().await.unwrap();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    scene.repository.revert("HEAD").unwrap();
    let status = scene.push().await;
    let third = status.published.unwrap();
    assert_eq!(status.history.len(), 3);
    assert!(third.updated_at > first.updated_at());
    assert!(matches!(first, Marker::Published { fingerprint, .. } if fingerprint == third.fingerprint));
    app.wait_for_state("at the third", |state| state["updated_at"] == third.updated_at.to_string()).unwrap();
    scene.wait_for_fleet(1).await;
}

#[tokio::test]
async fn a_foreign_marker_map_is_never_written() {
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "foreign").await;
    without_policy_map(&scene.namespace, r#"{"mine":"yes"}"#).await;
    let version = scene.map_version().await;
    scene.apply().await;
    let workspace = scene.namespace.wait_for_condition(WORKSPACE, "Published", "False").await.unwrap();
    let foreign = |workspace: &RototoWorkspace| {
        workspace.status.as_ref().is_some_and(|status| condition(status, "Published") == "False/ForeignMarkers")
    };
    if !foreign(&workspace) {
        scene.namespace.wait_for_workspace(WORKSPACE, "with the reason ForeignMarkers", foreign).await.unwrap();
    }
    assert_eq!(scene.map_version().await, version);
}

/// Creates a ConfigMap with the name of the marker map that no operator owns.
pub(crate) async fn without_policy_map(namespace: &Namespace, data: &str) {
    install_chart(namespace, &["markersPolicy.enabled=false"]).unwrap();
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": { "name": MARKERS },
        "data": serde_json::from_str::<serde_json::Value>(data).unwrap(),
    }))
    .unwrap();
    until_async("a foreign map to be admitted", PATIENCE, async || {
        Ok(match namespace.api::<ConfigMap>().create(&kube::api::PostParams::default(), &map).await {
            Ok(_) => Observation::Done(()),
            Err(error) => Observation::NotYet(error.to_string()),
        })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_marker_that_the_api_server_refuses_is_reported_and_written_again() {
    let scene = Scene::published("refusing").await;
    let denied = UpdatesDenied::of(&scene.namespace, "", "configmaps").await;
    let version = scene.map_version().await;
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    let workspace = scene.namespace.wait_for_condition(WORKSPACE, "Published", "False").await.unwrap();
    let status = workspace.status.unwrap();
    assert_eq!(condition(&status, "Published"), "False/PublishFailed");
    let said = status.condition("Published").unwrap();
    assert!(said.message.contains("closed for inventory"), "{}", said.message);
    assert_eq!(scene.map_version().await, version);

    denied.lift();
    scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
    assert_ne!(scene.map_version().await, version);
}
