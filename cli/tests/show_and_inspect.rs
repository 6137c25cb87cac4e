//! `show` and `inspect`, also of workspaces that don't pass lint.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::process::CommandExt;

use serde_json::{Value, json};
use support::{VARIABLE, changed, copy, example, fails, json, prints, rototo};

fn ids(items: &Value) -> Vec<&str> {
    items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn show_lists_what_there_is() {
    let report = json(&example(), &["show"]);
    assert_eq!(report["command"], "show");
    assert_eq!(ids(&report["variables"]), [VARIABLE]);
    assert_eq!(
        ids(&report["qualifiers"]),
        ["degradation-trial-bucket", "high-queue-pressure", "severe-recovery-trial"]
    );
    assert_eq!(report["schemas"][0], json!({"id": "context.schema", "path": "schemas/context.schema.json"}));
    assert_eq!(report["lint_rules"], json!([]));
    let text = prints(&example(), &["show"]);
    assert!(text.starts_with(&format!("variable   {VARIABLE}  variables/{VARIABLE}.toml\n")), "{text}");
}

#[test]
fn show_prints_a_file_that_is_asked_for_by_name() {
    let report = json(&example(), &["show", "--resource", VARIABLE, "--qualifier", "high-queue-pressure"]);
    assert_eq!(report["resources"][0]["value"]["objects"]["severe"]["max_concurrency"], 10);
    assert_eq!(report["qualifiers"][0]["value"]["predicate"][0]["op"], "eq");
    let text = prints(&example(), &["show", "--qualifier", "high-queue-pressure"]);
    assert!(text.contains("attribute = \"service.queue_pressure\"\n"), "{text}");
}

#[test]
fn show_lists_the_rules_without_a_workspace() {
    let elsewhere = tempfile::tempdir().unwrap();
    let report = json(elsewhere.path(), &["show", "--lint-rules"]);
    let rules = report["diagnostics"].as_array().unwrap();
    assert!(rules.len() >= 47 && report["scope"] == "global", "{report}");
    assert_eq!(prints(elsewhere.path(), &["show", "--lint-rules"]).lines().count(), rules.len());
    let one = prints(elsewhere.path(), &["show", "--lint-rule", "rototo/qualifier-cycle"]);
    assert!(one.contains("\n  why:  ") && one.contains("\n  help: "), "{one}");
    let (code, text) = fails(elsewhere.path(), &["show", "--lint-rule", "rototo/qualifier-cycles"]);
    assert_eq!((code, text.contains("did you mean `rototo/qualifier-cycle`?")), (1, true), "{text}");
}

/// Each rule id that a command prints leads to the title of its findings and to a way out, also in SARIF.
#[test]
fn show_knows_the_rules_that_are_not_of_lint() {
    let tests = format!("tests/{VARIABLE}.toml");
    let expired = changed(&format!("variables/{VARIABLE}.toml"), "[resolve]", "expires = \"2020-01-01\"\n[resolve]");
    let failing = changed(&tests, "\"degraded\"", "\"severe\"");
    let invalid = changed(&tests, "rows = [", "row = [");
    let slip = changed(&tests, "schema_version = 1\n", "schema_version = 1\ncontext.pressure = \"high\"\n");
    let untested = tempfile::tempdir().unwrap();
    copy(&example(), untested.path());
    std::fs::remove_dir_all(untested.path().join("tests")).unwrap();
    let unread = changed("rototo-workspace.toml", "schema_version = 1", "schema_version = 1\nextends = [\"../no\"]");
    for (workspace, command, rule) in [
        (&expired, &["lint", "--expired"][..], "rototo/expired"),
        (&failing, &["test"], "rototo/test-failed"),
        (&invalid, &["test"], "rototo/test-invalid"),
        (&slip, &["test"], "rototo/test-attribute-unread"),
        (&untested, &["test"], "rototo/test-missing"),
        (&unread, &["lint", "."], "rototo/source-unreadable"),
    ] {
        let report = json(workspace.path(), command);
        let found = &report["diagnostics"][0];
        let shown = json(workspace.path(), &["show", "--lint-rule", rule]);
        assert_eq!((&found["rule"], &shown["rule"]), (&json!(rule), &json!(rule)), "{report} {shown}");
        assert_eq!(shown["severity"], found["severity"], "{rule}");
        assert!(shown["help"] == found["help"] || rule == "rototo/source-unreadable", "{rule}: {shown}");
        let log: Value =
            serde_json::from_slice(&rototo(workspace.path(), &[command, &["--format", "sarif"]].concat()).stdout)
                .unwrap();
        let descriptor = &log["runs"][0]["tool"]["driver"]["rules"][0];
        assert_eq!(descriptor["shortDescription"]["text"], shown["title"], "{rule}");
        assert_eq!(descriptor["help"]["text"], shown["help"], "{rule}");
        let text = prints(workspace.path(), &["show", "--lint-rule", rule]);
        assert!(text.starts_with(&format!("{rule}  ")) && text.contains("\n  help: "), "{text}");
        let all = json(workspace.path(), &["show", "--lint-rules"]);
        assert!(all["diagnostics"].as_array().unwrap().contains(&shown), "{rule}");
        if rule != "rototo/source-unreadable" {
            let report = json(workspace.path(), &["show", ".", "--lint-rule", rule]);
            assert_eq!(report["lint_rules"], json!([shown]));
        }
    }
}

#[test]
fn inspect_shows_what_depends_on_what() {
    let report = json(&example(), &["inspect"]);
    assert_eq!(report["runtime"], json!({"status": "available"}));
    let variable = &report["variables"][0];
    assert_eq!(
        variable["dependencies"],
        json!({
            "qualifiers": ["degradation-trial-bucket", "high-queue-pressure", "severe-recovery-trial"],
            "context_paths": ["account.id", "service.queue_pressure"],
            "schemas": [],
            "resources": [VARIABLE],
        })
    );
    assert_eq!(
        report["qualifiers"][1]["consumers"],
        json!([
            {"kind": "qualifier", "label": "qualifier severe-recovery-trial predicate[0]"},
            {"kind": "variable", "label": format!("variable {VARIABLE} resolve.rule[1]")},
        ])
    );
    assert_eq!(variable.get("trace"), None);
    let text = prints(&example(), &["inspect", "--qualifier", "severe-recovery-trial"]);
    assert!(text.contains("depends on  context account.id\n") && text.contains("used by     variable "), "{text}");
}

#[test]
fn inspect_shows_the_steps_for_a_context() {
    let context = ["--context", "service.queue_pressure=high", "--context", "account.id=acct-001"];
    let report = json(&example(), &[&["inspect", "--variables"], &context[..]].concat());
    assert_eq!(report["variables"][0]["trace"]["resolution"]["value_key"], "severe");
    let (code, text) = fails(&example(), &[&["inspect"], &context[..]].concat());
    assert_eq!((code, text.contains("name a --variable ID")), (2, true), "{text}");
}

#[test]
fn inspect_explains_workspaces_that_do_not_resolve() {
    let workspace = changed(&format!("variables/{VARIABLE}.toml"), "default = \"normal\"", "default = \"none\"");
    let report = json(workspace.path(), &["inspect"]);
    assert_eq!(report["runtime"]["status"], "unavailable");
    assert_eq!(report["variables"][0]["diagnostics"][0]["rule"], "rototo/variable-unknown-value");
    assert_eq!(report["variables"][0]["resolve"]["default_value"], "none");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(prints(&example(), &["completions", shell]).contains("inspect"), "{shell}");
    }
    assert_eq!(fails(&example(), &["completions", "tcl"]).0, 2);
}

/// kubectl completes only its own words, and asks a program of another name for those of a plugin.
#[test]
fn as_a_plugin_the_completions_are_refused_with_what_works() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rototo"));
        let output = command.arg0("/opt/bin/kubectl-rototo").args(["completions", shell]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{shell}: {error}");
        assert!(error.contains("`kubectl_complete-rototo`") && error.contains("`rototo completions "), "{error}");
    }
}
