//! `rototo explain`, as somebody asks why a request was treated as it was.
#![allow(clippy::unwrap_used)]

mod support;

use support::{VARIABLE, example, fails, json, prints, throttle};

const HIGH: &str = "service.queue_pressure=high";

#[test]
fn the_reasons_are_words_and_a_tree() {
    let text = prints(&example(), &["explain", "--context", HIGH, "--context", "account.id=acct-0001"]);
    assert!(
        text.starts_with(
            "service-degradation-policy is degraded, because rule 1 is the first whose qualifier is true: \
             high-queue-pressure\n  \
             ✗ rule 0 selects severe if severe-recovery-trial is true\n    \
             ✓ qualifier high-queue-pressure is true, and must equal true\n      \
             ✓ service.queue_pressure is \"high\", and must equal \"high\"\n    \
             ✗ qualifier degradation-trial-bucket is false, and must equal true\n      \
             ✗ account.id is \"acct-0001\", in bucket 5274, and must be in 0 to 999\n  \
             ✓ rule 1 selects degraded if high-queue-pressure is true\n"
        ),
        "{text}"
    );
}

/// Each alternative is tried with the command that people use.
#[test]
fn each_alternative_changes_the_result_as_it_says() {
    let report = json(&example(), &["explain", "--context", HIGH, "--context", "account.id=acct-0001"]);
    let alternatives = report["variables"][0]["alternatives"].as_array().unwrap();
    let keys: Vec<&str> = alternatives.iter().filter_map(|one| one["value_key"].as_str()).collect();
    assert_eq!(keys, ["severe", "normal"]);
    for one in alternatives {
        let context = format!("{}={}", one["attribute"].as_str().unwrap(), one["value"]);
        let arguments = ["resolve", "--variables", "--context", HIGH, "--context", "account.id=acct-0001"];
        let resolved = json(&example(), &[&arguments[..], &["--context", &context]].concat());
        assert_eq!(resolved["variables"][0]["resolution"]["value_key"], one["value_key"], "{context}");
    }
}

#[test]
fn a_variable_that_can_not_be_resolved_has_its_reason() {
    let (code, text) = fails(&example(), &["explain", "--variable", VARIABLE]);
    assert_eq!(code, 1);
    assert!(text.starts_with(&format!("{VARIABLE} can't be resolved: the context has no `")), "{text}");
    let (code, text) = fails(&example(), &["explain", "--variable", "service-degradation"]);
    assert!(code == 1 && text.contains("did you mean"), "{text}");
}

#[test]
fn a_value_that_changes_the_result_is_found() {
    for (name, attribute, present, other) in [
        ("within limits", "service.error_rate", "0.1", "on"),
        ("within limits", "service.error_rate", "0.9", "off"),
        ("an interval", "service.error_rate", "0.9", "on"),
        ("an interval of integers", "service.queue", "10", "on"),
        ("a reference", "account.plan", "pro", "on"),
        ("a bucket", "account.id", "acct-1", "on"),
        ("a pattern", "account.region", "aa", "off"),
        ("a long list", "account.plan", "plan-17", "off"),
        ("two long lists", "account.plan", "plan-0", "on"),
    ] {
        let workspace = throttle::workspace(name);
        let present = format!("{attribute}={present}");
        let report = json(workspace.path(), &["explain", "--context", &present]);
        let found = &report["variables"][0]["alternatives"][0];
        assert_eq!((&found["attribute"], &found["value_key"]), (&attribute.into(), &other.into()), "{name}: {found}");
        let changed = format!("{attribute}={}", found["value"]);
        let resolved = json(workspace.path(), &["resolve", "--variables", "--context", &changed]);
        assert_eq!(resolved["variables"][0]["resolution"]["value_key"], other, "{name}: {changed}");
        assert!(attribute != "service.queue" || found["value"].is_i64(), "{found}");
    }
}

#[test]
fn that_no_attribute_changes_it_is_said_only_if_every_value_was_tried() {
    for (name, said, tried, exhaustive) in [
        ("every value", "no attribute alone would change it", 1, true),
        ("any text", "none of the 3 values that were tried changes it", 3, false),
        ("one other value", "the one other value that was tried does not change it", 1, false),
        ("no other value", "no other value could be tried", 0, false),
    ] {
        let workspace = throttle::workspace(name);
        let explain = ["explain", "--context", "account.plan=pro"];
        let text = prints(workspace.path(), &explain);
        assert!(text.ends_with(&format!("\n  {said}\n")), "{name}: {text}");
        let report = &json(workspace.path(), &explain)["variables"][0];
        let parts = [&report["alternatives"], &report["tried"], &report["exhaustive"]];
        assert_eq!(parts, [&serde_json::json!([]), &tried.into(), &exhaustive.into()], "{name}");
    }
}

#[test]
fn a_long_list_is_shortened() {
    let text = prints(throttle::workspace("a long list").path(), &["explain", "--context", "account.plan=plan-17"]);
    let list = "must be one of [\"plan-0\", \"plan-1\", \"plan-2\", \"plan-3\", \"plan-4\", and 4995 more]\n";
    assert!(text.contains(list), "{text}");
}
