//! What a process may not do, it says in one sentence with what to grant, and all else goes on.

use rototo_tests::harness::{App, Namespace};
use serde_json::{Value, json};

use crate::scene::{Scene, WORKSPACE};

/// Creates a ServiceAccount that may follow the workspace, but for the rule on `resource`.
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

/// A service that lacks that rule, once it complains.
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

#[tokio::test]
async fn a_process_without_its_token_names_the_file_and_the_audience() {
    let scene = Scene::published("no-token").await;
    let app = scene.app().environment("ROTOTO_TOKEN_FILE", "/does/not/exist").start().await.unwrap();
    let state = app.wait_for_state("without a token", |state| state["last_error"].is_string()).unwrap();
    let error = state["last_error"].as_str().unwrap();
    assert!(error.contains("/does/not/exist") && error.contains("audience `rototo`"), "{error}");
}
