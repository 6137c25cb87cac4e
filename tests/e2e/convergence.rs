//! The operator claims convergence from evidence, and a claim has a date.

use std::process::{Command, Output};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use rototo_api::marker::Marker;
use rototo_api::names::{GROUP, MARKERS, PLURAL};
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{App, Observation, PATIENCE, until_async};
use serde_json::{Value, json};

use crate::markers::without_policy;
use crate::scene::{Scene, TRIAL, WORKSPACE, condition, ends};

/// Returns the command `rototo wait` for this content, as an administrator.
fn wait_for(scene: &Scene, fingerprint: &str, timeout: &str) -> Command {
    scene.rototo(&["wait", WORKSPACE, "--fingerprint", fingerprint, "--timeout", timeout, "--json"])
}

/// Returns the report of a command that ended with this exit code.
fn report(output: &Output, code: i32) -> Value {
    ends(output, code);
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn converged(purpose: &str) -> (Scene, App, String) {
    let scene = Scene::published(purpose).await;
    let app = scene.app().start().await.unwrap();
    let status = scene.wait_for_fleet(1).await;
    (scene, app, status.published.unwrap().fingerprint)
}

async fn wait_for_converged(scene: &Scene, expected: &'static str) -> RototoWorkspace {
    let says = move |workspace: &RototoWorkspace| {
        workspace.status.as_ref().is_some_and(|status| condition(status, "Converged") == expected)
    };
    scene.namespace.wait_for_workspace(WORKSPACE, expected, says).await.unwrap()
}

#[tokio::test]
async fn wait_does_not_accept_the_claim_of_an_operator_that_died() {
    let (mut scene, app, fingerprint) = converged("dead-claim").await;
    ends(&wait_for(&scene, &fingerprint, "30s").output().unwrap(), 0);
    scene.operator.kill().unwrap();
    let status = scene.namespace.workspace(WORKSPACE).await.unwrap().status.unwrap();
    assert_eq!(condition(&status, "Converged"), "True/Converged");
    let report = report(&wait_for(&scene, &fingerprint, "5s").output().unwrap(), 5);
    assert_eq!(report["outcome"], "unconfirmed", "{report:#}");
    scene.operator.start_again().unwrap();
    ends(&wait_for(&scene, &fingerprint, "60s").output().unwrap(), 0);
    drop(app);
}

#[tokio::test]
async fn a_user_who_may_get_the_workspace_may_ask_the_operator_itself() {
    let (scene, app, fingerprint) = converged("ask-operator").await;
    let token = app.pod().rototo_token_file();
    let ask = || wait_for(&scene, &fingerprint, "30s").env("ROTOTO_TOKEN_FILE", &token).output().unwrap();
    // Without the grant the operator refuses, and the command reads the status instead.
    assert_eq!(report(&ask(), 0)["confirmed_by"], "status");
    let rule = json!({ "apiGroups": [GROUP], "resources": [PLURAL], "resourceNames": [WORKSPACE], "verbs": ["get"] });
    scene.namespace.grant_rules("ask", "app", &json!([rule])).unwrap();
    assert_eq!(report(&ask(), 0)["confirmed_by"], "operator");
}

#[tokio::test]
async fn a_workspace_that_nobody_follows_is_ready_and_has_not_converged() {
    let scene = Scene::published("nobody").await;
    let workspace = wait_for_converged(&scene, "Unknown/NoProcesses").await;
    assert_eq!(condition(&workspace.status.unwrap(), "Ready"), "True/Published");
}

#[tokio::test]
async fn a_restarted_operator_listens_before_it_claims() {
    let (mut scene, app, _) = converged("listens").await;
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    let workspace = wait_for_converged(&scene, "Unknown/Recounting").await;
    assert!(condition(&workspace.status.unwrap(), "Ready").starts_with("True/"));
    scene.wait_for_fleet(1).await;
    drop(app);
}

#[tokio::test]
async fn a_pod_that_was_removed_by_force_is_not_known_to_have_ended() {
    let (scene, mut app, _) = converged("by-force").await;
    let other = scene.app().start().await.unwrap();
    scene.wait_for_fleet(2).await;
    app.kill().unwrap();
    app.pod().vanish().await.unwrap();
    let workspace = wait_for_converged(&scene, "Unknown/Unprovable").await;
    assert_eq!(condition(&workspace.status.unwrap(), "Ready"), "True/Published");
    drop(other);
}

#[tokio::test]
async fn a_pod_that_its_kubelet_has_ended_is_not_waited_for() {
    let (scene, mut app, _) = converged("by-kubelet").await;
    let _other = scene.app().start().await.unwrap();
    scene.wait_for_fleet(2).await;
    app.kill().unwrap();
    app.pod().delete().await.unwrap();
    scene.wait_for_fleet(1).await;
}

#[tokio::test]
async fn a_process_that_hangs_turns_the_claim_back_and_delays_the_next_publish() {
    let (scene, app, _) = converged("hangs").await;
    app.process().unwrap().freeze().unwrap();
    wait_for_converged(&scene, "Unknown/Silent").await;
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    let workspace = wait_for_converged(&scene, "False/DeadlineExceeded").await;
    let behind = workspace.status.unwrap().fleet.unwrap().behind;
    assert_eq!((behind[0].name.as_str(), behind[0].state.as_str()), (app.pod().name(), "silent"));
    app.process().unwrap().thaw().unwrap();
    scene.wait_for_fleet(1).await;
}

#[tokio::test]
async fn a_status_that_somebody_else_wrote_is_written_again() {
    let (scene, app, _) = converged("forged").await;
    app.process().unwrap().freeze().unwrap();
    let workspace = wait_for_converged(&scene, "Unknown/Silent").await;
    let mut status = serde_json::to_value(workspace.status.unwrap()).unwrap();
    for condition in status["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Converged" {
            condition["status"] = json!("True");
            condition["reason"] = json!("Forged");
        }
    }
    let workspaces = scene.namespace.api::<RototoWorkspace>();
    let patch = Patch::Merge(json!({ "status": status }));
    workspaces.patch_status(WORKSPACE, &PatchParams::default(), &patch).await.unwrap();
    wait_for_converged(&scene, "Unknown/Silent").await;
    app.process().unwrap().thaw().unwrap();
    scene.wait_for_fleet(1).await;
}

#[tokio::test]
async fn a_status_that_cannot_be_read_is_written_again_and_its_workspace_is_served() {
    let (mut scene, app, fingerprint) = converged("unreadable").await;
    scene.operator.kill().unwrap();
    let workspaces = scene.namespace.api::<RototoWorkspace>();
    let status = json!({ "published": { "updatedAt": "yesterday" }, "fleet": { "processes": 5_000_000_000_u64 } });
    let patch = Patch::Merge(json!({ "status": status }));
    let patched = workspaces.patch_status(WORKSPACE, &PatchParams::default(), &patch).await.unwrap();
    let status = patched.status.unwrap();
    assert!(status.published.is_none() && status.fleet.is_none() && status.history.len() == 1);
    ends(&scene.rototo(&["status"]).output().unwrap(), 0);
    scene.operator.start_again().unwrap();
    let status = scene.wait_for_fleet(1).await;
    assert_eq!(status.published.unwrap().fingerprint, fingerprint);
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    assert_eq!(scene.wait_for_fleet(1).await.history.len(), 2);
    drop(app);
}

#[tokio::test]
async fn a_publish_whose_snapshot_was_lost_is_not_shown_as_published() {
    let (mut scene, app, _) = converged("lost-snapshot").await;
    scene.operator.kill().unwrap();
    scene.operator.forget_everything().unwrap();
    scene.repository.take_away().unwrap();
    scene.operator.start_again().unwrap();
    let workspace = scene.namespace.wait_for_condition(WORKSPACE, "Published", "False").await.unwrap();
    assert_eq!(condition(&workspace.status.unwrap(), "Published"), "False/SnapshotLost");
    scene.repository.bring_back().unwrap();
    scene.ask().await;
    scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
    drop(app);
}

#[tokio::test]
async fn no_process_stays_on_a_marker_edit_that_was_undone() {
    let (scene, app, _) = converged("undone").await;
    without_policy(&scene.namespace).await;
    let original = scene.marker().await.unwrap();
    let later = "2099-01-01T00:00:00.000000Z".parse().unwrap();
    let (Marker::Published { fingerprint, .. }, published) = (&original, original.to_json()) else {
        panic!("{original:?}")
    };
    let forged = Marker::Published { fingerprint: fingerprint.clone(), updated_at: later, next: None, held: None };
    let maps = scene.namespace.api::<ConfigMap>();
    for text in [forged.to_json(), published] {
        let edit = Patch::Merge(json!({ "data": { WORKSPACE: text } }));
        maps.patch(MARKERS, &PatchParams::default(), &edit).await.unwrap();
    }
    // The operator puts the marker back under a later name, unless the edit was undone before it noticed.
    all_agree(&scene, &app).await;
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let revision = json!(scene.push().await.source.unwrap().revision);
    app.wait_for_state("at the next commit", |state| state["revision"] == revision).unwrap();
    all_agree(&scene, &app).await;
}

/// Waits until the marker, the status, and the process name one publish.
async fn all_agree(scene: &Scene, app: &App) {
    let observe = async || {
        let status = scene.namespace.workspace(WORKSPACE).await?.status.unwrap_or_default();
        let status = json!(status.published.map(|published| published.updated_at));
        let marker = json!(scene.marker().await.unwrap().updated_at());
        let process = app.state()?["updated_at"].take();
        let agree = marker == status && marker == process;
        Ok(if agree { Observation::Done(()) } else { Observation::NotYet(format!("{marker} {status} {process}")) })
    };
    until_async("marker, status, and process to name one publish", PATIENCE, observe).await.unwrap();
}
