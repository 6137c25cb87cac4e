//! A revision reaches the fleet by steps, and a part of the fleet that does not get on with it rolls it back for all.

use std::process::Command;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use rototo_api::UpdatedAt;
use rototo_api::marker::{Marker, NextPublish};
use rototo_api::names::MARKERS;
use rototo_api::rollout::{RequestState, RolloutStatus};
use rototo_api::workspace::{RototoWorkspace, RototoWorkspaceStatus};
use rototo_tests::harness::{App, AppSettings, Observation, PATIENCE, until_async};
use serde_json::{Value, json};

use crate::markers::without_policy;
use crate::scene::{POLICY, Scene, WORKSPACE, condition, ends};

/// A workspace whose new revisions reach the fleet by these steps, with three services that run the first.
async fn three(purpose: &str, steps: Value) -> (Scene, Vec<App>) {
    three_with(purpose, json!({ "steps": steps })).await
}

/// A workspace with this `spec.rollout`, and three services that run the first revision.
pub(crate) async fn three_with(purpose: &str, rollout: Value) -> (Scene, Vec<App>) {
    three_of(purpose, rollout, |app| app).await
}

/// A workspace with this `spec.rollout`, and three services with these settings that run the first revision.
async fn three_of(purpose: &str, rollout: Value, settings: impl Fn(AppSettings) -> AppSettings) -> (Scene, Vec<App>) {
    let scene = Scene::published(purpose).await;
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(settings(scene.app()).start().await.unwrap());
    }
    scene.wait_for_fleet(3).await;
    let spec = json!({ "source": scene.repository.url(), "interval": "1h", "rollout": rollout });
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    scene.poll().await;
    (scene, apps)
}

pub(crate) async fn wait(
    scene: &Scene,
    what: &str,
    holds: impl Fn(&RototoWorkspaceStatus) -> bool,
) -> RototoWorkspaceStatus {
    let holds = |workspace: &RototoWorkspace| workspace.status.as_ref().is_some_and(&holds);
    scene.namespace.wait_for_workspace(WORKSPACE, what, holds).await.unwrap().status.unwrap()
}

/// Waits until the rollout is at this step, and both sides run what they should.
pub(crate) async fn at_step(scene: &Scene, step: u32, next: &str, stable: &str) -> RolloutStatus {
    let what = format!("at step {step}: {next} and {stable}");
    let there = |rollout: &RolloutStatus| rollout.step == step && rollout.next == next && rollout.stable == stable;
    let status = wait(scene, &what, |status| status.rollout.as_ref().is_some_and(there)).await;
    assert_eq!(condition(&status, "Converged"), "False/RollingOut");
    assert_eq!(condition(&status, "Ready"), "False/RollingOut");
    assert_eq!(condition(&status, "Published"), "True/Published");
    status.rollout.unwrap()
}

/// Runs a command that the status names.
fn run(scene: &Scene, command: &str) {
    let words: Vec<&str> = command.split('\'').collect();
    let mut arguments: Vec<&str> = words[0].split_whitespace().collect();
    assert_eq!(arguments.remove(0), "kubectl");
    let annotation = arguments.pop().unwrap().to_owned() + words.get(1).unwrap_or(&"");
    arguments.push(&annotation);
    scene.namespace.cluster().kubectl(&arguments).unwrap();
}

/// Steers the rollout with the command of that name.
fn steer(scene: &Scene, command: &str) {
    ends(&scene.rototo(&[command, WORKSPACE]).output().unwrap(), 0);
}

/// Returns the services that run this content, and the others.
pub(crate) fn by_content(apps: &[App], fingerprint: &str) -> (Vec<usize>, Vec<usize>) {
    let runs = |app: &App| app.state().unwrap()["fingerprint"] == fingerprint;
    (0..apps.len()).partition(|index| runs(&apps[*index]))
}

pub(crate) async fn fingerprint_before(scene: &Scene) -> String {
    scene.namespace.workspace(WORKSPACE).await.unwrap().status.unwrap().published.unwrap().fingerprint
}

#[tokio::test]
async fn a_revision_goes_through_its_steps_to_the_whole_fleet() {
    let steps = json!([{ "pods": 1 }, { "pause": {} }, { "setWeight": 100 }, { "pause": { "duration": "1s" } }]);
    let (mut scene, apps) = three("steps", steps).await;
    let before = fingerprint_before(&scene).await;
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    let rollout = at_step(&scene, 1, "1/1", "2/2").await;
    assert!(rollout.revision.ends_with(&commit), "{rollout:?}");
    let (stable, staged) = by_content(&apps, &before);
    assert_eq!((stable.len(), staged.len()), (2, 1));

    // An operator that starts anew continues where the marker stands, and so does a process.
    let markers = scene.markers().await;
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    assert_eq!((scene.markers().await, by_content(&apps, &before)), (markers, (stable, staged)));

    run(&scene, &rollout.promote);
    let status = scene.wait_for_fleet(3).await;
    let published = status.published.unwrap();
    assert!(published.revision.unwrap().ends_with(&commit));
    assert_eq!((status.rollout, status.history.len()), (None, 2));
    assert_eq!(by_content(&apps, &published.fingerprint).0.len(), 3);
}

#[tokio::test]
async fn a_rollout_that_a_person_takes_back_returns_everybody_and_is_tried_again_on_request() {
    let (mut scene, apps) = three("abort", json!([{ "pods": 1 }, { "pause": {} }])).await;
    let before = fingerprint_before(&scene).await;
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    steer(&scene, "abort");
    let held_back = |status: &RototoWorkspaceStatus| condition(status, "Ready") == "False/HeldBack";
    let status = wait(&scene, "held back", held_back).await;
    let message = &status.condition("Ready").unwrap().message;
    assert!(message.contains("was rolled back by a person (unverified)"), "{message}");
    let held = status.held.unwrap();
    assert!(held.revision.ends_with(&commit));
    wait(&scene, "converged", |status| condition(status, "Converged") == "True/Converged").await;
    assert_eq!(by_content(&apps, &before).0.len(), 3);

    // Neither a restart nor the lost status begins it again.
    let markers = scene.markers().await;
    scene.operator.kill().unwrap();
    let gone = json!([{ "op": "remove", "path": "/status" }]).to_string();
    let name = scene.namespace.name();
    let patch = ["patch", "rws", WORKSPACE, "-n", name, "--subresource=status", "--type=json", "-p", &gone];
    scene.namespace.cluster().kubectl(&patch).unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    wait(&scene, "held back", held_back).await;
    assert_eq!(scene.markers().await, markers);

    assert!(held.release.contains("retry"), "{}", held.release);
    steer(&scene, "retry");
    at_step(&scene, 1, "1/1", "2/2").await;
    steer(&scene, "promote");
    scene.wait_for_fleet(3).await;
    assert_eq!(by_content(&apps, &before).0.len(), 0);
}

#[tokio::test]
async fn a_container_of_the_stage_that_ends_takes_the_revision_back() {
    let (scene, apps) = three("restarted", json!([{ "pods": 1 }, { "pause": {} }])).await;
    let before = fingerprint_before(&scene).await;
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    let rollout = at_step(&scene, 1, "1/1", "2/2").await;
    let (_, staged) = by_content(&apps, &before);
    // The kubelet's times have whole seconds.
    let ended = rollout.since.0 + jiff::SignedDuration::from_secs(2);
    apps[staged[0]].pod().restarted(1, ended).await.unwrap();
    let held_back = |status: &RototoWorkspaceStatus| condition(status, "Ready") == "False/HeldBack";
    wait(&scene, "held back", held_back).await;
    apps[staged[0]].wait_for_state("back", |state| state["fingerprint"] == before.as_str()).unwrap();
}

#[tokio::test]
async fn an_application_of_the_stage_that_becomes_degraded_takes_the_revision_back() {
    let needs = |app: AppSettings| app.environment("MIN_CONCURRENCY", "50");
    let (mut scene, apps) = three_of("degraded", json!({ "steps": [{ "pods": 1 }, { "pause": {} }] }), needs).await;
    let before = fingerprint_before(&scene).await;
    let normal = "resources/service-degradation-policy-objects/normal.toml";
    let commit = scene.repository.edit(normal, "max_concurrency = 100", "max_concurrency = 4").unwrap();
    scene.push().await;
    let held_back = |status: &RototoWorkspaceStatus| condition(status, "Ready") == "False/HeldBack";
    let held = wait(&scene, "held back", held_back).await.held.unwrap();
    assert!(held.revision.ends_with(&commit));
    let [named] = held.processes.as_slice() else { panic!("{held:?}") };
    assert_eq!((named.state.as_str(), named.reason.as_deref()), ("degraded", Some("concurrency_too_low")));
    assert!(apps.iter().any(|app| app.pod().name() == named.name));
    wait(&scene, "converged", |status| condition(status, "Converged") == "True/Converged").await;
    assert_eq!(by_content(&apps, &before).0.len(), 3);
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    assert_eq!(wait(&scene, "held back", held_back).await.held.unwrap().processes, held.processes);

    // A correction begins its own rollout, and passes this gate.
    scene.repository.edit(normal, "max_concurrency = 4", "max_concurrency = 60").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
}

#[tokio::test]
async fn a_newer_commit_supersedes_a_rollout() {
    let (scene, apps) = three("superseded", json!([{ "pods": 1 }, { "pause": {} }])).await;
    let before = fingerprint_before(&scene).await;
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    // A revert is a newer commit too, with what is published.
    scene.repository.revert("HEAD").unwrap();
    scene.push().await;
    wait(&scene, "converged", |status| condition(status, "Converged") == "True/Converged").await;
    assert_eq!(by_content(&apps, &before).0.len(), 3);
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 13").unwrap();
    scene.push().await;
    let rollout = at_step(&scene, 1, "1/1", "2/2").await;
    assert!(rollout.revision.ends_with(&commit), "{rollout:?}");
}

#[tokio::test]
async fn a_newer_commit_waits_for_the_end_of_a_rollout_also_behind_a_restarted_operator() {
    let queue = json!({ "steps": [{ "pods": 1 }, { "pause": {} }], "onNewCommit": "Queue" });
    let (mut scene, apps) = three_with("queued", queue).await;
    let first = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    let second = scene.repository.edit(POLICY, "max_concurrency = 12", "max_concurrency = 13").unwrap();
    scene.push().await;
    let waits = |status: &RototoWorkspaceStatus| {
        let rollout = status.rollout.as_ref();
        rollout.is_some_and(|rollout| {
            let queued = rollout.queued.as_ref().is_some_and(|queued| queued.ends_with(&second));
            queued && rollout.revision.ends_with(&first)
        })
    };
    wait(&scene, "queued", waits).await;
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    wait(&scene, "queued behind another operator", waits).await;

    steer(&scene, "promote");
    let begins = |status: &RototoWorkspaceStatus| {
        status.rollout.as_ref().is_some_and(|rollout| rollout.revision.ends_with(&second) && rollout.step == 1)
    };
    let published = wait(&scene, "the second rollout", begins).await.published.unwrap();
    assert!(published.revision.unwrap().ends_with(&first));
    steer(&scene, "promote");
    let published = scene.wait_for_fleet(3).await.published.unwrap();
    assert!(published.revision.unwrap().ends_with(&second));
    assert_eq!(by_content(&apps, &published.fingerprint).0.len(), 3);
}

/// Returns what the marker publishes and announces.
async fn named(scene: &Scene) -> (String, Option<NextPublish>) {
    match scene.marker().await {
        Some(Marker::Published { fingerprint, next, .. }) => (fingerprint, next),
        other => panic!("{other:?}"),
    }
}

/// Waits until the marker has a later name than this.
async fn put_back_after(scene: &Scene, earlier: UpdatedAt) {
    until_async("the marker to be put back", PATIENCE, async || {
        Ok(match scene.namespace.marker(WORKSPACE).await {
            Ok(Some(marker)) if marker.updated_at() > earlier => Observation::Done(()),
            other => Observation::NotYet(format!("{other:?}")),
        })
    })
    .await
    .unwrap();
}

/// Waits until the marker announces nothing.
async fn withdrawn(scene: &Scene) {
    until_async("nothing to be announced", PATIENCE, async || {
        Ok(match named(scene).await.1 {
            None => Observation::Done(()),
            Some(next) => Observation::NotYet(format!("{next:?}")),
        })
    })
    .await
    .unwrap();
}

/// A key pair of this name, of which the public part is the text.
fn signer(folder: &std::path::Path, name: &str) -> (std::path::PathBuf, String) {
    let key = folder.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    (key, public)
}

fn trust(scene: &Scene, name: &str, public: &str) {
    let metadata = json!({ "name": "rototo-signers" });
    let (file, mut keys) = (format!("{name}.sshpub"), json!({}));
    keys[file] = json!(public);
    // What a Secret has no more is gone.
    let _ = scene.namespace.cluster().kubectl(&["-n", scene.namespace.name(), "delete", "secret", "rototo-signers"]);
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": keys });
    scene.namespace.apply(&secret.to_string()).unwrap();
}

fn signed(scene: &Scene, rollout: &Value) -> Value {
    let verify = json!({ "secretRef": { "name": "rototo-signers" } });
    json!({ "source": scene.repository.url(), "interval": "1h", "rollout": rollout, "verify": verify })
}

#[tokio::test]
async fn a_rollout_goes_no_further_once_the_spec_accepts_its_commit_no_more() {
    let rollout =
        json!({ "steps": [{ "pods": 1 }, { "pause": { "duration": "2s" } }, { "pods": 2 }, { "pause": {} }] });
    let pause = json!({ "steps": [{ "pods": 1 }, { "pause": {} }] });
    let (scene, apps) = three_with("unaccepted", pause.clone()).await;
    let before = fingerprint_before(&scene).await;
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    let keys = tempfile::tempdir().unwrap();
    let (alice, public) = signer(keys.path(), "alice");
    trust(&scene, "alice", &public);

    // The spec asks for a signature, which the commit lacks, and the pause is over at the same time.
    scene.namespace.apply_workspace(WORKSPACE, signed(&scene, &rollout)).await.unwrap();
    withdrawn(&scene).await;
    wait(&scene, "refused", |status| condition(status, "SourceReady") == "False/SignatureInvalid").await;
    assert_eq!(named(&scene).await.0, before);
    for app in &apps {
        app.wait_for_state("back", |state| state["fingerprint"] == before.as_str()).unwrap();
    }

    // A signed commit begins its own rollout.
    scene.namespace.apply_workspace(WORKSPACE, signed(&scene, &pause)).await.unwrap();
    let signing_key = format!("user.signingkey={}", alice.display());
    let amend = ["-c", "gpg.format=ssh", "-c", &signing_key, "commit", "--quiet", "--amend", "--no-edit", "-S"];
    scene.repository.git(&amend).unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    // A newer commit without a signature counts for nothing.
    let there = named(&scene).await;
    scene.repository.edit(POLICY, "max_concurrency = 12", "max_concurrency = 13").unwrap();
    scene.repository.push().unwrap();
    scene.ask().await;
    wait(&scene, "a newer commit refused", |status| condition(status, "SourceReady") == "False/SignatureInvalid").await;
    steer(&scene, "promote");
    wait(&scene, "promoted all the same", |status| condition(status, "Converged") == "True/Converged").await;
    assert_eq!(Some(named(&scene).await.0), there.1.map(|next| next.fingerprint));

    // The next signed one ends as soon as its signer is trusted no more.
    let before = named(&scene).await.0;
    scene.repository.git(&amend).unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    let (_, bob) = signer(keys.path(), "bob");
    trust(&scene, "bob", &bob);
    scene.ask().await;
    withdrawn(&scene).await;
    assert_eq!(named(&scene).await.0, before);
}

#[tokio::test]
async fn a_rollout_stands_still_while_the_source_that_the_spec_names_was_not_read() {
    let rollout = json!({ "steps": [{ "pods": 1 }, { "pause": {} }, { "pods": 2 }, { "pause": {} }] });
    let (scene, _apps) = three_with("other-source", rollout).await;
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    let there = named(&scene).await;
    // Without steps it would be published to all.
    let elsewhere = json!({ "source": scene.repository.url_at("no-such-branch"), "interval": "1h" });
    scene.namespace.apply_workspace(WORKSPACE, elsewhere).await.unwrap();
    let read = |status: &RototoWorkspaceStatus| condition(status, "SourceReady").starts_with("False/");
    wait(&scene, "the source to fail", read).await;
    steer(&scene, "promote");
    let refused = |status: &RototoWorkspaceStatus| {
        status.request.as_ref().is_some_and(|request| request.state == RequestState::Refused)
    };
    wait(&scene, "the promotion to be refused", refused).await;
    assert_eq!(named(&scene).await, there);
    // Taking it back needs no source.
    steer(&scene, "abort");
    withdrawn(&scene).await;
    assert_eq!(named(&scene).await.0, there.0);
}

#[tokio::test]
async fn a_map_that_somebody_edits_or_deletes_ends_no_hold_and_brings_nothing_back() {
    let (mut scene, apps) = three("deleted-map-rollout", json!([{ "pods": 1 }, { "pause": {} }])).await;
    let before = fingerprint_before(&scene).await;
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    without_policy(&scene.namespace).await;
    steer(&scene, "hold");
    let in_force = |status: &RototoWorkspaceStatus| {
        status.request.as_ref().is_some_and(|request| request.state == RequestState::InForce)
    };
    wait(&scene, "held", in_force).await;
    let there = scene.marker().await.unwrap();
    let (next, staged) = (named(&scene).await.1, by_content(&apps, &before));
    let maps = scene.namespace.api::<ConfigMap>();
    maps.delete(MARKERS, &DeleteParams::default()).await.unwrap();
    put_back_after(&scene, there.updated_at()).await;
    assert_eq!(named(&scene).await.1, next);
    wait(&scene, "still held", in_force).await;

    // Somebody publishes it by hand, under a later name than the announced one.
    let (fingerprint, updated_at) = (next.as_ref().unwrap().fingerprint.clone(), "2099-01-01T00:00:00.000000Z");
    let updated_at = updated_at.parse().unwrap();
    let forged = Marker::Published { fingerprint, updated_at, next: None, held: None };
    let edit = Patch::Merge(json!({ "data": { WORKSPACE: forged.to_json() } }));
    maps.patch(MARKERS, &PatchParams::default(), &edit).await.unwrap();
    put_back_after(&scene, updated_at).await;
    assert_eq!(named(&scene).await, (before.clone(), next.clone()));
    wait(&scene, "held after the edit", in_force).await;
    at_step(&scene, 1, "1/1", "2/2").await;

    // The status remembers the stage while no operator runs.
    let is_named =
        |status: &RototoWorkspaceStatus| status.published.as_ref().is_some_and(|it| it.updated_at > updated_at);
    wait(&scene, "the status to name what was put back", is_named).await;
    let there = scene.marker().await.unwrap();
    scene.operator.kill().unwrap();
    scene.namespace.api::<ConfigMap>().delete(MARKERS, &DeleteParams::default()).await.unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    put_back_after(&scene, there.updated_at()).await;
    let whole = |next: &NextPublish| (next.updated_at, next.stage.map(|stage| (stage.step, stage.below)));
    assert_eq!(named(&scene).await.1.as_ref().map(whole), next.as_ref().map(whole));
    at_step(&scene, 1, "1/1", "2/2").await;
    wait(&scene, "held by another operator", in_force).await;
    assert_eq!(by_content(&apps, &before), staged);

    // What was taken back stays away also if nobody looks while the map is deleted.
    steer(&scene, "abort");
    let held_back = |status: &RototoWorkspaceStatus| condition(status, "Ready") == "False/HeldBack";
    let held = wait(&scene, "held back", held_back).await.held.unwrap();
    scene.operator.kill().unwrap();
    scene.namespace.api::<ConfigMap>().delete(MARKERS, &DeleteParams::default()).await.unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    let again = wait(&scene, "held back by another operator", held_back).await.held.unwrap();
    assert_eq!((again.fingerprint, again.release), (held.fingerprint, held.release));
    assert_eq!(named(&scene).await.1, None);
}

#[tokio::test]
async fn a_selector_that_becomes_invalid_ends_no_step() {
    let (scene, _apps) = three("selector", json!([{ "pods": 1 }, { "pause": {} }])).await;
    scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    let there = named(&scene).await;
    // A step of pods with nobody in it would be over at once.
    let invalid = json!({ "matchExpressions": [{ "key": "app", "operator": "Inn", "values": ["x"] }] });
    let rollout = json!({ "steps": [{ "pods": 1 }, { "pods": 1 }] });
    let spec = json!({
        "source": scene.repository.url(), "interval": "1h", "rollout": rollout, "fleet": { "selector": invalid },
    });
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    let unusable = |status: &RototoWorkspaceStatus| {
        let message = status.condition("Converged").map(|condition| condition.message.clone());
        status.observed_generation > Some(1) && message.is_some_and(|message| !message.is_empty())
    };
    wait(&scene, "the selector to be seen", unusable).await;
    scene.poll().await;
    assert_eq!(named(&scene).await, there);
}
