//! Workspaces that are written to harm their readers. Each gives a diagnostic or an error, soon, on the stack of an
//! ordinary thread, and without a message as large as the workspace.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;

use rototo_engine::{Context, Lint, ResolveError, Tree, compile, lint, parse};
use serde_json::{Value, json};

const SCHEMA: &str = "schemas/p.json";
const OBJECT: &str = "resources/p-objects/a.toml";

/// A workspace with one resource and one object, whose schema the context must match as well.
fn files(schema: &str, object: &str) -> Tree {
    let variable = "schema_version = 1\ntype = \"resource:p\"\nresolve = { default = \"a\" }\n";
    let files = [
        ("rototo-workspace.toml", "schema_version = 1"),
        ("variables/v.toml", variable),
        ("resources/p.toml", "schema_version = 1\nschema = \"../schemas/p.json\"\n"),
        (OBJECT, object),
        (SCHEMA, schema),
        ("schemas/context.schema.json", schema),
    ];
    files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect()
}

/// Lints, and checks that the findings can be kept, sent, and read.
fn found(tree: Tree) -> Lint {
    let lint = lint(&parse(tree));
    assert!(lint.diagnostics.len() <= 2_000, "{}", lint.diagnostics.len());
    for found in &lint.diagnostics {
        assert!(found.message.chars().count() <= 700, "{}", found.message.len());
    }
    lint
}

#[track_caller]
fn check(schema: &str, object: &str, rule: &str, message: &str) {
    let lint = found(files(schema, object));
    let fits = |found: &rototo_engine::Diagnostic| found.rule == rule && found.message.contains(message);
    assert!(lint.has_errors() && lint.diagnostics.iter().any(fits), "expected {rule} {message}: {lint:#?}");
}

/// `levels` schemas, each of which refers to the next; the last is an object.
fn chain(levels: usize, link: impl Fn(Value) -> Value) -> String {
    let next = |level: usize| json!({ "$ref": format!("#/$defs/a{}", level + 1) });
    let links = (0..levels).map(|level| (format!("a{level}"), link(next(level))));
    let last = [(format!("a{levels}"), json!({ "type": "object", "properties": { "v": true } }))];
    json!({ "$ref": "#/$defs/a0", "$defs": links.chain(last).collect::<serde_json::Map<_, _>>() }).to_string()
}

const MISMATCH: &str = "rototo/resource-object-schema-mismatch";
const INVALID: &str = "rototo/schema-invalid";

#[test]
fn schemas_whose_alternatives_double_with_each_step() {
    for keyword in ["anyOf", "allOf", "oneOf"] {
        let schema = chain(60, |next| json!({ keyword: [next, next] }));
        check(&schema, "v = 1", INVALID, "name the same schema less often");
    }
    let schema = chain(30, |next| json!({ "allOf": [next], "unevaluatedProperties": false }));
    check(&schema, "v = 1", INVALID, "more than a million schemas");
}

#[test]
fn schemas_whose_alternatives_double_with_each_level_of_the_value() {
    let deep = |levels: usize| format!("v = {}1{}", "{ v = ".repeat(levels), "}".repeat(levels));
    for keyword in ["anyOf", "allOf", "oneOf"] {
        let again = json!([{ "$ref": "#" }, { "$ref": "#", "minProperties": 0 }]);
        let schema = json!({ "type": "object", "properties": { "v": { keyword: again } } }).to_string();
        check(&schema, &deep(60), MISMATCH, "more than a million checks");
        check(&schema, &deep(14), MISMATCH, "not as the schema says");
        check(&schema, &deep(4), MISMATCH, "does not match its schema");
    }
}

#[test]
fn cyclic_and_endless_references() {
    for schema in ["{\"$ref\": \"#\"}", "{\"allOf\": [{\"$ref\": \"#\"}, {\"$ref\": \"#\"}]}"] {
        assert!(!found(files(schema, "v = 1")).has_errors(), "{schema}");
    }
    check(&chain(2_000, |next| next), "v = 1", MISMATCH, "more than a million checks");
    check(&chain(1_000, |next| json!({ "allOf": [{ "not": next }] })), "v = 1", MISMATCH, "less deeply");
    let dynamic = "{\"$id\": \"https://a/b\", \"$dynamicAnchor\": \"a\", \"allOf\": [{\"$dynamicRef\": \"#a\"}]}";
    assert!(!found(files(dynamic, "v = 1")).has_errors());
}

#[test]
fn patterns_that_stand_for_megabytes() {
    for pattern in [r"^\\pL{1000}$", "((a{200}){200}){200}"] {
        check(&format!("{{\"pattern\": \"{pattern}\"}}"), "v = 1", INVALID, "patterns are too large");
    }
    check(&format!("{{\"pattern\": \"{}\"}}", "(".repeat(100_000)), "v = 1", INVALID, "regex");
    let many: String = (0..100).fold(String::new(), |mut all, n| {
        write!(all, "\"p{n}\": {{\"pattern\": \"^\\\\pL{{100}}{n}\"}},").unwrap();
        all
    });
    let schema = format!("{{\"properties\": {{{many} \"v\": true}}}}");
    check(&schema, "v = 1", INVALID, "patterns are too large");
}

#[test]
fn patterns_that_backtrack_without_end() {
    let text = "a".repeat(60);
    for pattern in ["^(a+)+$", "^(?=x?)(a+)+$", r"^(a|a)*\\1(a*)*b$", "^(?:(a*)(?=a))*b$"] {
        let schema = format!("{{\"properties\": {{\"v\": {{\"items\": {{\"pattern\": \"{pattern}\"}}}}}}}}");
        let strings = format!("\"{text}!\", ").repeat(200);
        check(&schema, &format!("v = [{strings}]"), MISMATCH, "");
    }
}

#[test]
fn a_schema_that_refers_outside_is_invalid() {
    for reference in ["http://127.0.0.1:1/x.json", "https://example.com/x.json", "file:///etc/hostname", "other.json"] {
        check(&json!({ "$ref": reference }).to_string(), "v = 1", INVALID, "");
        check(&json!({ "$schema": format!("{reference}#") }).to_string(), "v = 1", INVALID, "");
    }
}

#[test]
fn json_that_nests_a_thousand_levels() {
    let schema = format!("{}true{}", "{\"not\": ".repeat(1_000), "}".repeat(1_000));
    check(&schema, "v = 1", "rototo/schema-parse-failed", "recursion limit");
    let context = (0..1_000).fold(json!(1), |inner, _| json!({ "v": inner }));
    let recursive = json!({ "type": "object", "properties": { "v": { "$ref": "#" } } }).to_string();
    let compiled = compile(&parse(files(&recursive, "v = {}"))).unwrap();
    let refused = compiled.resolve_variable("v", &Context::from_json(context).unwrap());
    assert!(matches!(refused, Err(ResolveError::ContextMismatch(_))), "{refused:?}");
}

#[test]
fn qualifiers_that_refer_to_each_other_ten_thousand_times() {
    let mut tree = files("{}", "v = 1");
    tree.remove("schemas/context.schema.json");
    for number in 0..10_000 {
        let attribute = if number == 0 { "a".to_owned() } else { format!("qualifier.q{}", number - 1) };
        let value = if number == 0 { "1" } else { "true" };
        let text =
            format!("schema_version = 1\n[[predicate]]\nattribute = \"{attribute}\"\nop = \"eq\"\nvalue = {value}\n");
        tree.insert(format!("qualifiers/q{number}.toml"), text.into_bytes());
    }
    let parsed = parse(tree);
    let lint = lint(&parsed);
    assert!(lint.diagnostics.iter().any(|found| found.rule == "rototo/qualifier-cycle"), "{}", lint.errors());
    assert!(compile(&parsed).is_err());
}

#[test]
fn extreme_numbers() {
    let digits = "9".repeat(1_000_000);
    let parse_failed = "rototo/resource-object-parse-failed";
    check("{}", &format!("v = {digits}"), parse_failed, "64 bits with a sign");
    check("{}", &format!("v = {digits}.0"), parse_failed, "finite");
    check("{}", "v = 1e999", parse_failed, "finite");
    check("{}", "v = 0xFFFFFFFFFFFFFFFFFF", parse_failed, "64 bits with a sign");
    check(&format!("{{\"maximum\": {digits}}}"), "v = 1", "rototo/schema-parse-failed", "number out of range");
    let limits = json!({ "properties": { "v": { "minLength": 1e300, "multipleOf": 1e-300 } } }).to_string();
    check(&limits, "v = \"a\"", MISMATCH, "is shorter than");
    assert!(!found(files(&limits, "v = 9223372036854775807")).diagnostics.iter().any(|found| found.message.is_empty()));
}

#[test]
fn strings_and_lists_of_megabytes() {
    let text = "x".repeat(10 << 20);
    let schema = json!({ "properties": { "v": { "maxLength": 3, "maxItems": 3, "items": { "type": "string" } } } });
    check(&schema.to_string(), &format!("v = \"{text}\""), MISMATCH, "longer than 3");
    check(&schema.to_string(), &format!("v = [{}]", "1,".repeat(100_000)), MISMATCH, "");
    let text = "x".repeat(1 << 20);
    check("{\"additionalProperties\": false}", &format!("{text} = 1"), MISMATCH, "not allow");
    check("{}", &format!("v = \"{text}"), "rototo/resource-object-parse-failed", "not TOML");
    check(&format!("{{\"{text}\""), "v = 1", "rototo/schema-parse-failed", "not JSON");
    let all: String = (0..1_100).map(|n| format!("{{\"a\": {n}}},")).collect();
    let values: String = (0..1_100).map(|n| format!("{{ a = {n} }},")).collect();
    let schema = format!("{{\"properties\": {{\"v\": {{\"items\": {{\"enum\": [{all} 0]}}}}}}}}");
    check(&schema, &format!("v = [{values}]"), MISMATCH, "more than a million checks");
}

#[test]
fn faults_without_end_are_reported_up_to_a_thousand() {
    let mut tree = files("{}", "v = 1");
    let faults = format!("schema_version = 1\npredicate = [{}]\n", "1,".repeat(10_000));
    tree.insert("qualifiers/q.toml", faults.into_bytes());
    let values: String = (0..2_000).map(|n| format!("k{n} = {{ v = 1 }}\n")).collect();
    let variable = format!("schema_version = 1\ntype = \"object\"\nschema = \"../schemas/s.json\"\n[values]\n{values}");
    tree.insert("variables/o.toml", variable.into_bytes());
    tree.insert("schemas/s.json", *b"{\"properties\": {\"v\": {\"type\": \"string\"}}}");
    let lint = found(tree.clone());
    assert_eq!(lint.errors(), 1_000);
    assert!(compile(&parse(tree)).is_err());
}

/// Each part of a compiled schema keeps its path: two thousand parts below a name of a megabyte took six gigabytes.
#[test]
fn long_names_above_many_parts_of_a_schema() {
    let parts: serde_json::Map<String, Value> = (0..2_000).map(|n| (format!("p{n}"), json!({}))).collect();
    for keyword in ["properties", "patternProperties", "$defs", "dependentSchemas"] {
        let schema = json!({ keyword: { "n".repeat(1 << 20): { "properties": parts } } });
        check(&schema.to_string(), "v = 1", INVALID, "");
    }
    let list = json!({ "properties": { "n".repeat(1 << 20): { "anyOf": vec![json!({ "minimum": 1 }); 2_000] } } });
    check(&list.to_string(), "v = 1", INVALID, "names are too long");
}

/// A thousand findings about keys of a megabyte once took two gigabytes.
#[test]
fn findings_about_keys_of_a_megabyte_are_small() {
    let mut tree = files("{}", "v = 1");
    let big = "k".repeat(1 << 20);
    let fields: String = (0..50).map(|n| format!("{n}{}, ", " = 1")).collect();
    let values: String = (0..8).map(|n| format!("{big}{n} = {{ {} }}\n", fields.trim_end_matches(", "))).collect();
    let variable = format!("schema_version = 1\ntype = \"object\"\nschema = \"../schemas/s.json\"\n[values]\n{values}");
    tree.insert("variables/o.toml", variable.into_bytes());
    tree.insert("schemas/s.json", *b"{\"additionalProperties\": {\"type\": \"string\"}}");
    let lint = found(tree);
    assert!(lint.errors() >= 400, "{}", lint.errors());
    let size: usize = lint.diagnostics.iter().map(|found| format!("{found:?}").len()).sum();
    assert!(size < 2 << 20, "{size} bytes");
}

#[test]
fn rules_about_names_and_conditions_take_little_work() {
    let mut tree = files("{}", "v = 1");
    // Ten thousand predicates that each leave a little less of a long list.
    let list: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let mut text = "schema_version = 1\n".to_owned();
    let mut predicate = |op: &str, value: &str| {
        write!(text, "[[predicate]]\nattribute = \"a\"\nop = \"{op}\"\nvalue = {value}\n").unwrap();
    };
    predicate("in", &format!("[{}]", list.join(", ")));
    (0..10_000).for_each(|n| predicate("neq", &n.to_string()));
    tree.insert("qualifiers/q.toml", text.into_bytes());
    // Thousands of keywords with slips, in parts of a long name.
    let slips: String = (0..20_000).map(|n| format!("\"requird{n}\": {{\"typ\": 1}}, ")).collect();
    let name = "n".repeat(100);
    let schema =
        format!("{{\"properties\": {{\"{name}\": {{\"properties\": {{{slips} \"z\": true}}, {slips} \"z\": 1}}}}}}");
    tree.insert("schemas/slips.json", schema.into_bytes());
    let lint = found(tree);
    assert_eq!(lint.warnings(), 1_000);
}

#[test]
fn a_hundred_thousand_variables_with_the_same_slip() {
    let mut tree = files("{}", "v = 1");
    for number in 0..100_000 {
        let text = "schema_version = 1\ntype = \"int\"\nvalues = { a = 1 }\n[resolve]\ndefault = \"a\"\n\
                    [[resolve.rule]]\nqualifier = \"prp\"\nvalue = \"a\"\nenabled = true\n";
        tree.insert(format!("variables/v{number}.toml"), text.as_bytes());
    }
    let lint = found(tree);
    assert_eq!((lint.errors(), lint.warnings()), (1_000, 1_000));
}
