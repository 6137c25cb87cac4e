//! The status names the fault of a source, and the action that helps.

use std::process::Command;

use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::{ControlPlane, program};
use serde_json::{Value, json};

use crate::scene::{Scene, TRIAL, WORKSPACE, condition};

/// Applies a spec. Returns the reason and the message of SourceReady once that is False.
async fn refused(scene: &Scene, spec: Value) -> (String, String) {
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    let workspace = scene.namespace.wait_for_condition(WORKSPACE, "SourceReady", "False").await.unwrap();
    let status = workspace.status.unwrap();
    let ready = condition(&status, "SourceReady");
    let message = status.condition("SourceReady").unwrap().message.clone();
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

    let spec = json!({ "source": scene.repository.url(), "secretRef": { "name": "rototo-source" } });
    let (_, message) = refused(&scene, spec).await;
    assert!(message.contains("Secret `rototo-source`") && message.contains(scene.namespace.name()), "{message}");

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

/// Runs the command up to its pipe, and returns what it prints.
fn printed(command: &str) -> String {
    let (rototo, pipe) = command.split_once(" | ").unwrap();
    assert_eq!(pipe, "kubectl apply -f -");
    let words: Vec<&str> = rototo.split(' ').collect();
    assert_eq!(words[0], "rototo");
    let output = Command::new(program("rototo").unwrap()).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_secret_that_the_operator_may_not_read_is_granted_by_the_command_in_the_message() {
    let scene = Scene::quiet_on(ControlPlane::shared().unwrap(), "secret-grant").await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "git-credentials" },
        "stringData": { "ca.crt": "" },
    });
    scene.namespace.apply(&secret.to_string()).unwrap();
    let spec = json!({ "source": scene.repository.url(), "secretRef": { "name": "git-credentials" } });
    let (ready, message) = refused(&scene, spec).await;
    assert_eq!(ready, "False/SecretForbidden", "{message}");
    scene.namespace.apply(&printed(message.split_once("to allow it: ").unwrap().1)).unwrap();
    scene.ask().await;
    let read = |workspace: &RototoWorkspace| {
        let status = workspace.status.as_ref();
        status.is_some_and(|status| condition(status, "SourceReady") != "False/SecretForbidden")
    };
    scene.namespace.wait_for_workspace(WORKSPACE, "the Secret to be read", read).await.unwrap();
}

#[tokio::test]
async fn only_what_a_trusted_signer_signed_is_published() {
    let scene = Scene::published("signed").await;
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("alice");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "rototo-signers" },
        "stringData": { "alice.sshpub": public },
    });
    scene.namespace.apply(&secret.to_string()).unwrap();
    let before = scene.map_version().await;
    let verify = json!({ "secretRef": { "name": "rototo-signers" } });
    let spec = json!({ "source": scene.repository.url(), "interval": "1h", "verify": verify });
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 2000]").unwrap();
    scene.repository.push().unwrap();
    let (ready, message) = refused(&scene, spec).await;
    assert_eq!(ready, "False/SignatureInvalid", "{message}");
    assert!(message.contains(&scene.repository.head().unwrap()), "{message}");
    assert_eq!(scene.map_version().await, before);

    let signing_key = format!("user.signingkey={}", key.display());
    let amend = ["-c", "gpg.format=ssh", "-c", &signing_key, "commit", "--quiet", "--amend", "--no-edit", "-S"];
    scene.repository.git(&amend).unwrap();
    let status = scene.push().await;
    assert_eq!(condition(&status, "SourceReady"), "True/Fetched");
    let signer = status.source.unwrap().signer.unwrap();
    assert!(signer.starts_with("alice with ED25519 key SHA256:"), "{signer}");
    assert_ne!(scene.map_version().await, before);
}

#[tokio::test]
async fn a_revision_whose_tests_fail_is_not_published() {
    let scene = Scene::published("tests-fail").await;
    let before = scene.map_version().await;
    // All accounts take part in the trial, which a test of the example forbids.
    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 10000]").unwrap();
    scene.repository.push().unwrap();
    let spec = json!({ "source": scene.repository.url(), "interval": "1h", "lint": { "tests": true } });
    scene.namespace.apply_workspace(WORKSPACE, spec.clone()).await.unwrap();
    let workspace = scene.namespace.wait_for_condition(WORKSPACE, "LintPassed", "False").await.unwrap();
    let status = workspace.status.unwrap();
    assert_eq!(condition(&status, "LintPassed"), "False/LintRefused");
    let finding = &status.rejected.as_ref().unwrap().diagnostics[0];
    let path = "tests/service-degradation-policy.toml";
    assert_eq!((&*finding.rule, finding.path.as_deref(), finding.line), ("rototo/test-failed", Some(path), Some(12)));
    assert!(!finding.message.contains("severe"), "{finding:?}");
    assert_eq!(scene.map_version().await, before);

    // Without its tests the revision is fine.
    let spec = json!({ "source": scene.repository.url(), "interval": "1h" });
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    scene.namespace.wait_for_condition(WORKSPACE, "LintPassed", "True").await.unwrap();
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
        (json!({ "source": "https://example.com/c.zip", "verify": { "secretRef": { "name": "s" } } }), "needs a git"),
    ] {
        let error = scene.namespace.apply_workspace(WORKSPACE, spec.clone()).await.unwrap_err();
        assert!(format!("{error:#}").contains(word), "{spec}: {error:#}");
    }
    let spec = json!({ "source": "git+https://example.com/c.git" });
    let error = scene.namespace.apply_workspace(&"n".repeat(64), spec).await.unwrap_err();
    assert!(format!("{error:#}").contains("at most 63"), "{error:#}");
}

#[tokio::test]
async fn a_changed_spec_that_was_never_read_is_not_taken_for_done() {
    let scene = Scene::published("unread").await;
    let before = scene.map_version().await;
    let spec = json!({ "source": scene.repository.url(), "interval": "1h", "secretRef": { "name": "rototo-source" } });
    scene.namespace.apply_workspace(WORKSPACE, spec).await.unwrap();
    let fails = |workspace: &RototoWorkspace| {
        workspace.status.as_ref().is_some_and(|status| condition(status, "SourceReady").starts_with("False"))
    };
    let workspace = scene.namespace.wait_for_workspace(WORKSPACE, "unread", fails).await.unwrap();
    let (status, generation) = (workspace.status.unwrap(), workspace.metadata.generation);
    assert!(status.observed_generation < generation, "{status:?}");
    assert_eq!(condition(&status, "Reconciling"), "True/Polling");
    // What was published runs on.
    assert_eq!((condition(&status, "Published"), scene.map_version().await), ("True/Published".to_owned(), before));
    scene.apply().await;
    scene.namespace.wait_for_condition(WORKSPACE, "SourceReady", "True").await.unwrap();
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
