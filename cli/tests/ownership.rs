//! The owner and the expiry of variables and rules in the commands that show variables, and `rototo lint --expired`.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::Value;
use support::{VARIABLE, changed, example, fails, json, prints};

/// Returns a copy of the example, whose variable has an owner and a rule that expires.
fn owned() -> tempfile::TempDir {
    changed(
        &format!("variables/{VARIABLE}.toml"),
        "qualifier = \"high-queue-pressure\"\n",
        "qualifier = \"high-queue-pressure\"\nowner = \"team-jobs\"\nexpires = \"2026-12-31\"\n",
    )
}

#[test]
fn what_has_expired_is_a_warning_in_every_format() {
    let workspace = owned();
    let expired =
        |format: &str, day: &str| prints(workspace.path(), &["lint", "--expired", "--on", day, "--format", format]);
    for format in ["text", "json", "github", "sarif"] {
        assert!(!expired(format, "2026-12-30").contains("rototo/expired"), "{format}");
        let listed = expired(format, "2026-12-31");
        let message = format!("rule 1 of variable `{VARIABLE}` expired on 2026-12-31; its owner is `team-jobs`");
        assert!(listed.contains("rototo/expired") && listed.contains(&message), "{format}: {listed}");
    }
    let found = json(workspace.path(), &["lint", "--expired", "--on", "2027-01-01"]);
    let found = &found["diagnostics"][0];
    let text = std::fs::read_to_string(workspace.path().join(format!("variables/{VARIABLE}.toml"))).unwrap();
    let line = text.lines().position(|line| line.starts_with("expires")).unwrap();
    assert_eq!(found["location"]["range"]["start"]["line"], line);
    assert_eq!((&found["severity"], &found["entity"]["index"]), (&Value::from("warning"), &Value::from(1)));
    assert!(expired("text", "2027-01-01").contains(&format!("{VARIABLE}.toml:{}", line + 1)));
}

#[test]
fn without_the_option_no_day_matters_and_without_a_day_it_is_today() {
    let workspace = owned();
    let file = workspace.path().join(format!("variables/{VARIABLE}.toml"));
    support::replace(&file, "2026-12-31", "2020-01-01");
    assert!(!prints(workspace.path(), &["lint"]).contains("expired"));
    assert!(prints(workspace.path(), &["lint", "--expired"]).contains("expired on 2020-01-01"));
    support::replace(&file, "2020-01-01", "9999-12-31");
    assert!(!prints(workspace.path(), &["lint", "--expired"]).contains("rototo/expired"));
}

#[test]
fn a_selection_selects_among_what_has_expired() {
    let workspace = owned();
    let found = |selector: &str| json(workspace.path(), &["lint", "--expired", "--on", "2027-01-01", selector]);
    assert_eq!(found("--variables")["diagnostics"].as_array().unwrap().len(), 1);
    assert_eq!(found("--qualifiers")["diagnostics"].as_array().unwrap().len(), 0);
}

#[test]
fn a_day_that_is_none_is_refused_and_asks_for_the_option() {
    let (code, text) = fails(&example(), &["lint", "--expired", "--on", "2026-02-30"]);
    assert!(code == 2 && text.contains("such as 2026-12-31"), "{code} {text}");
    let (code, text) = fails(&example(), &["lint", "--on", "2026-12-31"]);
    assert!(code == 2 && text.contains("--expired"), "{code} {text}");
}

#[test]
fn commands_that_show_a_variable_show_who_answers_for_it() {
    let workspace = owned();
    let file = workspace.path().join(format!("variables/{VARIABLE}.toml"));
    support::replace(
        &file,
        "schema_version = 1\n",
        "schema_version = 1\nowner = \"team-web\"\nexpires = \"2027-06-30\"\n",
    );
    let list = prints(workspace.path(), &["show"]);
    assert!(list.contains(&format!("{VARIABLE}.toml  owner team-web, expires on 2027-06-30\n")), "{list}");
    assert!(prints(workspace.path(), &["show", "--variable", VARIABLE]).contains("owner = \"team-web\""));
    let explain = ["explain", "--context", "service.queue_pressure=low", "--context", "account.id=a"];
    let text = prints(workspace.path(), &explain);
    assert!(text.contains("\n  owner team-web, expires on 2027-06-30\n"), "{text}");
    assert!(text.contains("high-queue-pressure is true  (owner team-jobs, expires on 2026-12-31)\n"), "{text}");
    let report = json(workspace.path(), &explain);
    assert_eq!(report["variables"][0]["owner"], "team-web");
    assert_eq!(report["variables"][0]["expires"], "2027-06-30");
}
