//! The work of checking all values of a workspace against their schemas has a limit, and usual workspaces are far below it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{Diagnostic, Linted, Tree, lint, lint_after, parse, parse_after};
use serde_json::{Value, json};

const TOO_MUCH: &str = "too much work";
const MISMATCH: &str = "rototo/resource-object-schema-mismatch";

/// A pattern that takes all backtracking steps for a few `a` and another character.
const BACKTRACKS: &str = "^(?:a(?=.)|a(?=.))*b$";

/// A workspace with the resource `p` of that schema, and these objects.
fn workspace(schema: &Value, objects: &[(&str, String)]) -> Tree {
    let mut tree = Tree::default();
    tree.insert("rototo-workspace.toml", *b"schema_version = 1");
    tree.insert("resources/p.toml", *b"schema_version = 1\nschema = \"../schemas/p.json\"\n");
    tree.insert("schemas/p.json", schema.to_string().into_bytes());
    for (key, text) in objects {
        tree.insert(object(key), text.clone().into_bytes());
    }
    tree
}

fn object(key: &str) -> String {
    format!("resources/p-objects/{key}.toml")
}

/// A list of that many strings.
fn strings(count: usize, text: &str) -> String {
    format!("v = [{}]", format!("\"{text}\",").repeat(count))
}

fn errors(tree: Tree) -> Vec<Diagnostic> {
    let lint = lint(&parse(tree));
    lint.diagnostics.into_iter().filter(|found| found.severity == rototo_engine::Severity::Error).collect()
}

#[track_caller]
fn check_refused(tree: Tree, rule: &str, path: &str) {
    let errors = errors(tree);
    let [found] = errors.as_slice() else { panic!("{errors:#?}") };
    assert!(found.rule == rule && found.message.contains(TOO_MUCH), "{found:?}");
    assert_eq!(found.location.path, path);
}

fn backtracking(patterns: usize) -> Value {
    json!({ "properties": { "v": { "items": { "allOf": vec![json!({ "not": { "pattern": BACKTRACKS } }); patterns] } } } })
}

#[test]
fn a_few_thousand_matches_that_backtrack_are_too_many() {
    let tree = workspace(&backtracking(12), &[("a", strings(600, "aaaaaaaaaaaa!"))]);
    check_refused(tree, MISMATCH, &object("a"));
}

#[test]
fn matches_that_would_take_hours_are_refused_at_once() {
    let tree = workspace(&backtracking(600), &[("a", strings(29_000, "aaaaaaaaaaaa!")), ("b", "v = []".to_owned())]);
    check_refused(tree, MISMATCH, &object("a"));
    let mut tree = workspace(&json!({}), &[]);
    tree.insert("schemas/v.json", backtracking(600).to_string().into_bytes());
    let values = format!("[values]\na = {{ {} }}\n", strings(29_000, "aaaaaaaaaaaa!"));
    let manifest =
        "schema_version = 1\ntype = \"object\"\nschema = \"../schemas/v.json\"\nresolve = { default = \"a\" }\n";
    tree.insert("variables/v.toml", format!("{manifest}{values}").into_bytes());
    check_refused(tree, "rototo/variable-value-type-mismatch", "variables/v.toml");
}

/// Counting each value after the limit would read the large schema again.
#[test]
fn counting_ends_with_the_value_that_exceeds_the_limit() {
    // Half of the limit.
    let mut tree = workspace(&backtracking(12), &[("a", strings(200, "aaaaaaaaaaaa!"))]);
    let mut schema = backtracking(12);
    schema["properties"]["w"] = json!({ "enum": (0..50_000).collect::<Vec<u32>>() });
    tree.insert("schemas/v.json", schema.to_string().into_bytes());
    let more: String = (0..10_000).map(|n| format!("b{n} = {{}}\n")).collect();
    let first = format!("[values]\na = {{ {} }}\n", strings(1_200, "aaaaaaaaaaaa!"));
    let manifest =
        "schema_version = 1\ntype = \"object\"\nschema = \"../schemas/v.json\"\nresolve = { default = \"a\" }\n";
    tree.insert("variables/v.toml", format!("{manifest}{first}{more}").into_bytes());
    check_refused(tree, "rototo/variable-value-type-mismatch", "variables/v.toml");
}

#[test]
fn references_of_a_value_with_too_many_checks_are_not_followed() {
    let schema = json!({ "properties": { "w": { "oneOf": [{ "$ref": "#" }, { "$ref": "#" }] },
        "p": { "x-rototo-resource": "plan" } } });
    let found = |levels| {
        let deep = (0..levels).fold("1".to_owned(), |value, _| format!("{{ w = {value} }}"));
        let errors = errors(workspace(&schema, &[("a", format!("p = \"x\"\nw = {deep}"))]));
        errors.iter().map(|found| found.rule.to_string()).collect::<Vec<_>>()
    };
    assert!(found(1).contains(&"rototo/resource-object-unknown-reference".to_owned()), "{:?}", found(1));
    assert_eq!(found(40), [MISMATCH]);
}

/// The lookaround reads the rest of the string at each place: 60 MB read for 8 KB is little, and 30 TB for 8 MB is not.
#[test]
fn a_lookaround_that_is_repeated_in_a_long_string() {
    let schema = json!({ "properties": { "v": { "items": { "pattern": "^(?:a(?=.*!))*!$" } } } });
    let tree = |bytes: usize| workspace(&schema, &[("a", strings(1, &format!("{}!", "a".repeat(bytes))))]);
    assert_eq!(errors(tree(8_000)), []);
    check_refused(tree(8 << 20), MISMATCH, &object("a"));
}

#[test]
fn names_count_as_values() {
    let mut all: serde_json::Map<String, Value> = (0..60)
        .map(|level| {
            let next = json!({ "$ref": format!("#/$defs/b{}", level + 1) });
            (format!("b{level}"), json!({ "allOf": [next, next] }))
        })
        .collect();
    all.insert("b60".to_owned(), json!({ "minLength": 1 }));
    // This part returns to itself, so that the others can't be counted without a value.
    all.insert("a".to_owned(), json!({ "properties": { "v": { "$ref": "#/$defs/a" } } }));
    let schema = json!({ "propertyNames": { "$ref": "#/$defs/b0" }, "$defs": all });
    let errors = errors(workspace(&schema, &[("a", "v = { w = 1 }".to_owned())]));
    assert!(errors.iter().any(|found| found.message.contains("more than a million checks")), "{errors:#?}");
}

/// Each step gives the findings of linting everything, also when the limit is exceeded and kept again.
#[test]
fn the_limit_is_the_same_after_any_changes() {
    // Estimated at 400 million each, though the first character ends the match.
    let schema =
        |first: &str| json!({ "properties": { "v": { "items": { "pattern": format!("^{first}(?:a(?=.*!))*$") } } } });
    let text = || strings(1, &"a".repeat(40_000));
    let mut tree = workspace(&schema("b"), &[("a", text()), ("b", text())]);
    let mut linted = lint_after(&Linted::default(), &parse(tree.clone()));
    let mut step = |tree: &Tree, too_much: bool, expected: usize| {
        linted = lint_after(&linted, &parse_after(linted.parsed(), tree.clone()));
        assert_eq!(*linted.lint(), lint(&parse(tree.clone())));
        let found = &linted.lint().diagnostics;
        assert_eq!(found.iter().any(|found| found.message.contains(TOO_MUCH)), too_much, "{found:#?}");
        assert_eq!(linted.lint().errors(), expected, "{found:#?}");
    };
    step(&tree, false, 2);
    tree.insert(object("c"), text().into_bytes());
    step(&tree, true, 1);
    tree.insert(object("b"), strings(1, &"a".repeat(41_000)).into_bytes());
    step(&tree, true, 1);
    tree.insert(object("a"), b"v = [\"a\"]".to_vec());
    step(&tree, false, 3);
    tree.insert("schemas/p.json", schema("(?:a(?=.*!))*").to_string().into_bytes());
    step(&tree, true, 1);
    tree.insert("schemas/p.json", b"{}".to_vec());
    step(&tree, false, 0);
    tree.insert("schemas/p.json", schema("b").to_string().into_bytes());
    step(&tree, false, 3);
    tree.insert(object("a"), text().into_bytes());
    step(&tree, true, 1);
    tree.remove("resources/p.toml");
    step(&tree, false, 0);
}

/// The weight of each is a little below a thirteenth of the limit of a workspace, and they are compiled fast.
const HEAVY: [&str; 4] =
    [r"(?:\w(?=a)){49}a{285}", r"(?:\w(?=b)){49}a{285}", r"(?:\w(?=c)){49}a{285}", r"(?:\w(?=d)){49}a{285}"];
const TOO_MANY_PATTERNS: &str = "too large together";

fn schema_with(patterns: &[&str]) -> Vec<u8> {
    let fields = patterns.iter().enumerate();
    let fields: serde_json::Map<String, Value> =
        fields.map(|(n, pattern)| (format!("f{n}"), json!({ "type": "string", "pattern": pattern }))).collect();
    json!({ "type": "object", "properties": fields }).to_string().into_bytes()
}

#[test]
fn small_schemas_with_heavy_patterns_are_refused_before_they_take_the_memory() {
    let mut tree = workspace(&json!({ "required": ["v"] }), &[("a", "w = 1".to_owned())]);
    for number in 0..3_000 {
        tree.insert(format!("schemas/s{number:04}.json"), schema_with(&[r"\pL{99}"]));
    }
    tree.insert("schemas/s0700.json", schema_with(&[r"\pL{100}"]));
    let found = lint(&parse(tree)).diagnostics;
    let [found] = found.as_slice() else { panic!("{found:#?}") };
    assert!(found.rule == "rototo/schema-invalid" && found.message.contains(TOO_MANY_PATTERNS), "{found:?}");
    assert_eq!(found.location.path, "schemas/s0700.json");
}

#[test]
fn a_thousand_schemas_with_usual_patterns_are_few_enough() {
    let mut tree = workspace(&json!({}), &[]);
    for number in 0..1_000 {
        let usual = schema_with(&["^[a-z][a-z0-9-]{0,62}$", r"^\d{4}-\d{2}-\d{2}$", "^https://"]);
        tree.insert(format!("schemas/s{number}.json"), usual);
    }
    assert_eq!(errors(tree), []);
}

/// Each step gives the findings of linting everything, also when the limit of all patterns is exceeded and kept again.
#[test]
fn the_limit_of_patterns_is_the_same_after_any_changes() {
    let mut tree = workspace(&json!({ "required": ["v"] }), &[("a", "w = 1".to_owned())]);
    tree.insert("schemas/context.schema.json", b"{ \"type\": \"objekt\" }".to_vec());
    for number in 10..22 {
        tree.insert(format!("schemas/s{number}.json"), schema_with(&HEAVY[..1]));
    }
    let mut linted = lint_after(&Linted::default(), &parse(tree.clone()));
    let mut step = |tree: &Tree, heaviest: Option<&str>, expected: usize| {
        linted = lint_after(&linted, &parse_after(linted.parsed(), tree.clone()));
        assert_eq!(*linted.lint(), lint(&parse(tree.clone())));
        let found = &linted.lint().diagnostics;
        let too_many = found.iter().find(|found| found.message.contains(TOO_MANY_PATTERNS));
        assert_eq!(too_many.map(|found| &*found.location.path), heaviest, "{found:#?}");
        assert_eq!(linted.lint().errors(), expected, "{found:#?}");
    };
    step(&tree, None, 3);
    tree.insert("schemas/s22.json", schema_with(&HEAVY[..1]));
    step(&tree, None, 3);
    tree.insert("schemas/s23.json", schema_with(&["^a$", "^b$", "^c$", "^d$", "^e$"]));
    step(&tree, Some("schemas/s10.json"), 1);
    tree.insert("schemas/s12.json", schema_with(&HEAVY[..2]));
    step(&tree, Some("schemas/s12.json"), 1);
    tree.insert("schemas/p.json", schema_with(&HEAVY[..3]));
    step(&tree, Some("schemas/p.json"), 1);
    // Too heavy alone, so it is not compiled, and does not count.
    tree.insert("schemas/p.json", schema_with(&HEAVY));
    tree.insert("schemas/s12.json", b"{".to_vec());
    step(&tree, None, 4);
    tree.insert("schemas/p.json", schema_with(&HEAVY[..2]));
    step(&tree, Some("schemas/p.json"), 2);
    tree.remove("schemas/p.json");
    step(&tree, None, 4);
}

/// Each violation and each reference once had a path of its own: gigabytes.
#[test]
fn a_long_list_below_a_key_of_a_megabyte_takes_no_gigabytes() {
    let key = "k".repeat(1 << 20);
    let found = |schema: &Value, item: &str| {
        let errors = errors(workspace(schema, &[("a", format!("{key} = [{}]", item.repeat(9_000)))]));
        (errors.len(), errors.first().map(|found| found.rule.to_string()).unwrap_or_default())
    };
    let strings = json!({ "additionalProperties": { "items": { "type": "string" } } });
    assert_eq!(found(&strings, "1,"), (1, MISMATCH.to_owned()));
    let plan = json!({ "properties": { &key: { "items": { "anyOf": [{ "x-rototo-resource": "plan" }, false] } } } });
    assert_eq!(found(&plan, "\"x\","), (1_000, "rototo/resource-object-unknown-reference".to_owned()));
}
