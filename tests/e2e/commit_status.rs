//! A git host shows what became of each commit, and holds up nothing.

use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use rototo_tests::harness::{ControlPlane, Observation, PATIENCE, Silent, StatusHost, until_async};
use serde_json::{Value, json};

use crate::rollout::wait;
use crate::scene::{POLICY, Scene, WORKSPACE, condition};

const SECRET: &str = "rototo-commit-status";

/// A scene whose workspace reports to the API at this address.
async fn reporting_to(purpose: &str, address: &str) -> Scene {
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), purpose).await;
    scene.namespace.apply_workspace(WORKSPACE, spec(&scene, address)).await.unwrap();
    scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
    scene
}

fn spec(scene: &Scene, address: &str) -> Value {
    let status = json!({ "type": "gitea", "address": address, "secretRef": { "name": SECRET } });
    json!({ "source": scene.repository.url(), "interval": "1h", "notify": { "commitStatus": status } })
}

fn create_secret(scene: &Scene, keys: &Value) {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": SECRET }, "stringData": keys });
    scene.namespace.apply(&secret.to_string()).unwrap();
}

fn counted(scene: &Scene, outcome: &str) -> f64 {
    scene.operator.metric("rototo_commit_statuses_total", &[&format!("outcome=\"{outcome}\"")]).unwrap()
}

/// Returns the notes of the Events about statuses that a git host does not have.
async fn notes(scene: &Scene) -> Vec<String> {
    let events = scene.namespace.api::<Event>().list(&ListParams::default()).await.unwrap().items;
    let failed = events.into_iter().filter(|event| event.reason.as_deref() == Some("CommitStatusFailed"));
    failed.filter_map(|event| event.note).collect()
}

#[tokio::test]
async fn the_git_host_shows_what_became_of_each_commit() {
    let host = StatusHost::listen().unwrap();
    let mut scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "commit-status").await;
    create_secret(&scene, &host.secret().unwrap());
    scene.namespace.apply_workspace(WORKSPACE, spec(&scene, &host.api())).await.unwrap();
    let first = scene.repository.head().unwrap();
    let published = host.wait_for(&first, "pending").unwrap();
    assert_eq!(published.description, "published, no process follows it yet");
    assert_eq!(published.context, format!("rototo/{}/{WORKSPACE}", scene.namespace.name()));
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(scene.app().start().await.unwrap());
    }
    scene.wait_for_fleet(3).await;
    host.wait_for(&first, "success").unwrap();

    let refused = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 0").unwrap();
    scene.push().await;
    let failure = host.wait_for(&refused, "failure").unwrap();
    assert_eq!(failure.description, format!("refused by rototo/resource-object-schema-mismatch at {POLICY}:2"));

    // The host fails once, and has the last state in the end.
    host.answer(&[500]).unwrap();
    let accepted = scene.repository.edit(POLICY, "max_concurrency = 0", "max_concurrency = 12").unwrap();
    scene.push().await;
    let success = host.wait_for(&accepted, "success").unwrap();
    let figures = success.description.strip_prefix("applied by 3/3 in ").and_then(|rest| rest.strip_suffix(" ms"));
    assert!(figures.is_some_and(|millis| millis.parse::<u64>().is_ok()), "{success:?}");
    let of_accepted = host.of(&accepted);
    assert_eq!(of_accepted[0].answer, 500);
    assert!(counted(&scene, "retried") >= 1.0 && counted(&scene, "given_up") == 0.0);

    // Another operator process sends the newest state once more at most, and nothing of older commits.
    let before = [host.of(&first).len(), host.of(&refused).len(), of_accepted.len()];
    scene.operator.kill().unwrap();
    scene.operator.start_again().unwrap();
    scene.poll().await;
    let newest = scene.repository.edit(POLICY, "max_concurrency = 12", "max_concurrency = 0").unwrap();
    scene.push().await;
    host.wait_for(&newest, "failure").unwrap();
    let after = [host.of(&first).len(), host.of(&refused).len(), host.of(&accepted).len()];
    assert_eq!(after[..2], before[..2]);
    assert!(after[2] <= before[2] + 1, "{:?}", host.of(&accepted));
    assert_eq!(host.of(&newest).len(), 1);
    assert_eq!(notes(&scene).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_git_host_that_hangs_delays_no_publish() {
    let host = Silent::listen().unwrap();
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "commit-status-hangs").await;
    create_secret(&scene, &json!({ "bearerToken": "a-token-that-nobody-takes" }));
    let address = host.url().replace("http://", "https://");
    scene.namespace.apply_workspace(WORKSPACE, spec(&scene, &address)).await.unwrap();
    let _app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    until_async("a request to hang", PATIENCE, async || {
        Ok(if host.accepted() > 0 { Observation::Done(()) } else { Observation::NotYet("no request".to_owned()) })
    })
    .await
    .unwrap();
    for limit in [11, 12, 13] {
        let before = format!("max_concurrency = {}", limit - 1);
        let commit = scene.repository.edit(POLICY, &before, &format!("max_concurrency = {limit}")).unwrap();
        scene.push().await;
        wait(&scene, "published and converged", |status| {
            let revision = status.published.as_ref().and_then(|published| published.revision.as_deref());
            revision.is_some_and(|revision| revision.ends_with(&commit))
                && condition(status, "Converged").starts_with("True/")
        })
        .await;
    }
    assert_eq!(counted(&scene, "sent"), 0.0);
}

#[tokio::test]
async fn a_missing_secret_is_an_event_and_its_coming_needs_nothing_else() {
    let host = StatusHost::listen().unwrap();
    let scene = reporting_to("commit-status-secret", &host.api()).await;
    let note = until_async("the Event CommitStatusFailed", PATIENCE, async || {
        Ok(match notes(&scene).await.as_slice() {
            [] => Observation::NotYet("no Event".to_owned()),
            [note, ..] => Observation::Done(note.clone()),
        })
    })
    .await
    .unwrap();
    assert!(note.contains(SECRET) && note.contains("does not exist"), "{note}");
    let status = scene.namespace.workspace(WORKSPACE).await.unwrap().status.unwrap();
    assert_eq!(condition(&status, "Ready"), "True/Published");
    create_secret(&scene, &host.secret().unwrap());
    host.wait_for(&scene.repository.head().unwrap(), "pending").unwrap();
    assert_eq!(notes(&scene).await.len(), 1);
}

#[tokio::test]
async fn the_api_server_refuses_statuses_that_could_not_be_sent() {
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "commit-status-spec").await;
    let secret = json!({ "name": SECRET });
    let apply = |source: &str, status: Value| {
        let spec = json!({ "source": source, "suspend": true, "notify": { "commitStatus": status } });
        scene.namespace.apply_workspace("other", spec)
    };
    for source in ["git+https://github.com/acme/a.git#main", "git+ssh://git@GitLab.com:22/acme/a.git"] {
        apply(source, json!({ "secretRef": secret })).await.unwrap();
    }
    let gitea = "git+https://git.example.com/acme/a.git";
    apply(gitea, json!({ "secretRef": secret, "type": "gitea" })).await.unwrap();
    for (source, status, expected) in [
        (
            "https://git.example.com/a.tar.gz",
            json!({ "secretRef": secret, "type": "gitea" }),
            "an archive has no commits",
        ),
        (gitea, json!({ "secretRef": secret }), "commitStatus.type is missing"),
        ("git+https://github.com.evil.example/a/b", json!({ "secretRef": secret }), "commitStatus.type is missing"),
        ("git+https://evil.example/@github.com/a/b", json!({ "secretRef": secret }), "commitStatus.type is missing"),
        (gitea, json!({ "secretRef": secret, "type": "gerrit" }), "Unsupported value"),
        (gitea, json!({ "type": "gitea" }), "secretRef"),
        (gitea, json!({ "secretRef": secret, "type": "gitea", "address": "http://x" }), "the address is written https"),
        (
            gitea,
            json!({ "secretRef": secret, "type": "gitea", "address": "https://u@x" }),
            "the address is written https",
        ),
        (gitea, json!({ "secretRef": secret, "type": "gitea", "context": "a\nb" }), "context"),
    ] {
        let error = format!("{:#}", apply(source, status).await.unwrap_err());
        assert!(error.contains(expected), "{source}: {error}");
    }
}
