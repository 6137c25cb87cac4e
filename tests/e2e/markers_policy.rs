//! The chart's admission policy: only the operator writes the marker map.

use std::path::Path;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace as Object};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use rototo_tests::harness::{ControlPlane, Namespace, Observation, PATIENCE, install_chart, until, until_async};

const MAP: &str =
    r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"rototo-markers"},"data":{"config":"{}"}}"#;

/// Installs the chart, and waits until the policy is enforced, which takes a moment.
async fn with_policy(namespace: &Namespace) {
    install_chart(namespace, &[]).unwrap();
    until("the policy to be enforced", PATIENCE, || {
        let arguments = ["--namespace", namespace.name(), "create", "configmap", "rototo-markers", "--dry-run=server"];
        Ok(match namespace.cluster().kubectl(&arguments) {
            Ok(_) => Observation::NotYet("an administrator may still create the map".to_owned()),
            Err(error) if error.to_string().contains("created by the rototo operator") => Observation::Done(()),
            Err(error) => Observation::NotYet(error.to_string()),
        })
    })
    .unwrap();
}

fn create_as_operator(namespace: &Namespace) {
    let token = namespace.token("rototo-operator").unwrap();
    let kubeconfig = namespace.cluster().kubeconfig_for_token(&token).unwrap();
    let file = kubeconfig.with_extension("map.json");
    std::fs::write(&file, MAP).unwrap();
    write(namespace, &kubeconfig, &["create", "--filename", file.to_str().unwrap()]).unwrap();
    write(namespace, &kubeconfig, &["annotate", "configmap/rototo-markers", "rototo.dev/snapshots=https://x"]).unwrap();
}

fn write(namespace: &Namespace, who: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    namespace.cluster().kubectl_as(who, &[&["--namespace", namespace.name()], arguments].concat())
}

#[tokio::test]
async fn an_administrator_can_not_write_markers() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "policy").await.unwrap();
    with_policy(&namespace).await;
    create_as_operator(&namespace);
    let admin = namespace.cluster().admin_kubeconfig();
    let map = "configmap/rototo-markers";
    for attempt in [
        &["patch", map, "--type=merge", r#"--patch={"data":{"config":"other"}}"#][..],
        &["patch", map, "--type=merge", r#"--patch={"data":null}"#],
        &["patch", map, "--type=merge", r#"--patch={"binaryData":{"config2":"AA=="}}"#],
        &["patch", map, "--type=merge", r#"--patch={"immutable":true}"#],
        &["annotate", map, "--overwrite", "rototo.dev/snapshots=https://elsewhere"],
        &["label", map, "a=b"],
        &[
            "patch",
            map,
            "--type=merge",
            r#"--patch={"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"x"}]}}"#,
        ],
        &["delete", map],
        &["delete", "configmaps", "--all"],
    ] {
        let error = write(&namespace, admin, attempt).unwrap_err().to_string();
        assert!(error.contains("rototo operator"), "{attempt:?}: {error}");
    }
    let file = admin.with_extension("other-map.json");
    std::fs::write(&file, MAP.replace("\"{}\"", "\"other\"")).unwrap();
    let file = file.to_str().unwrap();
    for attempt in [
        &["apply", "--server-side", "--force-conflicts", "--field-manager=rototo-operator", "--filename", file][..],
        &["apply", "--filename", file],
        &["replace", "--filename", file],
        &["replace", "--force", "--filename", file],
    ] {
        let error = write(&namespace, admin, attempt).unwrap_err().to_string();
        assert!(error.contains("rototo operator"), "{attempt:?}: {error}");
    }
    // The ServiceAccount of another install, which has the same name and may do everything here.
    let elsewhere = Namespace::create(namespace.cluster(), "elsewhere").await.unwrap();
    install_chart(&elsewhere, &["markersPolicy.enabled=false"]).unwrap();
    let account = format!("--serviceaccount={}:rototo-operator", elsewhere.name());
    write(&namespace, admin, &["create", "rolebinding", "other", "--clusterrole=cluster-admin", &account]).unwrap();
    let token = elsewhere.token("rototo-operator").unwrap();
    let other = namespace.cluster().kubeconfig_for_token(&token).unwrap();
    // The API server learns of a grant a moment after it was made.
    let error = until("the grant to count", PATIENCE, || {
        let wrote = write(&namespace, &other, &["annotate", map, "rototo.dev/snapshots=https://y", "--overwrite"]);
        let error = wrote.err().map_or_else(String::new, |error| error.to_string());
        Ok(if error.contains("cannot get resource") { Observation::NotYet(error) } else { Observation::Done(error) })
    });
    let error = error.unwrap();
    assert!(error.contains("rototo operator"), "{error}");
    let all = namespace.api::<ConfigMap>().delete_collection(&DeleteParams::default(), &ListParams::default()).await;
    assert!(all.unwrap_err().to_string().contains("rototo operator"));
}

#[tokio::test]
async fn other_maps_and_namespaces_are_not_affected() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "policy").await.unwrap();
    let elsewhere = Namespace::create(ControlPlane::shared().unwrap(), "elsewhere").await.unwrap();
    with_policy(&namespace).await;
    let admin = namespace.cluster().admin_kubeconfig();
    write(&namespace, admin, &["create", "configmap", "another"]).unwrap();
    write(&namespace, admin, &["delete", "configmap", "another"]).unwrap();
    write(&elsewhere, admin, &["create", "configmap", "rototo-markers"]).unwrap();
}

#[tokio::test]
async fn a_namespace_with_markers_can_be_deleted() {
    let mut plane = ControlPlane::start().unwrap();
    plane.install_crds().unwrap();
    plane.start_controllers().unwrap();
    let namespace = Namespace::create(&plane, "policy").await.unwrap();
    with_policy(&namespace).await;
    create_as_operator(&namespace);
    assert!(namespace.api::<ConfigMap>().get_opt("rototo-markers").await.unwrap().is_some());

    let namespaces = Api::<Object>::all(plane.client().await.unwrap());
    namespaces.delete(namespace.name(), &DeleteParams::default()).await.unwrap();
    until_async("the namespace to be gone", PATIENCE, async || {
        let left = namespaces.get_opt(namespace.name()).await?;
        Ok(left.map_or(Observation::Done(()), |namespace| Observation::NotYet(format!("{:?}", namespace.status))))
    })
    .await
    .unwrap();
}
