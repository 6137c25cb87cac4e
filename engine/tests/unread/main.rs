//! Parts that an author writes and nothing reads are reported: paths beside the format's, keys that are no notes,
//! parts of a schema that check nothing, and conditions that cannot be meant.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keys;
mod paths;
mod schemas;
mod texts;

use rototo_engine::tree::PathKind;
use rototo_engine::{Lint, Severity, Tree, lint, lint_after, parse, parse_after};

const MANIFEST: (&str, &str) = ("rototo-workspace.toml", "schema_version = 1\n");
const VARIABLE: &str = "schema_version = 1\ntype = \"int\"\nvalues = { a = 1, b = 2 }\n\n[resolve]\ndefault = \"a\"\n\n[[resolve.rule]]\nqualifier = \"q\"\nvalue = \"b\"\n";
const QUALIFIER: &str = "schema_version = 1\n\n[[predicate]]\nattribute = \"country\"\nop = \"eq\"\nvalue = \"US\"\n";
const CONTEXT: &str = "{\"properties\": {\"country\": {\"enum\": [\"US\", \"DE\"]}, \"n\": {\"type\": \"number\"}}}";

/// A workspace without findings, with some of its files replaced, added, or removed.
fn tree(changes: &[(&str, Option<&str>)]) -> Tree {
    let files = [
        MANIFEST,
        ("variables/v.toml", VARIABLE),
        ("qualifiers/q.toml", QUALIFIER),
        ("schemas/context.schema.json", CONTEXT),
    ];
    let mut tree: Tree = files.into_iter().map(|(path, text)| (path.to_owned(), text.into())).collect();
    for (path, text) in changes {
        match text {
            Some(text) => tree.insert(*path, text.as_bytes()),
            None => tree.remove(path),
        }
    }
    tree
}

fn found(lint: &Lint) -> Vec<String> {
    let short =
        |found: &rototo_engine::Diagnostic| format!("{} {}", found.rule.trim_start_matches("rototo/"), found.message);
    lint.diagnostics.iter().map(short).collect()
}

#[track_caller]
fn check(changes: &[(&str, Option<&str>)], expected: &[&str]) {
    assert_eq!(found(&lint(&parse(tree(changes)))), expected, "{changes:?}");
}
