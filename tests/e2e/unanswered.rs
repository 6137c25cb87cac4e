//! A request that is never answered delays nothing except itself, and does not keep the operator from ending.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use rototo_api::marker::Marker;
use rototo_api::names::ANNOTATION_RECONCILE;
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{
    ControlPlane, Gate, GitRepo, Namespace, Observation, Operator, PATIENCE, Silent, until, until_async,
};
use serde_json::json;
use tokio::time::sleep;

use crate::scene::{Scene, TRIAL, WORKSPACE, example};

/// The time within which a change is published, whatever happened to a request before it.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(30);
/// The time within which the operator ends after SIGTERM.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Returns a gate, and a scene whose operator is ready and reaches the API server through the gate.
async fn behind_a_gate(purpose: &str) -> (Gate, Scene) {
    let cluster = ControlPlane::shared().unwrap();
    let namespace = Namespace::create(cluster, purpose).await.unwrap();
    let gate = Gate::before(cluster).unwrap();
    let repository = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
    let mut operator = Operator::start_behind(&namespace, &gate, &[]).unwrap();
    operator.wait_until_ready().unwrap();
    (gate, Scene { namespace, repository, operator })
}

fn until_held(gate: &Gate, count: usize) {
    let what = format!("{count} requests to be held");
    until(what, PATIENCE, || {
        Ok(if gate.held() >= count { Observation::Done(()) } else { Observation::NotYet(gate.held().to_string()) })
    })
    .unwrap();
}

/// Pushes a change of a workspace, requests a reconcile, and waits until its marker has changed.
async fn publish(namespace: &Namespace, name: &str, repository: &GitRepo, from: &str, to: &str) {
    let before: Option<Marker> = namespace.marker(name).await.unwrap();
    repository.edit(TRIAL, from, to).unwrap();
    repository.push().unwrap();
    let request = format!("{:016x}", fastrand::u64(..));
    let patch = json!({ "metadata": { "annotations": { ANNOTATION_RECONCILE: request } } });
    let workspaces = namespace.api::<RototoWorkspace>();
    workspaces.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    until_async(format!("{name} to be published with {to}"), PUBLISHED_WITHIN, async || {
        let now = namespace.marker(name).await?;
        Ok(if now == before { Observation::NotYet(format!("{now:?}")) } else { Observation::Done(()) })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_status_write_without_an_answer_does_not_delay_a_publish() {
    let (gate, scene) = behind_a_gate("unanswered").await;
    let Scene { namespace, repository, .. } = &scene;
    scene.apply().await;
    let other = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
    let spec = json!({ "source": other.url(), "interval": "1h" });
    namespace.apply_workspace("other", spec).await.unwrap();
    for name in [WORKSPACE, "other"] {
        namespace.wait_for_condition(name, "Published", "True").await.unwrap();
    }

    let status = format!("/rototoworkspaces/{WORKSPACE}/status");
    gate.hold(move |method, path| method == Method::PATCH && path.contains(&status));
    publish(namespace, WORKSPACE, repository, "[0, 1000]", "[0, 6000]").await;
    until_held(&gate, 1);
    publish(namespace, "other", &other, "[0, 1000]", "[0, 6000]").await;
    publish(namespace, WORKSPACE, repository, "[0, 6000]", "[0, 7000]").await;

    gate.open();
    scene.poll().await;
}

/// Workspaces of one namespace, which share a marker map.
const TOGETHER: [&str; 3] = ["first", "second", "third"];

/// Pushes a change, and waits until each workspace knows of it and says that its marker is not written.
async fn until_unwritten(scene: &Scene, from: &str, to: &str) {
    scene.repository.edit(TRIAL, from, to).unwrap();
    scene.repository.push().unwrap();
    let (head, workspaces) = (scene.repository.head().unwrap(), scene.namespace.api::<RototoWorkspace>());
    for name in TOGETHER {
        let patch = json!({ "metadata": { "annotations": { ANNOTATION_RECONCILE: head } } });
        workspaces.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    let says_so = |workspace: &RototoWorkspace| {
        let Some(status) = &workspace.status else { return false };
        let newest = status.source.as_ref().and_then(|source| source.revision.as_ref());
        let published = status.condition("Published");
        newest.is_some_and(|newest| newest.ends_with(&head))
            && published.is_some_and(|published| published.message.contains("the API server did not answer within"))
    };
    for name in TOGETHER {
        scene.namespace.wait_for_workspace(name, "without an answer to its write", says_so).await.unwrap();
    }
    assert_eq!(scene.operator.metric("rototo_reconciles_given_up_total", &[]).unwrap(), 0.0);
}

#[tokio::test]
async fn writes_of_markers_without_an_answer_freeze_no_workspace_of_the_namespace() {
    let (gate, mut scene) = behind_a_gate("no-writes").await;
    for name in TOGETHER {
        let spec = json!({ "source": scene.repository.url(), "interval": "1h" });
        scene.namespace.apply_workspace(name, spec).await.unwrap();
        scene.namespace.wait_for_condition(name, "Published", "True").await.unwrap();
    }
    // The map can be read all the time.
    gate.hold(|method, path| method == Method::PATCH && path.contains("/configmaps/rototo-markers"));
    until_unwritten(&scene, "[0, 1000]", "[0, 6000]").await;
    // A process that starts can't take the map over.
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    until_unwritten(&scene, "[0, 6000]", "[0, 7000]").await;

    gate.open();
    for name in TOGETHER {
        scene.namespace.wait_for_condition(name, "Published", "True").await.unwrap();
    }
}

/// The time by which the review of a grant is delayed.
const REVIEW: Duration = Duration::from_secs(3);

#[tokio::test]
async fn the_time_of_a_review_does_not_count_as_time_to_apply() {
    let (gate, scene) = behind_a_gate("slow-review").await;
    scene.namespace.grant("app", &[WORKSPACE]).unwrap();
    let app = scene.app().start().await.unwrap();
    // The first review is that of the request for the content.
    let reviews = AtomicUsize::new(0);
    gate.hold(move |_, path| path.contains("/subjectaccessreviews") && reviews.fetch_add(1, Ordering::Relaxed) > 0);
    let began = Instant::now();
    scene.apply().await;
    until_held(&gate, 1);
    // The process has applied the content by now.
    let applied_within = began.elapsed();
    sleep(REVIEW).await;
    gate.release();
    let has_figure = |workspace: &RototoWorkspace| {
        let history = workspace.status.as_ref().map(|status| status.history.as_slice()).unwrap_or_default();
        history.first().is_some_and(|entry| entry.converged_millis.is_some())
    };
    let workspace = scene.namespace.wait_for_workspace(WORKSPACE, "converged", has_figure).await.unwrap();
    let millis = workspace.status.unwrap().history[0].converged_millis.unwrap();
    assert!(u128::from(millis) <= applied_within.as_millis() + 1, "{millis} ms, {applied_within:?}");
    drop(app);
}

#[tokio::test]
async fn a_successor_whose_watch_is_behind_removes_no_marker() {
    let cluster = ControlPlane::shared().unwrap();
    let mut scene = Scene::with_flags(cluster, "behind", &["--identity=first", "--lease-seconds=3"]).await;
    let gate = Gate::before(cluster).unwrap();
    // Its list shows no workspace, and its watch never starts.
    gate.hold(|_, path| path.contains("/rototoworkspaces?") && path.contains("watch=true"));
    let flags = ["--identity=second", "--lease-seconds=3"];
    let successor = Operator::start_behind(&scene.namespace, &gate, &flags).unwrap();
    until_held(&gate, 1);
    scene.apply().await;
    scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
    let marker = scene.marker().await;

    scene.operator.kill().unwrap();
    scene.operator = successor;
    until_async("the successor to find a workspace that it does not see", PATIENCE, async || {
        let marker_now = scene.marker().await;
        anyhow::ensure!(marker_now == marker, "the marker is {marker_now:?}");
        let log = scene.operator.process()?.log();
        let found = log.contains("a workspace exists that the watch does not show");
        Ok(if found { Observation::Done(()) } else { Observation::NotYet(scene.operator.process()?.last_words()) })
    })
    .await
    .unwrap();

    gate.open();
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    // It may wait for the copy of the operator that has ended, and publishes a second later.
    let published = |workspace: &RototoWorkspace| workspace.status.as_ref().is_some_and(|now| now.history.len() == 2);
    scene.namespace.wait_for_workspace(WORKSPACE, "published anew", published).await.unwrap();
}

#[tokio::test]
async fn a_list_that_hangs_is_started_again() {
    let (gate, mut scene) = behind_a_gate("hanging-list").await;
    scene.operator.kill().unwrap();
    gate.hold(|method, path| method == Method::GET && path.contains("/configmaps?"));
    scene.operator.start_again().unwrap();
    until_held(&gate, 1);
    gate.open();
    scene.operator.wait_until_ready().unwrap();
}

#[tokio::test]
async fn an_operator_ends_while_its_first_lists_hang() {
    let (gate, mut scene) = behind_a_gate("no-lists").await;
    scene.operator.kill().unwrap();
    gate.hold(|method, path| method == Method::GET && path.contains("limit="));
    scene.operator.start_again().unwrap();
    // These are the lists of the maps and of the pods; the list of workspaces waits for both.
    until_held(&gate, 2);
    scene.operator.terminate_within(ENDS_WITHIN).unwrap();
}

#[tokio::test]
async fn an_operator_ends_while_the_api_server_answers_nothing() {
    let silent = Silent::listen().unwrap();
    let mut operator = Operator::start_against(silent.url()).unwrap();
    until("a connection to the API server", PATIENCE, || {
        Ok(if silent.accepted() > 0 { Observation::Done(()) } else { Observation::NotYet("none".to_owned()) })
    })
    .unwrap();
    // The operator is not ready, but it is alive.
    assert_eq!(operator.probe("/readyz").unwrap().status, 503);
    assert_eq!(operator.probe("/healthz").unwrap().status, 200);
    operator.terminate_within(ENDS_WITHIN).unwrap();
}

#[tokio::test]
async fn an_operator_ends_while_a_status_is_not_written() {
    let (gate, mut scene) = behind_a_gate("no-status").await;
    gate.hold(|method, path| method == Method::PATCH && path.contains("/status"));
    scene.apply().await;
    until_held(&gate, 1);
    scene.operator.terminate_within(ENDS_WITHIN).unwrap();
    let lease = scene.namespace.api::<Lease>().get("rototo-operator").await.unwrap();
    assert_eq!(lease.spec.unwrap().holder_identity, None);
}

#[tokio::test]
async fn an_operator_that_leads_ends_at_once_and_releases_the_lease() {
    let mut scene = Scene::published("ends").await;
    let _app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    scene.operator.terminate_within(ENDS_WITHIN).unwrap();
    let lease = scene.namespace.api::<Lease>().get("rototo-operator").await.unwrap();
    assert_eq!(lease.spec.unwrap().holder_identity, None);
}
