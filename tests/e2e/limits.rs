//! A namespace that reaches a limit of the operator learns which, and what it has published runs on.

use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::ControlPlane;
use serde_json::json;

use crate::scene::{Scene, WORKSPACE, condition};

#[tokio::test]
async fn the_youngest_workspace_beyond_the_limit_is_not_read_until_an_older_one_is_removed() {
    let flags = ["--workspaces-per-namespace=1"];
    let scene = Scene::published_with(ControlPlane::shared().unwrap(), "limits", &flags).await;
    let spec = json!({ "source": scene.repository.url(), "interval": "5s" });
    scene.namespace.apply_workspace("younger", spec).await.unwrap();
    let is_refused = |workspace: &RototoWorkspace| {
        let status = workspace.status.as_ref();
        status.is_some_and(|status| condition(status, "SourceReady") == "False/LimitReached")
    };
    let refused = scene.namespace.wait_for_workspace("younger", "refused", is_refused).await.unwrap();
    let status = refused.status.unwrap();
    let message = &status.condition("SourceReady").unwrap().message;
    assert!(message.contains("more than 1 RototoWorkspaces") && message.contains("--workspaces-per-namespace"));
    assert!(scene.namespace.marker("younger").await.unwrap().is_none());
    let count = scene.operator.metric("rototo_requests_refused_total", &["workspaces_of_namespace"]).unwrap();
    assert!(count > 0.0);
    assert!(scene.marker().await.is_some(), "the older one is published as before");

    let namespace = scene.namespace.name();
    scene.namespace.cluster().kubectl(&["--namespace", namespace, "delete", "rws", WORKSPACE]).unwrap();
    scene.namespace.wait_for_condition("younger", "Published", "True").await.unwrap();
}
