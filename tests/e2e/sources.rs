//! The status names the fault of a source, and the action that helps.

use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::ControlPlane;
use serde_json::{Value, json};

use crate::scene::{Scene, WORKSPACE, condition};

/// Applies a spec. Returns the reason and the message of SourceReady once that is False.
async fn refused(scene: &Scene, spec: Value) -> (String, String) {
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    let workspace = scene.namespace.wait_for_condition(WORKSPACE, "SourceReady", "False").await.unwrap();
    let status = workspace.status.unwrap();
    let ready = condition(&status, "SourceReady");
    let message = status.conditions.into_iter().find(|one| one.type_ == "SourceReady").unwrap().message;
    (ready, message)
}

#[tokio::test]
async fn each_fault_of_a_source_has_its_own_message() {
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "sources").await;
    let (ready, message) = refused(&scene, json!({ "source": scene.repository.url_at("nowhere") })).await;
    assert_eq!(ready, "False/SourceRefused");
    assert!(message.contains("nowhere"), "{message}");

    let elsewhere = scene.repository.url().replace("workspaces/prod", "workspaces/elsewhere");
    let (_, message) = refused(&scene, json!({ "source": elsewhere })).await;
    assert!(message.contains("workspaces/elsewhere"), "{message}");

    let spec = json!({ "source": scene.repository.url(), "secretRef": { "name": "absent" } });
    let (_, message) = refused(&scene, spec).await;
    assert!(message.contains("Secret `absent`") && message.contains(scene.namespace.name()), "{message}");

    // The author of a source must not reach what only the operator reaches.
    let api_server =
        ControlPlane::shared().unwrap().url().trim_start_matches("https://").trim_end_matches('/').to_owned();
    for (source, named) in [
        ("git+https://169.254.169.254/latest/meta-data#main".to_owned(), "link-local"),
        (format!("https://{api_server}/api.zip"), "the API server of the cluster"),
        (format!("git+https://{api_server}/api.git#main"), "the API server of the cluster"),
    ] {
        scene.namespace.apply_workspace(WORKSPACE, json!({ "source": source })).await.unwrap();
        let is_named = |workspace: &RototoWorkspace| {
            let status = workspace.status.as_ref();
            status.is_some_and(|status| status.conditions.iter().any(|one| one.message.contains(named)))
        };
        let workspace = scene.namespace.wait_for_workspace(WORKSPACE, named, is_named).await.unwrap();
        assert_eq!(condition(&workspace.status.unwrap(), "SourceReady"), "False/SourceRefused");
    }

    // The workspace recovers once the source is right.
    scene.apply().await;
    scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
}

#[tokio::test]
async fn an_invalid_spec_is_refused_at_apply() {
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "apply").await;
    for (spec, word) in [
        (json!({}), "spec.source"),
        (json!({ "source": "" }), "spec.source"),
        (json!({ "source": "/srv/config" }), "must begin with"),
        (json!({ "source": "ftp://example.com/config" }), "must begin with"),
        (json!({ "source": "http://example.com/config.tar.gz" }), "unencrypted"),
        (json!({ "source": "git+http://example.com/config.git" }), "unencrypted"),
        (json!({ "source": "git+https://example.com/c.git", "interval": "1s" }), "between 5s and 24h"),
        (json!({ "source": "git+https://example.com/c.git", "interval": "25h" }), "between 5s and 24h"),
        (json!({ "source": "git+https://example.com/c.git", "interval": "soon" }), "interval"),
        (json!({ "source": "git+https://example.com/c.git", "lint": { "failOn": "never" } }), "failOn"),
    ] {
        let error = scene.namespace.apply_workspace(WORKSPACE, spec.clone()).await.unwrap_err();
        assert!(format!("{error:#}").contains(word), "{spec}: {error:#}");
    }
    let spec = json!({ "source": "git+https://example.com/c.git" });
    let error = scene.namespace.apply_workspace(&"n".repeat(64), spec).await.unwrap_err();
    assert!(format!("{error:#}").contains("at most 63"), "{error:#}");
}

#[tokio::test]
async fn a_git_host_that_was_down_is_polled_again_without_a_request() {
    let scene = Scene::published("githost").await;
    let version = scene.map_version().await;
    scene.repository.take_away().unwrap();
    let spec = json!({ "source": scene.repository.url(), "interval": "5s" });
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    let workspace = scene.namespace.wait_for_condition(WORKSPACE, "SourceReady", "False").await.unwrap();
    let status = workspace.status.unwrap();
    assert_eq!(condition(&status, "Published"), "True/Published");
    assert!(status.source.unwrap().last_error.is_some());
    let asked = |outcome: &str| {
        let labels = ["kind=\"ls-remote\"", &format!("outcome=\"{outcome}\"")];
        scene.operator.metric("rototo_git_requests_total", &labels).unwrap()
    };
    assert!(asked("success") >= 1.0 && asked("no_repository") >= 1.0, "{}", scene.operator.metrics().unwrap());
    scene.repository.bring_back().unwrap();
    let back = |workspace: &RototoWorkspace| {
        workspace.status.as_ref().is_some_and(|status| condition(status, "SourceReady") == "True/Fetched")
    };
    scene.namespace.wait_for_workspace(WORKSPACE, "confirmed again", back).await.unwrap();
    assert_eq!(scene.map_version().await, version);
}

#[tokio::test]
async fn a_change_in_a_lower_layer_is_published() {
    let scene = Scene::published("layers").await;
    let base = |path: &str, text: &str| {
        scene.repository.commit(&[(&format!("../base/{path}"), text)], "Change the base").unwrap();
    };
    base("rototo-workspace.toml", "schema_version = 1\n");
    let manifest = "schema_version = 1\nextends = [\"../base\"]\n";
    scene.repository.commit(&[("rototo-workspace.toml", manifest)], "Extend the base").unwrap();
    let before = scene.push().await;
    let layers = before.source.unwrap().layers;
    assert_eq!(layers.len(), 2);
    assert!(
        layers[0].source.ends_with("workspaces/base") && layers[1].source.ends_with("workspaces/prod"),
        "{layers:?}"
    );
    let version = scene.map_version().await;

    base(
        "variables/limit.toml",
        "schema_version = 1\ntype = \"int\"\nvalues = { small = 1 }\nresolve = { default = \"small\" }\n",
    );
    let after = scene.push().await;
    scene.namespace.wait_for_condition(WORKSPACE, "Published", "True").await.unwrap();
    assert_ne!(scene.map_version().await, version);
    assert_ne!(after.published.unwrap().fingerprint, before.published.unwrap().fingerprint);
    assert_eq!(after.workspace.unwrap().variables, 2);
}
