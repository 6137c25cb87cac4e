//! A new revision is prepared by every process before it is published, and what a process refuses is not published.

use rototo_api::marker::{Marker, NextPublish};
use rototo_api::names::ANNOTATION_PUBLISH_ANYWAY;
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_tests::harness::{App, Observation, PATIENCE, until_async};
use serde_json::json;

use crate::scene::{POLICY, Scene, WORKSPACE, condition};

const SCHEMA: &str = "schemas/service-degradation-policy.schema.json";

/// Commits a value that lint accepts and the type of the service does not. Returns the commit.
fn commit_a_fraction(scene: &Scene) -> String {
    let integer = r#""max_concurrency": { "type": "integer""#;
    scene.repository.edit(SCHEMA, integer, r#""max_concurrency": { "type": "number""#).unwrap();
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 10.5").unwrap()
}

async fn wait_for_ready(scene: &Scene, expected: &'static str) -> RototoWorkspaceStatus {
    let says = move |workspace: &RototoWorkspace| {
        workspace.status.as_ref().is_some_and(|status| condition(status, "Ready") == expected)
    };
    let workspace = scene.namespace.wait_for_workspace(WORKSPACE, expected, says).await.unwrap();
    workspace.status.unwrap_or_default()
}

async fn wait_for_revision(scene: &Scene, commit: &str) -> RototoWorkspaceStatus {
    let says = |workspace: &RototoWorkspace| {
        let published = workspace.status.as_ref().and_then(|status| status.published.as_ref());
        published.is_some_and(|published| published.revision.as_deref().is_some_and(|name| name.ends_with(commit)))
    };
    let workspace = scene.namespace.wait_for_workspace(WORKSPACE, commit, says).await.unwrap();
    workspace.status.unwrap_or_default()
}

/// Waits until the marker announces a publish.
async fn announced(scene: &Scene) -> NextPublish {
    until_async("a publish to be announced", PATIENCE, async || {
        Ok(match scene.marker().await {
            Some(Marker::Published { next: Some(next), .. }) => Observation::Done(next),
            other => Observation::NotYet(format!("{other:?}")),
        })
    })
    .await
    .unwrap()
}

fn rollout(scene: &Scene, rehearsal: &serde_json::Value) -> serde_json::Value {
    json!({ "source": scene.repository.url(), "interval": "1h", "rollout": { "rehearsal": rehearsal } })
}

/// Two services run the first commit.
async fn two(purpose: &str) -> (Scene, App, App) {
    let scene = Scene::published(purpose).await;
    let (first, second) = (scene.app().start().await.unwrap(), scene.app().start().await.unwrap());
    scene.wait_for_fleet(2).await;
    (scene, first, second)
}

#[tokio::test]
async fn a_revision_that_a_process_refuses_beforehand_is_not_published_and_runs_nowhere() {
    let (mut scene, first, second) = two("rehearsal").await;
    let before = scene.marker().await.unwrap();
    let commit = commit_a_fraction(&scene);
    scene.push().await;
    let status = wait_for_ready(&scene, "False/RefusedInRehearsal").await;
    assert_eq!(condition(&status, "LintPassed"), "True/Passed");
    assert_eq!(condition(&status, "Published"), "True/Published");
    assert_eq!(condition(&status, "Converged"), "True/Converged");
    let held = status.held.unwrap();
    assert!(held.revision.ends_with(&commit), "{held:?}");
    assert_eq!(held.processes[0].reason.as_deref(), Some("check_failed"), "{held:?}");

    // An operator that starts anew publishes it as little.
    let marker = scene.marker().await.unwrap();
    assert_eq!(published(&marker), published(&before));
    let markers = scene.markers().await;
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    let listened = |workspace: &RototoWorkspace| {
        let status = workspace.status.as_ref();
        status.is_some_and(|status| condition(status, "Converged") == "True/Converged")
    };
    scene.namespace.wait_for_workspace(WORKSPACE, "the recount to be over", listened).await.unwrap();
    wait_for_ready(&scene, "False/RefusedInRehearsal").await;
    assert_eq!(scene.markers().await, markers);
    for app in [&first, &second] {
        let state = app.state().unwrap();
        assert_eq!((state["state"].as_str(), state["fingerprint"].as_str()), (Some("applied"), published(&before)));
    }

    // The correction is published, and nothing else ever was.
    scene.repository.edit(POLICY, "max_concurrency = 10.5", "max_concurrency = 11").unwrap();
    let status = scene.push().await;
    assert!(status.history.iter().all(|entry| entry.fingerprint != held.fingerprint), "{:?}", status.history);
    let status = scene.wait_for_fleet(2).await;
    assert_eq!((status.held, status.history.len()), (None, 2));
}

fn published(marker: &Marker) -> Option<&str> {
    match marker {
        Marker::Published { fingerprint, .. } => Some(fingerprint),
        Marker::Removed { .. } => None,
    }
}

#[tokio::test]
async fn a_person_publishes_what_a_process_refuses() {
    let (scene, first, second) = two("anyway").await;
    let commit = commit_a_fraction(&scene);
    scene.push().await;
    let held = wait_for_ready(&scene, "False/RefusedInRehearsal").await.held.unwrap();
    assert!(held.release.ends_with(&format!("{ANNOTATION_PUBLISH_ANYWAY}={commit}")), "{}", held.release);
    let next = announced(&scene).await;
    let release: Vec<&str> = held.release.split(' ').skip(1).collect();
    scene.namespace.cluster().kubectl(&release).unwrap();
    let status = wait_for_ready(&scene, "False/ProcessesRefuse").await;
    let published = status.published.unwrap();
    assert_eq!((published.fingerprint, published.updated_at), (next.fingerprint, next.updated_at));
    assert_eq!((status.history[0].anyway, status.history[1].anyway), (true, false));
    drop((first, second));
}

#[tokio::test]
async fn a_process_that_hangs_delays_a_publish_for_a_moment_only() {
    let (scene, first, second) = two("hangs").await;
    second.process().unwrap().freeze().unwrap();
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    wait_for_revision(&scene, &commit).await;
    first.wait_for_state("on the new revision", |state| state["updated_at"] != "null").unwrap();
    second.process().unwrap().thaw().unwrap();
    scene.wait_for_fleet(2).await;
}

#[tokio::test]
async fn a_required_rehearsal_waits_for_everybody_and_names_who_is_missing() {
    let (scene, first, second) = two("require").await;
    let off = scene.app().environment("ROTOTO_PREPARE", "off").start().await.unwrap();
    scene.wait_for_fleet(3).await;
    let spec = rollout(&scene, &json!({ "mode": "Require", "within": "100ms" }));
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 13").unwrap();
    scene.push().await;
    let held = wait_for_ready(&scene, "False/RehearsalIncomplete").await.held.unwrap();
    let missing: Vec<_> = held.processes.iter().map(|one| (one.name.as_str(), one.state.as_str())).collect();
    assert_eq!(missing, [(off.pod().name(), "unable")]);
    let spec = rollout(&scene, &json!({ "mode": "Require", "within": "100ms", "minPrepared": "66%" }));
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    wait_for_revision(&scene, &commit).await;
    scene.wait_for_fleet(3).await;
    drop((first, second));
}

#[tokio::test]
async fn an_announcement_survives_the_operator_and_is_published_under_its_name() {
    let (mut scene, first, second) = two("survives").await;
    let spec = rollout(&scene, &json!({ "mode": "BestEffort", "within": "1h" }));
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    second.process().unwrap().freeze().unwrap();
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 14").unwrap();
    scene.repository.push().unwrap();
    scene.ask().await;
    let next = announced(&scene).await;
    scene.operator.kill().unwrap();
    second.process().unwrap().thaw().unwrap();
    scene.operator.start_again().unwrap();
    let published = wait_for_revision(&scene, &commit).await.published.unwrap();
    assert_eq!((published.fingerprint, published.updated_at), (next.fingerprint, next.updated_at));
    scene.wait_for_fleet(2).await;
    drop(first);
}

#[tokio::test]
async fn without_a_rehearsal_a_revision_is_published_at_once() {
    let (scene, first, second) = two("off").await;
    let spec = rollout(&scene, &json!({ "mode": "Off" }));
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    commit_a_fraction(&scene);
    scene.push().await;
    let status = wait_for_ready(&scene, "False/ProcessesRefuse").await;
    assert_eq!(status.held, None);
    drop((first, second));
}
