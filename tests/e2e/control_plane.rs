//! The harness itself: what the other tests take for granted.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{ListParams, ObjectMeta, PostParams};
use rototo_tests::harness::ControlPlane;

#[tokio::test]
async fn a_control_plane_comes_up_and_serves_a_client() {
    let plane = ControlPlane::shared().unwrap();
    let namespaces = Api::<Namespace>::all(plane.client().await.unwrap());
    let names: Vec<_> = namespaces.list(&ListParams::default()).await.unwrap().items;
    assert!(names.iter().any(|namespace| namespace.metadata.name.as_deref() == Some("default")));
}

#[test]
fn kubectl_understands_the_version_of_the_api_server() {
    let plane = ControlPlane::shared().unwrap();
    let version = plane.kubectl(&["version", "--output=json"]).unwrap();
    assert!(version.contains("\"serverVersion\""), "{version}");
}

#[tokio::test]
async fn what_was_stored_survives_the_death_of_the_api_server() {
    let mut plane = ControlPlane::start().unwrap();
    let maps = Api::<ConfigMap>::namespaced(plane.client().await.unwrap(), "default");
    let metadata = ObjectMeta { name: Some("kept".to_owned()), ..ObjectMeta::default() };
    maps.create(&PostParams::default(), &ConfigMap { metadata, ..ConfigMap::default() }).await.unwrap();

    plane.kill_api_server().unwrap();
    assert!(maps.get("kept").await.is_err());
    plane.start_api_server().unwrap();
    // The same address and the same certificate: the client of before goes on.
    assert!(maps.get("kept").await.is_ok());
}
