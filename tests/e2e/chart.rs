//! The chart can be installed, upgraded, and uninstalled without the loss of any configuration.

use rototo_tests::harness::{Cluster, ControlPlane, Namespace};
use serde_json::{Value, json};

fn chart() -> String {
    xtask::cargo::root().join("charts/rototo-operator").display().to_string()
}

fn helm(cluster: &Cluster, namespace: &str, command: &[&str]) -> anyhow::Result<String> {
    cluster.helm(&[command, &["--namespace", namespace]].concat())
}

fn get(cluster: &Cluster, arguments: &[&str]) -> Value {
    serde_json::from_str(&cluster.kubectl(&[&["get", "--output=json"], arguments].concat()).unwrap()).unwrap()
}

/// The test reinstalls the chart, too: the kept CRD must not prevent that.
#[tokio::test]
async fn the_crd_and_all_workspaces_survive_an_upgrade_an_uninstall_and_a_reinstall() {
    let plane = ControlPlane::start().unwrap();
    let home = Namespace::create(&plane, "rototo").await.unwrap();
    let install = ["upgrade", "--install", "rototo-operator", &chart()];
    helm(&plane, home.name(), &install).unwrap();
    plane
        .kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd/rototoworkspaces.rototo.dev"])
        .unwrap();
    let source = json!({ "source": "git+https://git.example.com/acme/config.git#main:prod" });
    let created = home.apply_workspace("config", source).await.unwrap();

    helm(&plane, home.name(), &[&install[..], &["--set", "logLevel=debug"]].concat()).unwrap();
    helm(&plane, home.name(), &["uninstall", "rototo-operator"]).unwrap();
    helm(&plane, home.name(), &install).unwrap();
    assert_eq!(home.workspace("config").await.unwrap().metadata.uid, created.metadata.uid);
}

#[tokio::test]
async fn two_releases_serve_different_namespaces_of_one_cluster() {
    let cluster = ControlPlane::shared().unwrap();
    for _ in 0..2 {
        let namespace = Namespace::create(cluster, "two").await.unwrap();
        rototo_tests::harness::install_chart(&namespace, &[]).unwrap();
    }
}

#[tokio::test]
async fn the_pod_runs_without_any_privilege() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "pod").await.unwrap();
    rototo_tests::harness::install_chart(&namespace, &[]).unwrap();
    // The settings of the chart pass the strictest of the Pod Security Standards.
    let deployment = get(namespace.cluster(), &["deployment", "rototo-operator", "--namespace", namespace.name()]);
    let pod = &deployment["spec"]["template"];
    namespace
        .cluster()
        .kubectl(&["label", "namespace", namespace.name(), "pod-security.kubernetes.io/enforce=restricted"])
        .unwrap();
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "operator", "labels": pod["metadata"]["labels"] },
        "spec": pod["spec"],
    });
    namespace.apply(&pod.to_string()).unwrap();
    assert_eq!(pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
}

#[test]
fn helm_lint_finds_nothing() {
    let cluster = ControlPlane::shared().unwrap();
    cluster.helm(&["lint", "--strict", &chart()]).unwrap();
}

#[test]
fn an_unknown_or_invalid_value_is_refused() {
    let cluster = ControlPlane::shared().unwrap();
    for value in
        ["logLevl=info", "watchNamespaces={Not_A_Name}", "advertiseUrl=http://insecure", "rbac.secrets.access=listed"]
    {
        let error = cluster.helm(&["template", "x", &chart(), "--set", value]).unwrap_err();
        assert!(error.to_string().contains("schema"), "{value}: {error}");
    }
}

#[test]
fn every_object_has_the_recommended_labels() {
    let cluster = ControlPlane::shared().unwrap();
    let all_on = ["--set", "persistence.enabled=true", "--set", "watchNamespaces={a,b}"];
    let rendered = cluster.helm(&[&["template", "x", &chart(), "--namespace", "n"], &all_on[..]].concat()).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    assert!(objects.len() > 12, "{}", objects.len());
    for object in objects.iter().filter(|object| object["kind"] != "CustomResourceDefinition") {
        let labels = &object["metadata"]["labels"];
        for label in ["name", "instance", "version", "part-of", "managed-by", "component"] {
            assert!(labels[format!("app.kubernetes.io/{label}")].is_string(), "{label} of {}", object["kind"]);
        }
    }
}
