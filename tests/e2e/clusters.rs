//! One commit in two clusters, each with its own API server and operator: one table, one answer, and one after the other.

use std::path::PathBuf;

use kube::ResourceExt;
use rototo_api::names::ANNOTATION_ROLLOUT;
use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{App, AppSettings, Cluster, ControlPlane, Namespace, Operator};
use serde_json::{Value, json};

use crate::scene::{POLICY, Scene, WORKSPACE, condition, ends, rototo_as};

/// A second cluster that follows the repository of a scene.
struct Second {
    app: App,
    _operator: Operator,
    namespace: Namespace,
    // It ends last, after those who ask it.
    plane: ControlPlane,
}

impl Second {
    /// Starts the cluster with one service. A new revision waits there until somebody promotes it.
    async fn start(scene: &Scene) -> Self {
        let plane = ControlPlane::start().unwrap();
        plane.install_crds().unwrap();
        let namespace = Namespace::create_as(&plane, scene.namespace.name()).await.unwrap();
        namespace.grant("app", &[WORKSPACE]).unwrap();
        let operator = Operator::start_with(&namespace, &[]).unwrap();
        let steps = json!([{ "setWeight": 0 }, { "pause": {} }]);
        let spec = json!({ "source": scene.repository.url(), "interval": "5s", "rollout": { "steps": steps } });
        namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
        let app = AppSettings::new(&namespace, WORKSPACE).start().await.unwrap();
        let converged = |workspace: &RototoWorkspace| {
            workspace.status.as_ref().is_some_and(|status| condition(status, "Converged") == "True/Converged")
        };
        namespace.wait_for_workspace(WORKSPACE, "converged", converged).await.unwrap();
        Self { app, _operator: operator, namespace, plane }
    }

    /// Returns the action that a person asks for.
    async fn request(&self) -> String {
        let workspace = self.namespace.workspace(WORKSPACE).await.unwrap();
        workspace.annotations()[ANNOTATION_ROLLOUT].split(' ').next().unwrap().to_owned()
    }

    /// Removes the request of a person.
    fn release(&self) {
        let removed = format!("{ANNOTATION_ROLLOUT}-");
        self.plane.kubectl(&["annotate", "rws", WORKSPACE, "-n", self.namespace.name(), &removed]).unwrap();
    }
}

/// Writes a kubeconfig with the contexts `eu` and `us`, and one of a cluster that does not exist.
fn contexts(eu: &Cluster, us: &Cluster) -> PathBuf {
    let mut merged = json!({ "apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [] });
    let gone = json!({ "clusters": [{ "cluster": { "server": "https://127.0.0.1:1" } }], "users": [{ "user": {} }] });
    let read = |cluster: &Cluster| -> Value {
        serde_json::from_str(&std::fs::read_to_string(cluster.admin_kubeconfig()).unwrap()).unwrap()
    };
    for (name, read) in [("eu", read(eu)), ("us", read(us)), ("gone", gone)] {
        let mut push = |list: &str, value: Value| merged[list].as_array_mut().unwrap().push(value);
        push("clusters", json!({ "name": name, "cluster": read["clusters"][0]["cluster"] }));
        push("users", json!({ "name": name, "user": read["users"][0]["user"] }));
        push("contexts", json!({ "name": name, "context": { "cluster": name, "user": name } }));
    }
    let path = us.admin_kubeconfig().with_file_name("contexts.kubeconfig");
    std::fs::write(&path, merged.to_string()).unwrap();
    path
}

async fn fingerprint(namespace: &Namespace) -> String {
    namespace.workspace(WORKSPACE).await.unwrap().status.unwrap().published.unwrap().fingerprint
}

#[tokio::test]
async fn two_clusters_have_one_answer_and_take_a_commit_one_after_the_other() {
    let scene = Scene::published("clusters").await;
    let spec = json!({ "source": scene.repository.url(), "interval": "5s" });
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    let _app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;
    let us = Second::start(&scene).await;
    let kubeconfig = contexts(scene.namespace.cluster(), &us.plane);
    let rototo = |arguments: &[&str]| rototo_as(&kubeconfig, &us.namespace, arguments).output().unwrap();
    let both = ["--context", "eu", "--context", "us"];

    let commit = scene.repository.edit(POLICY, "max_concurrency = 10", "max_concurrency = 12").unwrap();
    scene.repository.push().unwrap();
    // The second cluster keeps what it has, so not both run the commit.
    ends(&rototo(&["wait", WORKSPACE, "--revision", &commit, "--context", "eu"]), 0);
    let waited = [&["wait", WORKSPACE, "--revision", &commit, "--timeout", "10s"], &both[..]].concat();
    let waited = ends(&rototo(&waited), 4);
    assert!(waited.starts_with("eu: converged: main@sha1:"), "{waited}");
    let shown = ends(&rototo(&[&["status", WORKSPACE], &both[..]].concat()), 0);
    assert!(shown.contains("1 of 2 workspaces converged"), "{shown}");
    assert!(shown.contains(&format!("/{WORKSPACE} is not the same everywhere: ")), "{shown}");

    // A person holds it, and nobody promotes it.
    ends(&rototo(&["hold", WORKSPACE, "--context", "us"]), 0);
    let before = fingerprint(&us.namespace).await;
    let advanced = [&["rollout", WORKSPACE, "--advance", &commit, "--timeout", "10s"], &both[..]].concat();
    let advanced = ends(&rototo(&advanced), 4);
    assert!(advanced.contains("us: not converged within 10 s: it is not published: step 2 of 2: "), "{advanced}");
    assert!(advanced.contains("; a person (unverified) holds it"), "{advanced}");
    assert_eq!(
        (us.app.state().unwrap()["fingerprint"].as_str(), us.request().await),
        (Some(&*before), "hold".to_owned())
    );
    us.release();

    let advanced = [&["rollout", WORKSPACE, "--advance", &commit], &both[..]].concat();
    let advanced = rototo(&advanced);
    ends(&advanced, 0);
    let lines: Vec<&str> = std::str::from_utf8(&advanced.stdout).unwrap().lines().collect();
    let starts = ["eu: converged: main@sha1:", "us: promoted main@sha1:", "us: converged: main@sha1:"];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{lines:?}");
    let published = fingerprint(&scene.namespace).await;
    assert_eq!(us.app.state().unwrap()["fingerprint"], published);
    assert_eq!(fingerprint(&us.namespace).await, published);

    // A cluster that can't be read is part of the answer, and hides no other.
    let shown = ends(&rototo(&["status", WORKSPACE, "--context", "us", "--context", "gone"]), 1);
    assert!(shown.contains("1 of 1 workspace converged") && shown.contains("error: gone: "), "{shown}");

    // Commits that the first cluster refuses are promoted nowhere.
    let broken = scene.repository.edit(POLICY, "max_concurrency = 12", "max_concurrency = \"many\"").unwrap();
    scene.repository.push().unwrap();
    let advanced = [&["rollout", WORKSPACE, "--advance", &broken], &both[..]].concat();
    let advanced = ends(&rototo(&advanced), 3);
    assert!(advanced.contains("nothing was promoted in us"), "{advanced}");
    assert_eq!(us.app.state().unwrap()["fingerprint"], published);
}
