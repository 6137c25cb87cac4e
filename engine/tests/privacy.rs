//! Texts that others may read (masked messages, errors) hold no value of the workspace and none of the context.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{Context, Tree, compile, lint, parse};
use serde_json::json;

const SECRET: &str = "hunter2";

fn tree(files: &[(&str, &str)]) -> Tree {
    let manifest = ("rototo-workspace.toml", "schema_version = 1\n");
    files.iter().chain([&manifest]).map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

const QUALIFIER: &str = "schema_version = 1
[[predicate]]
attribute = \"account.name\"
op = \"gt\"
value = 1
";

/// Documents in which everything that can hold a value is invalid and holds the secret.
const WRONG: &[(&str, &str)] = &[
    (
        "schemas/context.schema.json",
        "{\"properties\": {\"account\": {\"properties\": {\"name\": {\"type\": \"string\"}}}}}",
    ),
    (
        "schemas/plan.schema.json",
        "{\"properties\": {\"tier\": {\"const\": \"hunter2!\"}, \"next\": {\"x-rototo-resource\": \"plan\"}}, \"required\": [\"seats\"]}",
    ),
    ("schemas/bad.schema.json", "{\"type\": \"hunter2\"}"),
    ("schemas/worse.schema.json", "{\"hunter2\": hunter2}"),
    ("resources/plan.toml", "schema_version = 1\nschema = \"../schemas/plan.schema.json\"\n"),
    ("resources/plan-objects/a.toml", "tier = \"hunter2\"\nnext = \"hunter2\"\n"),
    ("resources/plan-objects/b.toml", "tier = \"hunter2\n"),
    (
        "variables/a.toml",
        "schema_version = \"hunter2\"\ntype = \"hunter2\"\n[values]\nx = \"hunter2\"\n[resolve]\ndefault = \"hunter2\"\n",
    ),
    (
        "variables/b.toml",
        "schema_version = 1\ntype = \"int\"\nvalues = { x = \"hunter2\" }\nresolve = { default = \"x\", rule = [\"hunter2\", { qualifier = \"hunter2\", value = \"hunter2\" }] }\n",
    ),
    (
        "variables/c.toml",
        "schema_version = 1\ntype = \"resource:hunter2\"\nschema = \"hunter2\"\n[resolve]\ndefault = \"hunter2\"\n",
    ),
    ("variables/d.toml", "type = hunter2\n"),
    (
        "qualifiers/a.toml",
        "schema_version = 1\n[[predicate]]\nattribute = \"hunter2\"\nop = \"hunter2\"\nvalue = \"hunter2\"\n[[predicate]]\nattribute = \"account.name\"\nop = \"in\"\nvalue = \"hunter2\"\n[[predicate]]\nattribute = \"account.name\"\nop = \"eq\"\nvalue = [\"hunter2\"]\n[[predicate]]\nattribute = \"qualifier.hunter2\"\nop = \"bucket\"\nsalt = \"hunter2\"\nrange = [\"hunter2\"]\n",
    ),
];

#[test]
fn masked_messages_and_compile_errors_hold_no_value() {
    let parsed = parse(tree(WRONG));
    let found = lint(&parsed).diagnostics;
    assert!(found.iter().filter(|found| found.message.contains(SECRET)).count() > 5, "the messages do quote");
    for found in found {
        assert!(!found.masked_message().contains(SECRET), "{}: {}", found.rule, found.masked_message());
    }
    let error = compile(&parsed).unwrap_err();
    assert!(!error.to_string().contains(SECRET), "{error}");
}

#[test]
fn errors_of_resolution_hold_no_value() {
    let schema = "{\"properties\": {\"account\": {\"properties\": {\"name\": {\"const\": \"hunter2!\"}}}}}";
    let files = [("qualifiers/q.toml", QUALIFIER), ("schemas/context.schema.json", schema)];
    let context = Context::from_json(json!({ "account": { "name": SECRET } })).unwrap();
    for files in [&files[..], &files[..1]] {
        let error = compile(&parse(tree(files))).unwrap().resolve_qualifier("q", &context).unwrap_err();
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

#[test]
fn a_schema_never_leads_out_of_the_workspace() {
    for reference in ["https://example.com/a.json", "file:///etc/passwd", "other.schema.json"] {
        let schema = format!("{{\"$ref\": \"{reference}\"}}");
        let resource = "schema_version = 1\nschema = \"../schemas/plan.schema.json\"\n";
        let files = [("schemas/plan.schema.json", &*schema), ("resources/plan.toml", resource)];
        let found = lint(&parse(tree(&files))).diagnostics;
        assert!(found.iter().any(|found| found.rule == "rototo/schema-invalid"), "{reference}: {found:?}");
    }
}
