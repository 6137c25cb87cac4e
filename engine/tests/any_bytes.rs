//! The engine answers for any bytes: it never panics, lint and compile agree, and every place exists.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{Context, Lint, ResolveOptions, Tree, compile, lint, parse};
use serde_json::json;

/// Files that use every part of the format.
const FILES: &[(&str, &str)] = &[
    ("rototo-workspace.toml", "schema_version = 1\nextends = [\"../base\"]\n"),
    (
        "variables/limit.toml",
        "schema_version = 1\ndescription = \"a limit\"\ntype = \"int\"\n\n[values]\nsmall = 1\nlarge = 2\n\n[resolve]\ndefault = \"small\"\n\n[[resolve.rule]]\nqualifier = \"pro\"\nvalue = \"large\"\n",
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

/// The words that mutations insert, beside single bytes.
const WORDS: &[&str] = &[
    "\"",
    "'",
    "'''",
    "\"\"\"",
    "[",
    "]",
    "{",
    "}",
    "[[",
    "]]",
    "=",
    ".",
    ",",
    "#",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "é",
    "😀",
    "1979-05-27T07:32:00Z",
    "07:32:00",
    "inf",
    "-nan",
    "1e999",
    "99999999999999999999",
    "0x_",
    "true",
    "null",
    "schema_version = 1\n",
    "type",
    "values",
    "resolve",
    "rule",
    "predicate",
    "attribute",
    "op",
    "value",
    "salt",
    "range",
    "qualifier.pro",
    "qualifier.trial",
    "qualifier.",
    "bucket",
    "eq",
    "gt",
    "in",
    "resource:",
    "resource:plan",
    "object",
    "\"$ref\": \"https://example.com/x.json\",",
    "\"$ref\": \"#\",",
    "\\u0000",
    "a.a.a.a.a.a.a.a = 1\n",
];

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(12)).min(bytes.len());
        let replacement = match self.below(5) {
            0 => Vec::new(),
            1 => vec![u8::try_from(self.below(256)).unwrap()],
            2 => bytes[at..end].repeat(2),
            _ => WORDS[self.below(WORDS.len())].as_bytes().to_vec(),
        };
        let end = if self.below(2) == 0 { at } else { end };
        bytes.splice(at..end, replacement);
    }
}

fn tree(files: &[(String, Vec<u8>)]) -> Tree {
    files.iter().cloned().collect()
}

fn files() -> Vec<(String, Vec<u8>)> {
    FILES.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

/// Takes a workspace through the whole engine, and checks the properties that hold for every workspace.
fn check(tree: Tree) -> Lint {
    let parsed = parse(tree);
    let lint = lint(&parsed);
    for found in &lint.diagnostics {
        let Some(range) = &found.location.range else { continue };
        let length = parsed.tree().get(&found.location.path).map_or(0, |document| document.bytes.len());
        assert!(range.start <= range.end && range.bytes.end <= length, "{found:?}");
        assert!(range.start.line >= 1 && range.start.column >= 1, "{found:?}");
    }
    match compile(&parsed) {
        Err(error) => assert!(lint.has_errors() && !error.diagnostics.is_empty(), "{error}: {lint:?}"),
        Ok(compiled) => {
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
    }
    lint
}

#[test]
fn the_unchanged_workspace_has_no_errors() {
    assert_eq!(check(tree(&files())).errors(), 0);
}

#[test]
fn mutated_workspaces_are_answered() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for _ in 0..3_000 {
        let mut files = files();
        for _ in 0..=dice.below(4) {
            let file = dice.below(files.len());
            dice.mutate(&mut files[file].1);
        }
        check(tree(&files));
    }
}

#[test]
fn random_bytes_are_answered() {
    let mut dice = Dice(42);
    for _ in 0..500 {
        let mut files = files();
        let file = dice.below(files.len());
        files[file].1 = (0..dice.below(200)).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
        check(tree(&files));
    }
}

#[test]
fn cut_off_documents_are_answered() {
    for file in 0..FILES.len() {
        for end in 0..FILES[file].1.len() {
            let mut files = files();
            files[file].1.truncate(end);
            check(tree(&files));
        }
    }
}

#[track_caller]
fn check_document(path: &str, bytes: impl Into<Vec<u8>>, rule: &str, at: &str) {
    let mut files = files();
    files.retain(|(other, _)| other != path);
    files.push((path.to_owned(), bytes.into()));
    let lint = check(tree(&files));
    let found = lint.diagnostics.iter().find(|found| found.rule == rule);
    let found = found.unwrap_or_else(|| panic!("{rule} found nothing: {:?}", lint.diagnostics));
    assert_eq!(found.location.to_string(), at, "{found}");
}

#[test]
fn bytes_that_are_no_text_are_located() {
    check_document(
        "variables/limit.toml",
        b"a = 1\nb = \"\xff\"\n",
        "rototo/variable-parse-failed",
        "variables/limit.toml:2:6",
    );
    check_document("schemas/plan.json", b"{\"a\": \"\xff\"}", "rototo/schema-parse-failed", "schemas/plan.json:1:8");
}

#[test]
fn values_that_json_cannot_express_are_located() {
    let object = "resources/plan-objects/basic.toml";
    let check = |value: &str| {
        check_document(
            object,
            format!("n = 1\nx = {value}\n"),
            "rototo/resource-object-parse-failed",
            &format!("{object}:2:5"),
        );
    };
    for value in ["1979-05-27", "07:32:00", "inf", "-inf", "nan", "1e999", "9223372036854775808"] {
        check(value);
    }
}

#[test]
fn empty_documents_are_located() {
    check_document("variables/limit.toml", "", "rototo/variable-schema-version", "variables/limit.toml");
    check_document("qualifiers/pro.toml", "", "rototo/qualifier-predicate-missing", "qualifiers/pro.toml");
    check_document("schemas/plan.json", "", "rototo/schema-parse-failed", "schemas/plan.json:1:1");
}

#[test]
fn a_byte_order_mark_is_no_fault_of_a_toml_document() {
    let mut files = files();
    for (path, bytes) in &mut files {
        if path.ends_with(".toml") {
            bytes.splice(0..0, "\u{feff}".bytes());
        }
    }
    assert_eq!(check(tree(&files)).errors(), 0);
}

#[test]
fn nesting_has_an_end() {
    let object = "resources/plan-objects/basic.toml";
    let rule = "rototo/resource-object-parse-failed";
    let check = |text: String, rule: &str| {
        let mut files = files();
        files.retain(|(path, _)| path != object);
        files.push((object.to_owned(), text.into_bytes()));
        let lint = check(tree(&files));
        assert!(lint.diagnostics.iter().any(|found| found.rule == rule), "{:?}", lint.diagnostics);
    };
    let key = |parts: usize| vec!["a"; parts].join(".");
    check(format!("n = {}1{}", "[".repeat(100_000), "]".repeat(100_000)), rule);
    check(format!("{} = 1", key(100_000)), rule);
    check(format!("[{}]\nx = 1", key(100_000)), rule);
    check(format!("{} = 1", key(79)), rule);
    let nested = format!("{} = ", key(79));
    let tables = format!("{}1{}", format!("{{ {nested}").repeat(79), " }".repeat(79));
    check(format!("[{}]\n{nested}{tables}\n", key(79)), rule);
    let open = format!("{{\n{} = ", key(16)).repeat(79);
    check(format!("[{}]\nx = {open}1{}", key(16), "}".repeat(79)), rule);
    check_document("schemas/plan.json", "[".repeat(100_000), "rototo/schema-parse-failed", "schemas/plan.json:1:128");
}
