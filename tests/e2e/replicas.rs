//! Every replica of the operator serves, one writes, and the loss of one loses nothing.

use http::Method;
use rototo_api::names::snapshot_path;
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{App, ControlPlane, Endpoint, Observation, Operator, PATIENCE, until, until_async};

use crate::scene::{Scene, TRIAL, WORKSPACE, condition};

const COPYLESS: &str = "rototo_publishes_without_copy_total";

/// Returns a scene whose operator leads, and a second replica that is ready.
async fn two_replicas(purpose: &str) -> (Scene, Operator) {
    let flags = ["--identity=first", "--peer-host=127.0.0.1", "--lease-seconds=3"];
    let scene = Scene::published_with(ControlPlane::shared().unwrap(), purpose, &flags).await;
    let flags = ["--identity=second", "--peer-host=127.0.0.1", "--lease-seconds=3"];
    let second = Operator::start_with(&scene.namespace, &flags).unwrap();
    (scene, second)
}

/// Starts a service that knows the operator only by the address of one replica.
async fn app_of(scene: &Scene, replica: &Operator) -> App {
    let url = format!("https://{}", replica.address());
    scene.app().environment("ROTOTO_SNAPSHOTS_URL", &url).start().await.unwrap()
}

async fn edit(scene: &Scene, from: &str, to: &str) -> String {
    scene.repository.edit(TRIAL, from, to).unwrap();
    scene.push().await.source.unwrap().revision.unwrap()
}

fn published_message(workspace: &RototoWorkspace) -> String {
    let status = workspace.status.as_ref().unwrap();
    status.condition("Published").map(|published| published.message.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_replica_that_does_not_lead_serves_snapshots_and_passes_reports_on() {
    let (scene, second) = two_replicas("replicas").await;
    let app = app_of(&scene, &second).await;
    scene.wait_for_fleet(1).await;
    let before = scene.operator.metric(COPYLESS, &[]).unwrap();
    let revision = edit(&scene, "[0, 1000]", "[0, 6000]").await;
    app.wait_for_state("at the next commit", |state| state["revision"] == revision).unwrap();
    scene.wait_for_fleet(1).await;
    assert_eq!(scene.operator.metric(COPYLESS, &[]).unwrap(), before, "the marker was written before the copy");
    assert_eq!(scene.operator.metric("rototo_replicas", &[]).unwrap(), 1.0);
    assert!(second.keeps_snapshots(&scene.namespace, WORKSPACE));
}

#[tokio::test]
async fn a_replica_that_takes_over_has_the_content_that_git_no_longer_gives() {
    let (mut scene, second) = two_replicas("takes-over").await;
    scene.repository.take_away().unwrap();
    scene.operator.kill().unwrap();
    scene.operator.forget_everything().unwrap();
    scene.operator = second;
    // It has started after the loss, so the content can only come from the replica.
    let app = app_of(&scene, &scene.operator).await;
    app.wait_for_state("at what is published", |state| state["state"] == "applied").unwrap();
    scene.wait_for_fleet(1).await;
    let workspace = scene.namespace.workspace(WORKSPACE).await.unwrap();
    assert_eq!(condition(workspace.status.as_ref().unwrap(), "Published"), "True/Published");
}

#[tokio::test]
async fn a_replica_that_hangs_does_not_stop_a_publish() {
    let (scene, second) = two_replicas("hanging-replica").await;
    let before = scene.operator.metric(COPYLESS, &[]).unwrap();
    second.process().unwrap().freeze().unwrap();
    let revision = edit(&scene, "[0, 1000]", "[0, 6000]").await;
    let is_published = |workspace: &RototoWorkspace| {
        let status = workspace.status.as_ref();
        status.and_then(|status| status.published.as_ref()).is_some_and(|p| p.revision.as_ref() == Some(&revision))
    };
    let workspace = scene.namespace.wait_for_workspace(WORKSPACE, "published", is_published).await.unwrap();
    assert_eq!(scene.operator.metric(COPYLESS, &[]).unwrap(), before + 1.0);
    assert!(published_message(&workspace).contains("no other replica"), "{}", published_message(&workspace));
    second.process().unwrap().thaw().unwrap();
    until("the replica to be known again", PATIENCE, || {
        let known = scene.operator.metric("rototo_replicas", &[])?;
        Ok(if known > 0.0 { Observation::Done(()) } else { Observation::NotYet(known.to_string()) })
    })
    .unwrap();
    let is_copied = |workspace: &RototoWorkspace| !published_message(workspace).contains("no other replica");
    scene.poll().await;
    scene.namespace.wait_for_workspace(WORKSPACE, "copied", is_copied).await.unwrap();
}

#[tokio::test]
async fn only_a_replica_may_send_copies_or_announce_itself() {
    let (scene, second) = two_replicas("no-peer").await;
    let map = scene.namespace.markers().await.unwrap().unwrap();
    let ca = &map.metadata.annotations.unwrap()["rototo.dev/ca"];
    let fingerprint = format!("sha256:{}", "a".repeat(64));
    let path = snapshot_path(scene.namespace.name(), WORKSPACE, &fingerprint);
    let copy =
        format!("/v1/replicas/snapshots/{}/{WORKSPACE}/{fingerprint}?kept={fingerprint}", scene.namespace.name());
    for operator in [&scene.operator, &second] {
        let endpoint = Endpoint::at(&format!("https://{}", operator.address()), ca).unwrap();
        for (method, path) in [(Method::PUT, &*copy), (Method::POST, "/v1/replicas")] {
            for key in ["", "guessed"] {
                let headers = [("rototo-peer-key", key), ("content-type", "application/json")];
                let reply = endpoint.send(method.clone(), path, &headers, "{}").await.unwrap();
                assert_eq!((reply.status, &*reply.error().unwrap().code), (403, "not_a_peer"), "{method} {path}");
            }
        }
        // What neither has is asked of the leader, by the rights of the one who asks.
        assert_eq!(endpoint.get(&path, "nobody").await.unwrap().status, 401);
    }
}

#[tokio::test]
async fn a_leader_that_ends_in_order_passes_its_evidence_on() {
    let (mut scene, second) = two_replicas("hands-over").await;
    let app = app_of(&scene, &second).await;
    scene.wait_for_fleet(1).await;
    scene.operator.terminate().unwrap();
    scene.operator = second;
    // Only the successor can handle the request, and each status until then is looked at.
    let request = scene.ask().await;
    until_async("the successor to write the status", PATIENCE, async || {
        let status = scene.namespace.workspace(WORKSPACE).await?.status.unwrap_or_default();
        for (type_, expected) in [("Converged", "True/Converged"), ("Ready", "True/")] {
            let found = condition(&status, type_);
            anyhow::ensure!(found.starts_with(expected), "{type_} became {found}");
        }
        let handled = status.last_handled_reconcile_at;
        Ok(if handled.as_ref() == Some(&request) {
            Observation::Done(())
        } else {
            Observation::NotYet(format!("{handled:?}"))
        })
    })
    .await
    .unwrap();
    drop(app);
}

#[tokio::test]
async fn a_leader_that_is_killed_passes_nothing_on() {
    let (mut scene, second) = two_replicas("killed-leader").await;
    let app = app_of(&scene, &second).await;
    scene.wait_for_fleet(1).await;
    scene.operator.kill().unwrap();
    scene.operator = second;
    let recounts = |workspace: &RototoWorkspace| {
        workspace.status.as_ref().is_some_and(|status| condition(status, "Converged") == "Unknown/Recounting")
    };
    scene.namespace.wait_for_workspace(WORKSPACE, "Unknown/Recounting", recounts).await.unwrap();
    scene.wait_for_fleet(1).await;
    drop(app);
}
