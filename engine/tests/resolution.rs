//! The decision of each operator, the order of evaluation, and the errors.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{Compiled, Context, ResolveError, ResolveOptions, Tree, compile, lint, parse};
use serde_json::{Value, json};

/// Makes a workspace of these files and a manifest, and requires that lint finds no error in it.
fn workspace(files: &[(&str, &str)]) -> Compiled {
    let manifest = ("rototo-workspace.toml", "schema_version = 1");
    let files = files.iter().copied().chain([manifest]);
    let tree: Tree = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    let parsed = parse(tree);
    assert!(!lint(&parsed).has_errors(), "{:?}", lint(&parsed).diagnostics);
    compile(&parsed).unwrap()
}

fn context(value: Value) -> Context {
    Context::from_json(value).unwrap()
}

/// Decides one predicate on the attribute `x` of the context.
fn decide(op: &str, value: &str, x: &Value) -> Result<bool, ResolveError> {
    let text = format!("schema_version = 1\n[[predicate]]\nattribute = \"x\"\nop = \"{op}\"\nvalue = {value}\n");
    workspace(&[("qualifiers/q.toml", &text)]).resolve_qualifier("q", &context(json!({ "x": x })))
}

#[track_caller]
fn check(op: &str, value: &str, x: Value, expected: bool) {
    assert_eq!(decide(op, value, &x), Ok(expected), "{x} {op} {value}");
}

#[test]
fn equality_is_that_of_json() {
    check("eq", "\"pro\"", json!("pro"), true);
    check("eq", "\"pro\"", json!("free"), false);
    check("eq", "true", json!(true), true);
    check("eq", "[1, \"a\"]", json!([1, "a"]), true);
    check("eq", "{ a = 1 }", json!({ "a": 1 }), true);
}

#[test]
fn numbers_are_equal_by_value() {
    check("eq", "1", json!(1.0), true);
    check("eq", "1.0", json!(1), true);
}

#[test]
fn values_of_different_types_are_not_equal() {
    check("eq", "1", json!("1"), false);
    check("eq", "\"\"", json!(null), false);
}

#[test]
fn neq_is_the_opposite_of_eq() {
    check("neq", "\"pro\"", json!("free"), true);
    check("neq", "1", json!(1.0), false);
}

#[test]
fn membership_searches_a_list() {
    check("in", "[\"eu\", \"us\"]", json!("us"), true);
    check("in", "[1, 2]", json!(2.0), true);
    check("in", "[]", json!(1), false);
    check("not_in", "[\"eu\", \"us\"]", json!("us"), false);
    check("not_in", "[\"eu\", \"us\"]", json!("asia"), true);
}

#[test]
fn order_is_that_of_numbers() {
    check("gt", "2", json!(2.5), true);
    check("gt", "2", json!(2), false);
    check("gte", "2.0", json!(2), true);
    check("lt", "9007199254740993", json!(9_007_199_254_740_992_u64), true);
    check("lte", "-1", json!(0), false);
}

#[test]
fn ordering_something_else_is_an_error_and_not_false() {
    for x in [json!("10"), json!(true), json!(null), json!([10])] {
        let error = decide("gt", "2", &x).unwrap_err();
        assert_eq!(error.to_string(), "`x` is not a number, but qualifier `q` compares it with `gt`", "{x}");
    }
}

const BOTH: &str = "schema_version = 1
[[predicate]]
attribute = \"a.b\"
op = \"eq\"
value = 1
[[predicate]]
attribute = \"a.c\"
op = \"eq\"
value = 2
";

#[test]
fn a_qualifier_is_true_when_all_of_its_predicates_are() {
    let both = workspace(&[("qualifiers/both.toml", BOTH)]);
    let check = |b, c, expected| {
        assert_eq!(both.resolve_qualifier("both", &context(json!({ "a": { "b": b, "c": c } }))), Ok(expected));
    };
    check(1, 2, true);
    check(1, 0, false);
    check(0, 2, false);
}

#[test]
fn the_first_false_predicate_is_the_last_in_the_trace() {
    let both = workspace(&[("qualifiers/both.toml", BOTH)]);
    let context = context(json!({ "a": { "b": 0, "c": 2 } }));
    let trace = both.trace_qualifier("both", &context, ResolveOptions::default()).unwrap();
    assert_eq!(trace.predicates.len(), 1);
}

#[test]
fn every_attribute_of_a_qualifier_must_be_there_even_after_a_false_predicate() {
    let both = workspace(&[("qualifiers/both.toml", BOTH)]);
    for lacking in [json!({ "a": { "b": 0 } }), json!({ "a": { "b": 1 } })] {
        let error = both.resolve_qualifier("both", &context(lacking)).unwrap_err();
        assert_eq!(error.to_string(), "the context has no `a.c`, which qualifier `both` reads");
    }
    let error = both.resolve_qualifier("both", &context(json!({ "a": 1 }))).unwrap_err();
    assert_eq!(error.to_string(), "the context has no `a.b`, which qualifier `both` reads");
}

#[test]
fn attributes_of_later_rules_may_be_missing_once_a_rule_matches() {
    let on = |attribute: &str| {
        format!("schema_version = 1\n[[predicate]]\nattribute = \"{attribute}\"\nop = \"eq\"\nvalue = true\n")
    };
    let variable = "schema_version = 1
type = \"string\"
[values]
a = \"A\"
b = \"B\"
none = \"\"
[resolve]
default = \"none\"
[[resolve.rule]]
qualifier = \"a\"
value = \"a\"
[[resolve.rule]]
qualifier = \"b\"
value = \"b\"
";
    let files = [("variables/v.toml", variable), ("qualifiers/a.toml", &on("a")), ("qualifiers/b.toml", &on("b"))];
    let workspace = workspace(&files);
    let resolve = |value| workspace.resolve_variable("v", &context(value)).map(|found| found.value.clone());
    assert_eq!(resolve(json!({ "a": true })), Ok(json!("A")));
    assert_eq!(resolve(json!({ "a": false, "b": true })), Ok(json!("B")));
    assert_eq!(resolve(json!({ "a": false, "b": false })), Ok(json!("")));
    assert!(matches!(resolve(json!({ "a": false })), Err(ResolveError::MissingAttribute { .. })));
}

#[test]
fn unknown_names_are_errors_that_name_them() {
    let empty = workspace(&[]);
    let error = empty.resolve_variable("limit", &Context::default()).unwrap_err();
    assert_eq!(error.to_string(), "the workspace has no variable `limit`");
    let error = empty.resolve_qualifier("pro", &Context::default()).unwrap_err();
    assert_eq!(error.to_string(), "the workspace has no qualifier `pro`");
}

#[test]
fn object_values_are_inline_and_checked_against_the_schema() {
    let variable = "schema_version = 1
type = \"object\"
schema = \"../schemas/policy.schema.json\"

[values]
standard = { max_projects = 10, audit_retention_days = 30 }

[resolve]
default = \"standard\"
";
    let schema = "{\"type\": \"object\", \"properties\": {\"max_projects\": {\"minimum\": 1}}}";
    let files = |variable| [("variables/policy.toml", variable), ("schemas/policy.schema.json", schema)];
    let compiled = workspace(&files(variable));
    let resolution = compiled.resolve_variable("policy", &Context::default()).unwrap();
    assert_eq!(resolution.value, &json!({ "max_projects": 10, "audit_retention_days": 30 }));

    let zero = variable.replace("max_projects = 10", "max_projects = 0");
    let manifest = ("rototo-workspace.toml", "schema_version = 1");
    let tree: Tree = files(&zero).into_iter().chain([manifest]).map(|(p, t)| (p.to_owned(), t.into())).collect();
    let found = lint(&parse(tree)).diagnostics;
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (&*found.rule, found.location.to_string()),
        ("rototo/variable-value-type-mismatch", "variables/policy.toml:6:14".to_owned())
    );
}

const CONTEXT_SCHEMA: &str =
    "{\"type\": \"object\", \"required\": [\"secret\"], \"properties\": {\"x\": {\"enum\": [1]}}}";

#[test]
fn a_context_is_validated_first_unless_the_caller_says_otherwise() {
    let variable = "schema_version = 1\ntype = \"int\"\n[values]\na = 1\n[resolve]\ndefault = \"a\"\n";
    let workspace = workspace(&[("variables/v.toml", variable), ("schemas/context.schema.json", CONTEXT_SCHEMA)]);
    let wrong = context(json!({ "x": "hunter2" }));
    let error = workspace.resolve_variable("v", &wrong).unwrap_err().to_string();
    assert_eq!(
        error,
        "the context does not match the context schema: `secret` is missing at its root; `enum` is violated at `x`"
    );
    let unchecked = ResolveOptions { validate_context: false };
    assert_eq!(workspace.resolve_variable_with("v", &wrong, unchecked).unwrap().value, 1);
    let right = context(json!({ "x": 1, "secret": "hunter2" }));
    for _ in 0..2 {
        assert_eq!(workspace.resolve_variable("v", &right).unwrap().value, 1);
    }
}

#[test]
fn a_context_that_matched_one_schema_is_still_checked_against_another() {
    let lenient = workspace(&[("schemas/context.schema.json", "{}")]);
    let strict = workspace(&[("schemas/context.schema.json", CONTEXT_SCHEMA)]);
    let context = context(json!({ "x": 2 }));
    assert_eq!(lenient.validate_context(&context), Ok(()));
    assert!(strict.validate_context(&context).is_err());
    assert_eq!(lenient.validate_context(&context), Ok(()));
}

#[test]
fn chains_of_qualifiers_have_an_end() {
    let qualifier = |attribute: String, value: &str| {
        format!("schema_version = 1\n[[predicate]]\nattribute = \"{attribute}\"\nop = \"eq\"\nvalue = {value}\n")
    };
    let chain = |length: usize| -> Tree {
        let files = (0..length).map(|n| {
            let text =
                if n == 0 { qualifier("x".into(), "1") } else { qualifier(format!("qualifier.q{}", n - 1), "true") };
            (format!("qualifiers/q{n}.toml"), text.into_bytes())
        });
        files.chain([("rototo-workspace.toml".to_owned(), b"schema_version = 1".to_vec())]).collect()
    };
    let longest = compile(&parse(chain(128))).unwrap();
    assert_eq!(longest.resolve_qualifier("q127", &context(json!({ "x": 1 }))), Ok(true));
    for length in [129, 20_000] {
        let parsed = parse(chain(length));
        assert!(compile(&parsed).is_err());
        assert!(lint(&parsed).diagnostics.iter().any(|found| found.rule == "rototo/qualifier-cycle"));
    }
}

#[test]
fn workspaces_beyond_the_stack_resolve_the_same() {
    let many = (0..2_000).map(|n| {
        let text = format!("schema_version = 1\n[[predicate]]\nattribute = \"a{n}\"\nop = \"eq\"\nvalue = {n}\n");
        (format!("qualifiers/q{n}.toml"), text)
    });
    let files: Vec<_> = many.collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let workspace = workspace(&files);
    assert_eq!(workspace.resolve_qualifier("q1999", &context(json!({ "a1999": 1999 }))), Ok(true));
    assert_eq!(workspace.resolve_qualifier("q7", &context(json!({ "a7": 8 }))), Ok(false));
}

#[test]
fn a_variable_of_a_resource_may_have_an_empty_table_of_values() {
    // Lint accepts it, so it compiles.
    let compiled = workspace(&[
        ("schemas/limits.schema.json", r#"{ "type": "object" }"#),
        ("resources/limits.toml", "schema_version = 1\nschema = \"../schemas/limits.schema.json\"\n"),
        ("resources/limits-objects/small.toml", "max = 1\n"),
        (
            "variables/v.toml",
            "schema_version = 1\ntype = \"resource:limits\"\n[values]\n[resolve]\ndefault = \"small\"\n",
        ),
    ]);
    let resolution = compiled.resolve_variable("v", &context(json!({}))).unwrap();
    assert_eq!(*resolution.value, json!({ "max": 1 }));
}
