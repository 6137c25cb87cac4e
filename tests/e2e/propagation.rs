//! A commit becomes the running configuration of every process, or nothing changes at all.

use rototo_api::names::ANNOTATION_INSTALL;
use rototo_tests::harness::{ControlPlane, Fleet, GitRepo, Namespace, Operator};
use serde_json::json;

use crate::scene::{POLICY, Scene, TRIAL, WORKSPACE, condition, example};

#[tokio::test]
async fn a_commit_reaches_every_process_and_the_status_shows_it() {
    let scene = Scene::published("change").await;
    let fleet = Fleet::start(&scene.app(), 3).await.unwrap();
    let before = scene.wait_for_fleet(3).await;
    assert_eq!(before.summary.as_ref().unwrap().fleet.as_deref(), Some("3/3"));

    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    let status = scene.push().await;
    let published = status.published.unwrap();
    fleet.wait_for_fingerprint(&published.fingerprint).unwrap();
    let after = scene.wait_for_fleet(3).await;
    for app in &fleet.apps {
        // This account is in bucket 5274, which was outside of the trial before.
        assert_eq!(app.policy("high", "acct-0001").unwrap()["value_key"], "severe");
        // The answer to its report names the revision, and may arrive after the status that counts the report.
        let revision = json!(published.revision);
        let state = app.wait_for_state("of this revision", |state| state["revision"] == revision).unwrap();
        assert_eq!(state["state"], "applied");
        assert_eq!(state["updated_at"], published.updated_at.to_string());
    }
    assert_eq!(condition(&after, "Ready"), "True/Converged");
    let history = &after.history;
    assert_eq!(history.len(), 2);
    assert!(history[0].converged_millis.is_some(), "{history:?}");
    assert!(scene.operator.metric("rototo_propagation_seconds_count", &["stage=\"applied\""]).unwrap() >= 3.0);
}

/// All names that the chart derives from the name of the release must fit together.
#[tokio::test]
async fn a_release_with_another_name_works_too() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "renamed").await.unwrap();
    let repository = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
    let operator = Operator::start_as(&namespace, "config-rollout", &[]).unwrap();
    namespace.grant("app", &[WORKSPACE]).unwrap();
    let scene = Scene { namespace, repository, operator };
    scene.apply().await;
    let app = scene.app().start().await.unwrap();
    app.wait_for_policy("high", "acct-001", "severe").unwrap();
    let status = scene.wait_for_fleet(1).await;
    assert_eq!(condition(&status, "Ready"), "True/Converged");
    let install = format!("{}/config-rollout", scene.namespace.name());
    let map = scene.namespace.markers().await.unwrap().unwrap();
    assert_eq!(map.metadata.annotations.unwrap()[ANNOTATION_INSTALL], install);
}

#[tokio::test]
async fn the_policies_of_the_walkthrough_hold_in_the_fleet() {
    let scene = Scene::published("policies").await;
    let app = scene.app().start().await.unwrap();
    app.wait_for_policy("normal", "acct-001", "normal").unwrap();
    assert_eq!(app.policy("high", "acct-001").unwrap()["value_key"], "severe");
    let degraded = app.policy("high", "acct-0001").unwrap();
    assert_eq!(degraded["value_key"], "degraded");
    assert_eq!(degraded["policy"]["max_concurrency"], 30);
}

#[tokio::test]
async fn a_refused_commit_changes_neither_the_marker_nor_the_fleet() {
    let scene = Scene::published("refused").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let (version, state) = (scene.map_version().await, app.state().unwrap());

    let refused = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 0").unwrap();
    let status = scene.push().await;
    assert_eq!(condition(&status, "Ready"), "False/LintRefused");
    assert_eq!(condition(&status, "Published"), "True/Published");
    let rejected = status.rejected.unwrap();
    assert!(rejected.revision.unwrap().ends_with(&refused));
    assert_eq!(rejected.errors, 1);
    let finding = &rejected.diagnostics[0];
    assert_eq!((finding.path.as_deref(), finding.line), (Some(POLICY), Some(2)));
    assert_eq!(scene.map_version().await, version);
    assert_eq!(app.state().unwrap()["fingerprint"], state["fingerprint"]);

    // The revert brings back the content that runs: it becomes the newest, and no process is notified.
    scene.repository.revert("HEAD").unwrap();
    let status = scene.push().await;
    assert_eq!(status.rejected, None);
    assert_eq!(condition(&status, "LintPassed"), "True/Passed");
    assert!(status.published.unwrap().revision.unwrap().ends_with(&scene.repository.head().unwrap()));
    assert_eq!(scene.map_version().await, version);
    assert_eq!(app.state().unwrap()["hydrates"], state["hydrates"]);
}

#[tokio::test]
async fn a_refusal_names_places_and_never_values() {
    let scene = Scene::published("masked").await;
    let content = scene.repository.read(POLICY).unwrap().replacen("\"severe\"", "\"hunter2-is-a-secret\"", 1);
    // The status shows the subject of the commit, which is its author's.
    scene.repository.commit(&[(POLICY, &content)], "Change a value").unwrap();
    let status = scene.push().await;
    assert_eq!(condition(&status, "LintPassed"), "False/LintRefused");
    let described = scene.namespace.cluster().kubectl(&["-n", scene.namespace.name(), "describe", "rws"]).unwrap();
    assert!(described.contains("LintRefused"), "{described}");
    assert!(!described.contains("hunter2"), "{described}");
    assert!(!scene.operator.process().unwrap().log().contains("hunter2"));
}

#[tokio::test]
async fn a_commit_outside_the_workspace_publishes_nothing() {
    let scene = Scene::published("elsewhere").await;
    let version = scene.map_version().await;
    scene.repository.commit_outside("README.md", "not of the workspace").unwrap();
    let status = scene.push().await;
    assert_eq!(scene.map_version().await, version);
    assert!(status.published.unwrap().revision.unwrap().ends_with(&scene.repository.head().unwrap()));
    scene.repository.commit(&[("NOTES.md", "beside the documents of the workspace")], "Note").unwrap();
    scene.push().await;
    assert_eq!(scene.map_version().await, version);
}

#[tokio::test]
async fn a_process_that_starts_before_the_marker_map_exists_waits_for_it() {
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "early").await;
    let app = scene.app().start().await.unwrap();
    let state = app.wait_for_state("waiting", |state| state["last_error"].is_string() || state["state"] == "starting");
    assert_eq!(state.unwrap()["fingerprint"], serde_json::Value::Null);
    assert!(!app.is_ready().unwrap());
    scene.apply().await;
    app.wait_for_policy("normal", "acct-001", "normal").unwrap();
    assert!(app.is_ready().unwrap());
    scene.wait_for_fleet(1).await;
}
