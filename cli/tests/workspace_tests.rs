//! `rototo test`, and `rototo fixtures --tests`, as an author runs them.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{VARIABLE, changed, copy, example, fails, json, prints, replace, rototo};

const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";
const TEST: &str = "tests/service-degradation-policy.toml";

#[test]
fn tests_that_hold_are_summed_up() {
    assert_eq!(prints(&example(), &["test", "."]), "ok: . (5 cases in 1 file, 7 checks)\n");
    assert_eq!(prints(&example(), &["test", ".", "--quiet"]), "");
    let report = json(&example(), &["test", "."]);
    assert_eq!((&report["files"], &report["cases"], &report["checks"]), (&1.into(), &5.into(), &7.into()));
    assert_eq!(report["diagnostics"], serde_json::json!([]));
    assert_eq!(report["coverage"]["variables"][VARIABLE]["by_default"], 2);
}

#[test]
fn a_test_that_fails_shows_its_row_and_the_rule_that_decided() {
    let workspace = changed(TRIAL, "[0, 1000]", "[0, 10000]");
    let (code, text) = fails(workspace.path(), &["test", "."]);
    assert_eq!(code, 1);
    for part in [
        "error[rototo/test-failed]: by pressure and account, row 4: `service-degradation-policy` is `severe` (",
        ", and `degraded` is expected",
        "service-degradation-policy.toml:12:",
        "[\"high\", \"acct-0001\", \"degraded\"]",
        "note: rule 0 decides",
        "failed: 1 error of 7 checks, 5 cases in 1 file of .",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    std::fs::create_dir(workspace.path().join(".git")).unwrap();
    let (_, text) = fails(workspace.path(), &["test", ".", "--format", "github"]);
    assert!(text.starts_with(&format!("::error file={TEST},line=12,")), "{text}");
    let log = prints_failing(workspace.path(), &["test", ".", "--format", "sarif"]);
    assert_eq!(log["runs"][0]["automationDetails"]["id"], "rototo-test//");
    assert_eq!(log["runs"][0]["results"][0]["ruleId"], "rototo/test-failed");
}

fn prints_failing(directory: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&fails(directory, arguments).1).unwrap()
}

#[test]
fn coverage_names_what_no_test_reaches() {
    let workspace =
        changed(TEST, "  [\"normal\", \"acct-001\", \"normal\"],\n  [\"normal\", \"acct-0001\", \"normal\"],\n", "");
    assert_eq!(
        prints(workspace.path(), &["test", ".", "--coverage"]),
        "ok: . (3 cases in 1 file, 5 checks)\n\
         coverage: 2 of 3 rules and defaults, 5 of 6 results of qualifiers\n  \
         variables/service-degradation-policy.toml: the default never decides\n  \
         qualifiers/high-queue-pressure.toml: never false\n"
    );
}

#[test]
fn tests_of_a_commit_run_and_stay_out_of_the_content() {
    let repository = tempfile::tempdir().unwrap();
    let workspace = repository.path().join("workspaces/prod");
    copy(&example(), &workspace);
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let mut git = Command::new("git");
        assert!(git.current_dir(repository.path()).args(identity).args(arguments).status().unwrap().success());
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "-m", "a workspace"]);
    let source = format!("git+file://{}#main:workspaces/prod", repository.path().display());
    assert_eq!(prints(repository.path(), &["test", &source]), format!("ok: {source} (5 cases in 1 file, 7 checks)\n"));
    let fingerprint = prints(&workspace, &["lint", "."]);
    std::fs::remove_dir_all(workspace.join("tests")).unwrap();
    assert_eq!(prints(&workspace, &["lint", "."]), fingerprint);
    let (code, text) = fails(&workspace, &["test", "."]);
    assert!(code == 1 && text.contains("error: . has no tests: write tests/NAME.toml"), "{text}");
}

#[test]
fn a_workspace_with_errors_shows_them_instead() {
    let workspace = changed(&format!("variables/{VARIABLE}.toml"), "default = \"normal\"", "default = \"none\"");
    let (code, text) = fails(workspace.path(), &["test"]);
    assert!(code == 1 && text.contains("error[rototo/variable-unknown-value]"), "{text}");
}

#[test]
fn the_first_tests_are_written_hold_and_stay() {
    let workspace = tempfile::tempdir().unwrap();
    copy(&example(), workspace.path());
    std::fs::remove_dir_all(workspace.path().join("tests")).unwrap();
    let write = ["fixtures", ".", "--tests", "--out", "tests"];
    let text = prints(workspace.path(), &write);
    assert!(text.contains("  wrote variable-service-degradation-policy.toml\n"), "{text}");
    let text = prints(workspace.path(), &["test", "--coverage"]);
    assert!(text.contains("coverage: 3 of 3 rules and defaults, 6 of 6 results of qualifiers\n"), "{text}");
    let written = workspace.path().join(format!("tests/variable-{VARIABLE}.toml"));
    replace(&written, "\"degraded\"", "\"severe\"");
    assert_eq!(prints(workspace.path(), &write), "fixtures: tests\n");
    assert!(fails(workspace.path(), &["test"]).1.contains("and `severe` is expected"));
}

/// A pipeline finds the reason in the form that it reads, whatever keeps the tests from running.
#[test]
fn each_form_says_why_no_test_ran() {
    let broken = changed(&format!("variables/{VARIABLE}.toml"), "default = \"normal\"", "default = \"none\"");
    let untested = changed(TEST, "schema_version", "schema_version");
    std::fs::remove_dir_all(untested.path().join("tests")).unwrap();
    let unread = changed("rototo-workspace.toml", "schema_version = 1", "schema_version = 1\nextends = [\"../nope\"]");
    for (workspace, source, rule, is_complete) in [
        (&broken, ".", "rototo/variable-unknown-value", false),
        (&untested, ".", "rototo/test-missing", true),
        (&unread, ".", "rototo/source-unreadable", false),
        (&unread, "none", "rototo/workspace-not-found", false),
    ] {
        let test = |form: &str| {
            let output = rototo(workspace.path(), &["test", source, "--format", form]);
            assert_eq!(output.status.code(), Some(1), "{rule} in {form}");
            String::from_utf8(output.stdout).unwrap()
        };
        let [report, log] = ["json", "sarif"].map(|form| serde_json::from_str::<Value>(&test(form)).unwrap());
        assert_eq!(report["diagnostics"][0]["rule"], rule);
        assert_eq!((&report["checks"], &report["coverage"]["variables"]), (&0.into(), &serde_json::json!({})));
        let run = &log["runs"][0];
        assert_eq!((&run["results"][0]["ruleId"], &run["results"][1]), (&rule.into(), &Value::Null));
        assert_eq!(run["invocations"][0]["executionSuccessful"], is_complete, "{rule}");
        let commands = test("github");
        assert!(commands.starts_with("::error file=") && commands.contains(&format!(",title={rule}::")), "{commands}");
    }
    let (_, text) = fails(unread.path(), &["test", "."]);
    assert!(text.starts_with("error: reading . failed: it extends"), "{text}");
}

#[test]
fn a_row_above_a_failing_one_leaves_its_fingerprint() {
    let workspace = changed(TRIAL, "[0, 1000]", "[0, 10000]");
    let fingerprints = || {
        let log = prints_failing(workspace.path(), &["test", ".", "--format", "sarif"]);
        log["runs"][0]["results"][0]["partialFingerprints"].clone()
    };
    let before = fingerprints();
    replace(&workspace.path().join(TEST), "rows = [\n", "rows = [\n  [\"normal\", \"acct-002\", \"normal\"],\n");
    assert_eq!(fingerprints(), before);
}

/// Its cases may hold for another reason, and a person who reads the list sees that one column decides nothing.
#[test]
fn a_misspelt_column_is_a_warning_in_each_form() {
    let workspace =
        changed(TEST, "schema_version = 1\n", "schema_version = 1\ncontext.service.queue_presure = \"low\"\n");
    let message = "no qualifier reads `service.queue_presure`, and no context schema declares it; is `service.queue_pressure` meant?";
    let text = prints(workspace.path(), &["test", ".", "--quiet"]);
    assert!(text.starts_with(&format!("warning[rototo/test-attribute-unread]: {message}\n")), "{text}");
    assert!(text.ends_with("\nok: . (5 cases in 1 file, 7 checks), 1 warning\n"), "{text}");
    let report = json(workspace.path(), &["test", "."]);
    assert_eq!((&report["diagnostics"][0]["severity"], &report["diagnostics"][1]), (&"warning".into(), &Value::Null));
    let commands = prints(workspace.path(), &["test", ".", "--format", "github"]);
    assert!(commands.starts_with("::warning file=") && commands.contains(message), "{commands}");
    let log: Value = serde_json::from_str(&prints(workspace.path(), &["test", ".", "--format", "sarif"])).unwrap();
    assert_eq!(log["runs"][0]["results"][0]["level"], "warning");
    replace(&workspace.path().join(TEST), "\"degraded\"", "\"severe\"");
    let (code, text) = fails(workspace.path(), &["test", "."]);
    assert!(code == 1 && text.contains("\nfailed: 1 error of 7 checks, 1 warning, 5 cases in 1 file of .\n"), "{text}");
}

/// `rototo test` refuses a file without a case, and TOML has no null.
#[test]
fn first_tests_have_cases_and_values_that_toml_has() {
    let workspace = tempfile::tempdir().unwrap();
    let qualifier = |attribute: &str| {
        format!("schema_version = 1\n[[predicate]]\nattribute = \"{attribute}\"\nop = \"neq\"\nvalue = \"a\"\n")
    };
    let schema =
        r#"{ "properties": { "tags": { "enum": [[null], ["b"]] }, "n": { "enum": [[null], 18446744073709551615] } } }"#;
    for (path, text) in [
        ("rototo-workspace.toml", "schema_version = 1\n"),
        ("qualifiers/tags.toml", &qualifier("tags")),
        ("qualifiers/n.toml", &qualifier("n")),
        ("schemas/context.schema.json", schema),
    ] {
        let path = workspace.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let output = rototo(workspace.path(), &["fixtures", ".", "--tests", "--out", "tests"]);
    let (text, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}");
    assert_eq!(text, "fixtures: tests\n  wrote qualifier-tags.toml\n");
    assert_eq!(said.matches("no context was found for qualifier-n.toml: ").count(), 2, "{said}");
    let written = std::fs::read_to_string(workspace.path().join("tests/qualifier-tags.toml")).unwrap();
    assert!(written.contains("tags = [\"b\"]"), "{written}");
    assert_eq!(prints(workspace.path(), &["test", "."]), "ok: . (1 case in 1 file, 1 check)\n");
}
