//! Documents, and workspaces of them.

use rototo_engine::{Context, ResolveOptions, Tree, compile, infer_context_schema, lint, parse};
use serde_json::json;

/// A workspace that uses every part of the format.
pub const FILES: &[(&str, &str)] = &[
    ("rototo-workspace.toml", "schema_version = 1\nextends = [\"../base\"]\n"),
    (
        "variables/limit.toml",
        "schema_version = 1\ntype = \"int\"\n\n[values]\nsmall = 1\nlarge = 2\n\n[resolve]\ndefault = \"small\"\n\n[[resolve.rule]]\nqualifier = \"pro\"\nvalue = \"large\"\n",
    ),
    (
        "variables/policy.toml",
        "schema_version = 1\ntype = \"object\"\nschema = \"../schemas/plan.json\"\n\n[values]\na = { n = 1, next = \"basic\", tags = [1.5, \"x\"] }\n\n[resolve]\ndefault = \"a\"\n",
    ),
    (
        "variables/plan.toml",
        "schema_version = 1\ntype = \"resource:plan\"\n\n[resolve]\ndefault = \"basic\"\nrule = [{ qualifier = \"trial\", value = \"basic\" }]\n",
    ),
    ("resources/plan.toml", "schema_version = 1\nschema = \"../schemas/plan.json\"\n"),
    ("resources/plan-objects/basic.toml", "n = 1\nnext = \"basic\"\n[deep.er]\nx = [[1], { y = true }]\n"),
    (
        "schemas/plan.json",
        "{\"type\": \"object\", \"properties\": {\"n\": {\"minimum\": 1}, \"next\": {\"anyOf\": [{\"x-rototo-resource\": \"plan\"}]}}}",
    ),
    (
        "schemas/context.schema.json",
        "{\"properties\": {\"a\": {\"properties\": {\"id\": {\"type\": [\"string\", \"number\"]}, \"n\": {\"type\": \"number\"}}}}}",
    ),
    (
        "qualifiers/pro.toml",
        "schema_version = 1\n\n[[predicate]]\nattribute = \"a.n\"\nop = \"gte\"\nvalue = 2\n\n[[predicate]]\nattribute = \"a.id\"\nop = \"not_in\"\nvalue = [\"x\", 'y', 1e3]\n",
    ),
    (
        "qualifiers/trial.toml",
        "schema_version = 1\n\n[[predicate]]\nattribute = \"qualifier.pro\"\nop = \"neq\"\nvalue = false\n\n[[predicate]]\nattribute = \"a.id\"\nop = \"bucket\"\nsalt = \"s\"\nrange = [0, 5000]\n",
    ),
];

/// The prefix of each file's path where a workspace is one text.
pub const FILE_HEADER: &str = "=== ";

/// A document among others that are right.
pub fn document(path: &str, bytes: &[u8]) {
    let others = FILES.iter().filter(|(other, _)| *other != path);
    let others = others.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
    check(others.chain([(path.to_owned(), bytes.to_vec())]).collect());
}

/// A whole workspace as one text: lines of `=== PATH`, and after each the file.
pub fn files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let files = text.split(FILE_HEADER).skip(1).filter_map(|file| file.split_once('\n'));
    check(files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect());
}

/// Takes a workspace through the whole engine and asserts what must hold for all of them.
fn check(tree: Tree) {
    let parsed = parse(tree);
    let lint = lint(&parsed);
    for found in &lint.diagnostics {
        assert!(found.message.chars().count() <= 700, "{found:?}");
        let Some(range) = &found.location.range else { continue };
        let length = parsed.tree().get(&found.location.path).map_or(0, |document| document.bytes.len());
        assert!(range.start <= range.end && range.bytes.end <= length, "{found:?}");
    }
    drop(infer_context_schema(&parsed));
    let compiled = match compile(&parsed) {
        Ok(compiled) => compiled,
        Err(_) => return assert!(lint.has_errors(), "what lint accepts compiles"),
    };
    for context in [json!({}), json!({ "a": { "id": "x", "n": 2.5 } }), json!({ "a": { "id": 7, "n": "?" } })] {
        let context = Context::from_json(context).unwrap();
        for id in compiled.variables() {
            let resolved = compiled.resolve_variable(id, &context).map(|found| found.value_key.to_owned());
            let traced = compiled.trace_variable(id, &context, ResolveOptions::default());
            assert_eq!(resolved, traced.map(|trace| trace.resolution.value_key));
        }
        for id in compiled.qualifiers() {
            let resolved = compiled.resolve_qualifier(id, &context);
            let traced = compiled.trace_qualifier(id, &context, ResolveOptions::default());
            assert_eq!(resolved, traced.map(|trace| trace.value));
        }
    }
}
