//! The `rototo` command reports the true state of a cluster, and its exit codes are reliable in pipelines.

use std::process::Child;

use serde_json::{Value, json};

use crate::rollout::{at_step, three_with};
use crate::scene::{POLICY, Scene, TRIAL, WORKSPACE, ends, rototo_as};

fn start(scene: &Scene, arguments: &[&str]) -> Child {
    scene.rototo(arguments).spawn().unwrap()
}

#[tokio::test]
async fn wait_ends_when_the_whole_fleet_runs_the_commit_that_was_pushed() {
    let scene = Scene::published("wait").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let commit = scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let waiting = start(&scene, &["wait", WORKSPACE, "--revision", &commit]);
    let published = scene.push().await.published.unwrap();
    let text = ends(&waiting.wait_with_output().unwrap(), 0);
    assert!(text.starts_with("converged: main@sha1:"), "{text}");
    assert_eq!(app.state().unwrap()["fingerprint"], published.fingerprint);

    // The same content, by its other names, has arrived already.
    let revision = format!("main@sha1:{commit}");
    for wanted in [&["--revision", &revision][..], &["--fingerprint", &published.fingerprint], &[]] {
        ends(&scene.rototo(&[&["wait", WORKSPACE], wanted].concat()).output().unwrap(), 0);
    }
}

#[tokio::test]
async fn wait_ends_for_a_commit_that_changes_nothing_once_it_was_verified() {
    let scene = Scene::published("wait-same").await;
    let _app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let version = scene.map_version().await;
    let commit = scene.repository.commit_outside("README.md", "not of the workspace").unwrap();
    let waiting = start(&scene, &["wait", WORKSPACE, "--revision", &commit]);
    scene.push().await;
    ends(&waiting.wait_with_output().unwrap(), 0);
    assert_eq!(scene.map_version().await, version);
}

#[tokio::test]
async fn wait_knows_a_commit_that_is_rolled_out_also_once_one_with_the_same_content_follows() {
    let (scene, _apps) = three_with("wait-followed", json!({ "steps": [{ "pods": 1 }, { "pause": {} }] })).await;
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.push().await;
    at_step(&scene, 1, "1/1", "2/2").await;
    scene.repository.commit_outside("README.md", "not of the workspace").unwrap();
    scene.push().await;
    let wait = ["wait", WORKSPACE, "--revision", &commit];
    let staged = ends(&scene.rototo(&[&wait[..], &["--stage", "1"]].concat()).output().unwrap(), 0);
    assert!(staged.starts_with("staged: step 2 of 2: "), "{staged}");
    ends(&scene.rototo(&["abort", WORKSPACE]).output().unwrap(), 0);
    let held = ends(&scene.rototo(&wait).output().unwrap(), 3);
    assert!(held.contains("was rolled back"), "{held}");
    ends(&scene.rototo(&["retry", WORKSPACE]).output().unwrap(), 0);
    at_step(&scene, 1, "1/1", "2/2").await;
    ends(&scene.rototo(&["promote", WORKSPACE]).output().unwrap(), 0);
    let converged = ends(&scene.rototo(&wait).output().unwrap(), 0);
    assert!(converged.starts_with("converged: main@sha1:") && converged.contains(" like the newer "), "{converged}");
}

#[tokio::test]
async fn wait_ends_when_lint_refuses_the_commit_and_says_where() {
    let scene = Scene::published("wait-refused").await;
    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 0").unwrap();
    let waiting = start(&scene, &["wait", WORKSPACE, "--revision", &commit]);
    scene.push().await;
    let text = ends(&waiting.wait_with_output().unwrap(), 3);
    assert!(text.contains("lint refuses main@sha1:") && text.contains(&format!("{POLICY}:2: ")), "{text}");
}

#[tokio::test]
async fn wait_names_the_stragglers_when_its_time_is_up() {
    let scene = Scene::published("wait-behind").await;
    let (quick, frozen) = (scene.app().start().await.unwrap(), scene.app().start().await.unwrap());
    scene.wait_for_fleet(2).await;
    frozen.process().unwrap().freeze().unwrap();
    let commit = scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let published = scene.push().await.published.unwrap();
    quick.wait_for_state("at what is published", |state| state["fingerprint"] == published.fingerprint).unwrap();
    let arguments = ["wait", WORKSPACE, "--revision", &commit, "--timeout", "5s", "--json"];
    let report: Value = serde_json::from_str(&ends(&scene.rototo(&arguments).output().unwrap(), 4)).unwrap();
    assert_eq!(report["outcome"], "timed_out");
    assert_eq!(report["behind"][0]["name"], frozen.pod().name(), "{report:#}");
    assert!(report["message"].as_str().unwrap().contains(frozen.pod().name()), "{report:#}");
    frozen.process().unwrap().thaw().unwrap();
    ends(&scene.rototo(&["wait", WORKSPACE, "--revision", &commit]).output().unwrap(), 0);
}

#[tokio::test]
async fn wait_fails_at_once_for_a_missing_workspace_or_grant() {
    let scene = Scene::published("wait-missing").await;
    let text = ends(&scene.rototo(&["wait", "none"]).output().unwrap(), 1);
    assert!(text.contains("there is no RototoWorkspace `none` in the namespace"), "{text}");
    let text = ends(&scene.rototo(&["wait", WORKSPACE, "--revision", "main"]).output().unwrap(), 2);
    assert!(text.contains("all 40 digits"), "{text}");
    let nobody = scene.namespace.cluster().kubeconfig_for_token(&scene.namespace.token("app").unwrap()).unwrap();
    let refused = rototo_as(&nobody, &scene.namespace, &["wait", WORKSPACE]).output().unwrap();
    assert!(ends(&refused, 1).contains("you may not read rototoworkspaces.rototo.dev"));
}

#[tokio::test]
async fn status_and_history_show_the_status_of_the_custom_resource() {
    let scene = Scene::published("status").await;
    let app = scene.app().start().await.unwrap();
    let status = scene.wait_for_fleet(1).await;
    let json: Value = serde_json::from_str(&ends(&scene.rototo(&["status", "--json"]).output().unwrap(), 0)).unwrap();
    let item = &json["items"][0];
    assert_eq!((item["namespace"].as_str(), item["name"].as_str()), (Some(scene.namespace.name()), Some(WORKSPACE)));
    assert_eq!(item["status"]["published"], serde_json::to_value(&status.published).unwrap());
    assert_eq!(item["status"]["observedGeneration"], 1);

    let page = ends(&scene.rototo(&["status", WORKSPACE]).output().unwrap(), 0);
    for part in [&format!("{}/{WORKSPACE}  ready\n", scene.namespace.name()), "1 of 1 run it", "main@sha1:", "stages"] {
        assert!(page.contains(part), "{part} is not in {page}");
    }
    let history = ends(&scene.rototo(&["history", WORKSPACE]).output().unwrap(), 0);
    assert_eq!(history.lines().count(), 2, "{history}");
    drop(app);
}

#[tokio::test]
async fn the_manifests_that_access_prints_let_a_process_follow() {
    let scene = Scene::published("access").await;
    let manifests = ends(&scene.rototo(&["access", WORKSPACE]).output().unwrap(), 0);
    scene.namespace.apply(&manifests).unwrap();
    let app = scene.app().service_account(WORKSPACE).start().await.unwrap();
    app.wait_for_policy("high", "acct-001", "severe").unwrap();
    scene.wait_for_fleet(1).await;
}
