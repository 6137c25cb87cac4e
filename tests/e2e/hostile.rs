//! Workspaces that are made to stop the operator are refused in their own status, and all others continue.

use std::fs;

use rototo_api::workspace::RototoWorkspace;
use rototo_tests::harness::GitRepo;
use serde_json::{Map, json};

use crate::scene::{Scene, TRIAL, condition, example};

const SCHEMA: &str = "schemas/service-degradation-policy.schema.json";
const POLICY: &str = "resources/service-degradation-policy-objects/normal.toml";

/// Returns forty nested schemas, each of which takes twice as long to check as the one inside it.
fn doubling() -> String {
    let next = |level: usize| json!({ "$ref": format!("#/$defs/a{}", level + 1) });
    let links = (0..40).map(|level| (format!("a{level}"), json!({ "anyOf": [next(level), next(level)] })));
    let last = ("a40".to_owned(), json!({ "type": "string" }));
    json!({ "$ref": "#/$defs/a0", "$defs": links.chain([last]).collect::<Map<_, _>>() }).to_string()
}

/// Returns short patterns that need 10 MB each when they are compiled.
fn patterns() -> String {
    let each = |number: usize| (format!("p{number}"), json!({ "pattern": format!("^\\pL{{100}}{number}$") }));
    json!({ "properties": (0..1_000).map(each).collect::<Map<_, _>>() }).to_string()
}

#[tokio::test]
async fn hostile_workspaces_are_refused_and_others_continue() {
    let scene = Scene::published("hostile").await;
    let app = scene.app().start().await.unwrap();
    scene.wait_for_fleet(1).await;

    let deep = format!("v = {}", "[".repeat(200_000));
    for (name, path, text, refusal) in [
        ("doubling", SCHEMA, doubling(), "False/LintRefused"),
        ("patterns", SCHEMA, patterns(), "False/LintRefused"),
        ("deep", POLICY, deep, "False/LintRefused"),
        ("large", POLICY, String::new(), "False/SourceRefused"),
    ] {
        let repository = GitRepo::with_workspace(&example(), "workspaces/prod").unwrap();
        repository.commit(&[(path, &text)], "Attack").unwrap();
        if name == "large" {
            // The file is sparse, so the test does not write it.
            let file = repository.git(&["rev-parse", "--show-toplevel"]).unwrap();
            let file = format!("{}/workspaces/prod/{path}", file.trim());
            fs::File::create(file).unwrap().set_len(300 << 20).unwrap();
            repository.git(&["commit", "--quiet", "--all", "--message", "Attack"]).unwrap();
        }
        repository.push().unwrap();
        let spec = json!({ "source": repository.url(), "interval": "1h" });
        scene.namespace.apply_workspace(name, spec).await.unwrap();
        let type_ = if refusal.ends_with("LintRefused") { "LintPassed" } else { "SourceReady" };
        let refused = |workspace: &RototoWorkspace| {
            workspace.status.as_ref().is_some_and(|status| condition(status, type_) == refusal)
        };
        scene.namespace.wait_for_workspace(name, refusal, refused).await.unwrap();
    }

    scene.repository.edit(TRIAL, "[0, 1000]", "[0, 6000]").unwrap();
    scene.push().await;
    scene.wait_for_fleet(1).await;
    app.wait_for_policy("high", "acct-0001", "severe").unwrap();

    let status = fs::read_to_string(format!("/proc/{}/status", scene.operator.process().unwrap().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    assert!(peak < 512 << 10, "the operator has taken {peak} KiB");
}

/// A folder that a machine without case in its file names has renamed would empty the workspace without a word.
#[tokio::test]
async fn a_workspace_whose_directories_were_renamed_keeps_its_marker() {
    let scene = Scene::published("renamed").await;
    let before = scene.marker().await.unwrap();
    let moved = |from: &str, to: &str| {
        let repository = &scene.repository;
        let root = repository.path("");
        let (from, to) = (root.join(from), root.join(to));
        fs::rename(from, to).unwrap();
        repository.git(&["add", "--all"]).unwrap();
        repository.git(&["commit", "--quiet", "--message", "Rename"]).unwrap();
    };
    moved("variables", "Variables");
    let status = scene.push().await;
    assert_eq!(condition(&status, "LintPassed"), "False/LintRefused");
    let refused = status.rejected.unwrap().diagnostics;
    assert_eq!((&*refused[0].rule, refused[0].path.as_deref()), ("rototo/workspace-path-misnamed", Some("Variables")));
    assert_eq!(scene.marker().await.unwrap(), before);
    moved("Variables", "variables");
    assert_eq!(condition(&scene.push().await, "LintPassed"), "True/Passed");

    // A path beside the documents does not change the fingerprint, and is linted all the same: when it comes and goes.
    scene.repository.commit(&[("variables/other.TOML", "schema_version = 1\n")], "Add").unwrap();
    assert_eq!(condition(&scene.push().await, "LintPassed"), "False/LintRefused");
    scene.repository.remove(&["variables/other.TOML"], "Remove").unwrap();
    let status = scene.push().await;
    assert_eq!((condition(&status, "LintPassed").as_str(), status.rejected), ("True/Passed", None));
    assert_eq!(scene.marker().await.unwrap(), before);
}
