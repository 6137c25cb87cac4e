//! The harness itself: properties of the control plane on which the other tests rely.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace as Object};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use rototo_tests::harness::{ControlPlane, Namespace, Observation, PATIENCE, Pod, until, until_async};
use serde_json::Value;

fn map(name: &str) -> ConfigMap {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

#[test]
fn kubectl_understands_the_version_of_the_api_server() {
    let cluster = ControlPlane::shared().unwrap();
    let version = cluster.kubectl(&["version", "--output=json"]).unwrap();
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["serverVersion"]["gitVersion"], version["clientVersion"]["gitVersion"]);
}

#[tokio::test]
async fn the_token_of_a_pod_names_that_pod_and_its_audience() {
    let namespace = Namespace::create(ControlPlane::shared().unwrap(), "token").await.unwrap();
    namespace.grant("app", &["config"]).unwrap();
    let pod = Pod::create(&namespace, "one", "app", &BTreeMap::new()).await.unwrap();
    let token = std::fs::read_to_string(pod.rototo_token_file()).unwrap();
    let review = format!(
        r#"{{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{{"token":"{token}","audiences":["rototo"]}}}}"#
    );
    let path = pod.directory().join("review.json");
    std::fs::write(&path, review).unwrap();
    let arguments = ["create", "--output=json", "--filename", path.to_str().unwrap()];
    let review =
        || serde_json::from_str::<Value>(&namespace.cluster().kubectl(&arguments).unwrap()).unwrap()["status"].clone();

    let status = review();
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["audiences"][0], "rototo");
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/pod-name"][0], "one");
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/node-name"][0], "a-node");

    pod.delete().await.unwrap();
    until("the token to die with its pod", PATIENCE, || {
        let status = review();
        Ok(if status["authenticated"] == true {
            Observation::NotYet(status.to_string())
        } else {
            Observation::Done(())
        })
    })
    .unwrap();
}

#[tokio::test]
async fn stored_objects_survive_a_crash_of_the_api_server() {
    let mut plane = ControlPlane::start().unwrap();
    let maps = Api::<ConfigMap>::namespaced(plane.client().await.unwrap(), "default");
    maps.create(&PostParams::default(), &map("kept")).await.unwrap();

    plane.kill_api_server().unwrap();
    assert!(maps.get("kept").await.is_err());
    plane.start_api_server().unwrap();
    // Address and certificate are the same, so the earlier client keeps working.
    assert!(maps.get("kept").await.is_ok());
}

#[tokio::test]
async fn a_watch_from_before_a_compaction_gets_410_after_a_restart_of_the_api_server() {
    let mut plane = ControlPlane::start().unwrap();
    let maps = Api::<ConfigMap>::namespaced(plane.client().await.unwrap(), "default");
    let old = maps.create(&PostParams::default(), &map("first")).await.unwrap().metadata.resource_version.unwrap();
    for name in ["second", "third"] {
        maps.create(&PostParams::default(), &map(name)).await.unwrap();
    }
    plane.kill_api_server().unwrap();
    plane.compact_etcd().unwrap();
    plane.start_api_server().unwrap();

    let path = format!("/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=5&resourceVersion={old}");
    let answer = plane.kubectl(&["get", "--raw", &path]);
    let said = answer.unwrap_or_else(|error| error.to_string());
    assert!(said.contains("410") || said.contains("too old resource version"), "{said}");
}

#[tokio::test]
async fn the_controllers_delete_a_namespace_with_its_objects() {
    let mut plane = ControlPlane::start().unwrap();
    plane.start_controllers().unwrap();
    let namespace = Namespace::create(&plane, "short-lived").await.unwrap();
    namespace.api::<ConfigMap>().create(&PostParams::default(), &map("inside")).await.unwrap();

    let namespaces = Api::<Object>::all(plane.client().await.unwrap());
    namespaces.delete(namespace.name(), &DeleteParams::default()).await.unwrap();
    until_async("the namespace to be gone", PATIENCE, async || {
        let left = namespaces.get_opt(namespace.name()).await?;
        Ok(left.map_or(Observation::Done(()), |namespace| Observation::NotYet(format!("{:?}", namespace.status))))
    })
    .await
    .unwrap();
    let maps = namespace.api::<ConfigMap>().list(&ListParams::default()).await;
    assert!(maps.map_or_else(|_| true, |maps| maps.items.is_empty()));
}
