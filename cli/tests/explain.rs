//! `rototo explain`, as somebody asks why a request was treated as it was.
#![allow(clippy::unwrap_used)]

mod support;

use support::{VARIABLE, example, fails, json, prints};

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
