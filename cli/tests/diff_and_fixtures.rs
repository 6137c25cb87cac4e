//! `diff` and `fixtures`, as a reviewer and a pipeline run them.
#![allow(clippy::unwrap_used)]

mod support;

use support::{VARIABLE, changed, example, fails, json, prints, replace, rototo, throttle};

const TRIAL: &str = "qualifiers/degradation-trial-bucket.toml";

#[test]
fn diff_shows_the_changes_and_their_audience() {
    let new = changed(TRIAL, "[0, 1000]", "[0, 3000]");
    replace(&new.path().join(format!("resources/{VARIABLE}-objects/severe.toml")), "= 10", "= 5");
    let (old, new) = (example().display().to_string(), new.path().display().to_string());
    assert_eq!(
        prints(&example(), &["diff", &old, &new]),
        "variable service-degradation-policy\n  \
         ~ qualifier degradation-trial-bucket: widened from 10 % to 30 % of account.id ([0,1000] -> [0,3000])\n  \
         ~ value severe, max_concurrency: 10 -> 5\n"
    );
    let markdown = prints(&example(), &["diff", &old, &new, "--markdown", "--redact"]);
    assert!(markdown.starts_with("### Runtime configuration: 1 variable changes\n"), "{markdown}");
    assert!(markdown.contains("- ✏️ value `severe`, `max_concurrency` is different\n"), "{markdown}");
    let report = json(&example(), &["diff", &old, &new]);
    assert_eq!(report["qualifiers"][0]["tests"][0]["effect"], "widened");
    assert_eq!(report["variables"][0]["values"][0]["fields"][0]["new"], 5);
    assert_eq!(prints(&example(), &["diff", &old, &old]), "nothing changes for anybody\n");
}

#[test]
fn diff_shows_which_decisions_flip() {
    let new = changed(TRIAL, "[0, 1000]", "[0, 6000]");
    let (old, new) = (example().display().to_string(), new.path().display().to_string());
    let context = ["--context", "service.queue_pressure=high", "--context", "account.id=acct-0001"];
    let text = prints(&example(), &[&["diff", &old, &new], &context[..]].concat());
    assert!(
        text.ends_with(
            "1 of 1 decisions flip\n  ~ variable service-degradation-policy for --context: degraded -> severe\n"
        ),
        "{text}"
    );

    let fixtures = tempfile::tempdir().unwrap();
    let out = fixtures.path().display().to_string();
    prints(&example(), &["fixtures", ".", "--out", &out, "--variables"]);
    let report = json(&example(), &["diff", &old, &new, "--fixtures", &out]);
    assert_eq!(report["decisions"]["compared"], 3);
    assert_eq!(
        report["decisions"]["flipped"][0]["context"],
        format!("variables/{VARIABLE}.toml rule-1-high-queue-pressure")
    );
}

#[test]
fn fixtures_cover_every_result_of_a_decision() {
    let fixtures = tempfile::tempdir().unwrap();
    let out = fixtures.path().display().to_string();
    let report = json(&example(), &["fixtures", ".", "--out", &out]);
    assert_eq!(report["files"].as_array().unwrap().len(), 5);
    let read = |path: &str| std::fs::read_to_string(fixtures.path().join(path)).unwrap();
    let cases = |path: &str| -> Vec<String> {
        let text = read(path);
        text.lines()
            .filter_map(|line| line.strip_prefix("id = \""))
            .filter(|id| !id.starts_with("fixture-"))
            .map(|id| id.trim_end_matches('"').to_owned())
            .collect()
    };
    assert_eq!(
        cases(&format!("variables/{VARIABLE}.toml")),
        ["default", "rule-0-severe-recovery-trial", "rule-1-high-queue-pressure"]
    );
    assert_eq!(
        cases("qualifiers/severe-recovery-trial.toml"),
        ["matches", "false-high-queue-pressure", "false-degradation-trial-bucket"]
    );
    assert!(read("rototo-fixtures.toml").contains("target = \"qualifier:high-queue-pressure\""));
    let (code, text) = fails(&example(), &["fixtures", ".", "--out", &out, "--variable", "none"]);
    assert_eq!((code, text.contains("there is no variable `none`")), (1, true), "{text}");
}

#[test]
fn fixtures_have_the_values_that_a_context_schema_accepts() {
    for name in ["within limits", "an interval", "a bucket"] {
        let workspace = throttle::workspace(name);
        let output = rototo(workspace.path(), &["fixtures", ".", "--tests", "--out", "tests", "--variables"]);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{name}");
        let text = prints(workspace.path(), &["test", "--coverage"]);
        assert!(text.contains("coverage: 2 of 2 rules and defaults, 2 of 2 results"), "{name}: {text}");
    }
}
