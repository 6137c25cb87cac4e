//! The example `examples/degradation-config` resolves step by step as its walkthrough says, and the mistakes of an
//! incident are refused at the line where they were made.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{Compiled, Context, Diagnostic, ResolveOptions, Tree, VariableTrace, compile, lint, parse};
use serde_json::{Value, json};

macro_rules! files {
    ($($path:literal),+ $(,)?) => {
        [$(($path, include_str!(concat!("../../examples/degradation-config/", $path)))),+]
    };
}

const FILES: [(&str, &str); 11] = files![
    "rototo-workspace.toml",
    "variables/service-degradation-policy.toml",
    "qualifiers/degradation-trial-bucket.toml",
    "qualifiers/high-queue-pressure.toml",
    "qualifiers/severe-recovery-trial.toml",
    "resources/service-degradation-policy.toml",
    "resources/service-degradation-policy-objects/normal.toml",
    "resources/service-degradation-policy-objects/degraded.toml",
    "resources/service-degradation-policy-objects/severe.toml",
    "schemas/service-degradation-policy.schema.json",
    "schemas/context.schema.json",
];

const POLICY: &str = "service-degradation-policy";
const VARIABLE: &str = "variables/service-degradation-policy.toml";
const SEVERE: &str = "resources/service-degradation-policy-objects/severe.toml";

/// The example, with `from` replaced by `to` in the document at `path`.
fn edited(path: &str, from: &str, to: &str) -> Tree {
    let edit = |(at, text): &(&str, &str)| {
        let text = if *at == path {
            assert!(text.contains(from), "{path} does not contain {from}");
            text.replace(from, to)
        } else {
            (*text).to_owned()
        };
        ((*at).to_owned(), text.into_bytes())
    };
    FILES.iter().map(edit).collect()
}

fn example() -> Tree {
    edited("", "", "")
}

fn compiled() -> Compiled {
    compile(&parse(example())).unwrap()
}

fn context(pressure: &str, account: &str) -> Context {
    Context::from_json(json!({ "service": { "queue_pressure": pressure }, "account": { "id": account } })).unwrap()
}

fn trace(pressure: &str, account: &str) -> VariableTrace {
    compiled().trace_variable(POLICY, &context(pressure, account), ResolveOptions::default()).unwrap()
}

#[track_caller]
fn refused(tree: Tree, rule: &str, at: &str) -> Diagnostic {
    let lint = lint(&parse(tree));
    let found = lint.diagnostics.iter().find(|found| found.rule == rule);
    let found = found.unwrap_or_else(|| panic!("{rule} found nothing: {:?}", lint.diagnostics));
    assert_eq!(format!("{}:{}", found.location.path, found.location.line()), at, "{found}");
    assert!(lint.has_errors());
    found.clone()
}

#[test]
fn the_example_has_no_findings() {
    let parsed = parse(example());
    assert_eq!(lint(&parsed).diagnostics, []);
    let summary = parsed.summary();
    assert_eq!((summary.variables, summary.qualifiers, summary.resources, summary.documents), (1, 3, 1, 11));
}

#[test]
fn pressure_and_bucket_select_the_policy() {
    let compiled = compiled();
    let check = |pressure, account, policy: &str| {
        let context = context(pressure, account);
        let resolution = compiled.resolve_variable(POLICY, &context).unwrap();
        assert_eq!((resolution.id, resolution.value_key), (POLICY, policy));
        assert_eq!(resolution.value["mode"], policy);
    };
    check("normal", "acct-001", "normal");
    check("normal", "acct-0001", "normal");
    check("high", "acct-0001", "degraded");
    check("high", "acct-001", "severe");
}

#[test]
fn a_context_without_an_account_resolves_while_pressure_is_normal() {
    let normal = Context::from_json(json!({ "service": { "queue_pressure": "normal" } })).unwrap();
    assert_eq!(compiled().resolve_variable(POLICY, &normal).unwrap().value_key, "normal");
    let high = Context::from_json(json!({ "service": { "queue_pressure": "high" } })).unwrap();
    let error = compiled().resolve_variable(POLICY, &high).unwrap_err();
    assert_eq!(error.to_string(), "the context has no `account.id`, which qualifier `degradation-trial-bucket` reads");
}

#[test]
fn the_trace_shows_the_bucket() {
    let bucket_of = |account| {
        let trace = serde_json::to_value(trace("high", account)).unwrap();
        let bucket = &trace["qualifier_traces"][0]["predicates"][0]["bucket"];
        assert_eq!(bucket["salt"], "service-degradation-recovery-2026-06");
        assert_eq!((&bucket["start"], &bucket["end"]), (&json!(0), &json!(1000)));
        bucket["value"].clone()
    };
    assert_eq!(bucket_of("acct-0001"), 5274);
    assert_eq!(bucket_of("acct-001"), 540);
}

#[test]
fn the_trace_has_the_json_that_automation_reads() {
    let expected: Value = json!({
        "resolution": {
            "id": POLICY,
            "value_key": "degraded",
            "value": {
                "mode": "degraded", "max_concurrency": 30, "background_jobs_enabled": false,
                "non_critical_fanout": "defer", "fallback_provider": "primary",
            },
        },
        "default_value": "normal",
        "rules": [
            { "index": 0, "qualifier": "severe-recovery-trial", "value": "severe", "matched": false },
            { "index": 1, "qualifier": "high-queue-pressure", "value": "degraded", "matched": true },
        ],
        "qualifier_traces": [
            { "id": "degradation-trial-bucket", "value": false, "predicates": [{
                "index": 0, "kind": "bucket", "attribute": "account.id", "actual": "acct-0001", "result": false,
                "bucket": { "salt": "service-degradation-recovery-2026-06", "start": 0, "end": 1000, "value": 5274 },
            }] },
            { "id": "high-queue-pressure", "value": true, "predicates": [{
                "index": 0, "kind": "compare", "attribute": "service.queue_pressure", "op": "eq",
                "expected": "high", "actual": "high", "result": true,
            }] },
            { "id": "severe-recovery-trial", "value": false, "predicates": [
                { "index": 0, "kind": "compare", "attribute": "qualifier.high-queue-pressure", "op": "eq",
                  "expected": true, "actual": true, "qualifier": "high-queue-pressure", "result": true },
                { "index": 1, "kind": "compare", "attribute": "qualifier.degradation-trial-bucket", "op": "eq",
                  "expected": true, "actual": false, "qualifier": "degradation-trial-bucket", "result": false },
            ] },
        ],
    });
    assert_eq!(serde_json::to_value(trace("high", "acct-0001")).unwrap(), expected);
}

#[test]
fn a_limit_of_zero_is_refused_at_its_line_and_its_masked_message_holds_no_value() {
    let tree = edited(SEVERE, "max_concurrency = 10", "max_concurrency = 0");
    let found = refused(tree, "rototo/resource-object-schema-mismatch", &format!("{SEVERE}:2"));
    assert!(found.message.contains("max_concurrency") || found.key.as_deref() == Some("max_concurrency"));
    assert!(found.help.is_some());
    assert_eq!(found.masked_message(), "a resource object does not match its schema (at `max_concurrency`)");
}

#[test]
fn a_key_that_the_schema_does_not_know_is_refused_at_its_line() {
    let tree = edited(SEVERE, "mode = \"severe\"", "mode = \"severe\"\nmax_concurency = 3");
    refused(tree, "rototo/resource-object-schema-mismatch", &format!("{SEVERE}:2"));
}

#[test]
fn an_object_that_does_not_exist_is_refused_at_its_line() {
    let found = refused(
        edited(VARIABLE, "value = \"severe\"", "value = \"sever\""),
        "rototo/variable-unknown-value",
        &format!("{VARIABLE}:10"),
    );
    assert!(found.message.contains("is `severe` meant?"), "{found}");
}

#[test]
fn a_qualifier_that_does_not_exist_is_refused_at_its_line() {
    let tree = edited(VARIABLE, "\"severe-recovery-trial\"", "\"severe-trial\"");
    refused(tree, "rototo/variable-rule-unknown-qualifier", &format!("{VARIABLE}:9"));
}

#[test]
fn broken_toml_is_refused_at_its_line() {
    let tree = edited(VARIABLE, "default = \"normal\"", "default = \"normal");
    refused(tree, "rototo/variable-parse-failed", &format!("{VARIABLE}:6"));
}

#[test]
fn a_compile_error_has_a_place_and_quotes_nothing() {
    let error = compile(&parse(edited(VARIABLE, "value = \"severe\"", "value = \"sever\""))).unwrap_err();
    let expected = format!(
        "cannot compile: {VARIABLE}:10:9: a variable selects a value that does not exist (at `resolve.rule.value`)"
    );
    assert_eq!(error.to_string(), expected);
}
