//! A process without a grant names the missing grant in one sentence, and everything else continues.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use rototo::{Error, RefreshOptions, RefreshingWorkspace};
use rototo_tests::harness::{App, ControlPlane, Namespace, Pod};
use serde_json::{Value, json};

use crate::scene::{Scene, WORKSPACE};

/// Creates a ServiceAccount that may follow the workspace, without the rule for `resource`.
fn grant_all_but(namespace: &Namespace, service_account: &str, resource: &str) {
    namespace.grant(service_account, &[WORKSPACE]).unwrap();
    let get = ["--namespace", namespace.name(), "get", "role", service_account, "--output=json"];
    let mut role: Value = serde_json::from_str(&namespace.cluster().kubectl(&get).unwrap()).unwrap();
    let rules = role["rules"].as_array_mut().unwrap();
    let before = rules.len();
    rules.retain(|rule| !rule["resources"].as_array().unwrap().contains(&json!(resource)));
    assert_eq!(rules.len(), before - 1);
    namespace.apply(&role.to_string()).unwrap();
}

/// Returns a service without that rule, once it reports the error.
async fn without(scene: &Scene, resource: &str) -> (App, String) {
    grant_all_but(&scene.namespace, "less", resource);
    let app = scene.app().service_account("less").start().await.unwrap();
    let complains = |state: &Value| state["last_error"].as_str().is_some_and(|error| error.contains(resource));
    let state = app.wait_for_state(&format!("without {resource}"), complains).unwrap();
    (app, state["last_error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_process_that_may_not_watch_names_the_rule_on_the_map() {
    let scene = Scene::published("no-watch").await;
    let (app, error) = without(&scene, "configmaps").await;
    for part in ["rototo-markers", scene.namespace.name(), "Role", "get", "list", "watch"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!app.is_ready().unwrap());
    scene.namespace.grant("less", &[WORKSPACE]).unwrap();
    app.wait_for_policy("high", "acct-001", "severe").unwrap();
}

#[tokio::test]
async fn a_process_that_may_not_read_snapshots_names_the_rule_on_the_workspace() {
    let scene = Scene::published("no-snapshot").await;
    let (app, error) = without(&scene, "rototoworkspaces/snapshot").await;
    for part in [WORKSPACE, scene.namespace.name(), "Role", "403", "get"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!app.is_ready().unwrap());
    scene.namespace.grant("less", &[WORKSPACE]).unwrap();
    app.wait_for_policy("high", "acct-001", "severe").unwrap();
}

#[tokio::test]
async fn a_process_that_may_not_report_runs_and_names_the_rule_on_the_fleet() {
    let scene = Scene::published("no-fleet").await;
    let (app, error) = without(&scene, "rototoworkspaces/fleet").await;
    for part in [WORKSPACE, scene.namespace.name(), "Role", "403", "create"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(app.wait_for_policy("high", "acct-001", "severe").unwrap()["policy"]["max_concurrency"], 10);
    assert!(app.is_ready().unwrap());
}

/// Returns the error of a process in `pod` whose time to start is over.
async fn start_in(pod: &Pod, workspace: &str) -> String {
    let kubeconfig = Kubeconfig::read_from(pod.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let options = RefreshOptions::new()
        .with_cluster(rototo::Cluster::with_config(config))
        .with_token_file(pod.rototo_token_file())
        .with_start_timeout(Duration::from_secs(5));
    let error = RefreshingWorkspace::load(format!("kubernetes:///{workspace}"), options).await.unwrap_err();
    assert!(matches!(error, Error::StartTimedOut { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_start_that_times_out_names_the_missing_map_marker_or_grant() {
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "start").await;
    let pod = async |account: &str| {
        Pod::create(&scene.namespace, &format!("in-{account}"), account, &BTreeMap::new()).await.unwrap()
    };
    let ours = pod("app").await;
    let error = start_in(&ours, WORKSPACE).await;
    assert!(error.contains("has no ConfigMap `rototo-markers`") && error.contains(scene.namespace.name()), "{error}");

    scene.apply().await;
    scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
    let error = start_in(&ours, "misspelt").await;
    assert!(error.contains("no marker for workspace `misspelt`"), "{error}");

    for (account, resource) in [("blind", "configmaps"), ("less", "rototoworkspaces/snapshot")] {
        grant_all_but(&scene.namespace, account, resource);
        let error = start_in(&pod(account).await, WORKSPACE).await;
        assert!(error.contains(resource) && error.contains("Role"), "{error}");
    }
}

#[tokio::test]
async fn a_process_without_its_token_names_the_file_and_the_audience() {
    let scene = Scene::published("no-token").await;
    let app = scene.app().environment("ROTOTO_TOKEN_FILE", "/does/not/exist").start().await.unwrap();
    let state = app.wait_for_state("without a token", |state| state["last_error"].is_string()).unwrap();
    let error = state["last_error"].as_str().unwrap();
    assert!(error.contains("/does/not/exist") && error.contains("audience `rototo`"), "{error}");
}
