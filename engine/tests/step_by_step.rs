//! A workspace that is updated through many changes equals one that is read at once: the same parts, faults, and
//! decisions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{
    Compiled, Context, Linted, Parsed, ResolveOptions, Summary, Tree, compile, compile_after, compile_tree_after, lint,
    lint_after, parse, parse_after,
};
use serde_json::json;

/// The possible texts at each path: a step writes one of them, or removes the file.
const FILES: &[(&str, &[&str])] = &[
    ("rototo-workspace.toml", &["schema_version = 1", "schema_version = 1 # same", "schema_version = 2"]),
    (
        "variables/limit.toml",
        &[
            "schema_version = 1\ntype = \"int\"\nvalues = { a = 1, b = 2 }\nresolve = { default = \"a\", rule = [{ qualifier = \"pro\", value = \"b\" }] }",
            "schema_version = 1\ntype = \"int\"\nvalues = { a = 1, b = 3 }\nresolve = { default = \"b\", rule = [{ qualifier = \"trial\", value = \"a\" }] }",
            "schema_version = 1\ntype = \"resource:plan\"\nresolve = { default = \"basic\" }",
        ],
    ),
    (
        "variables/plan.toml",
        &[
            "schema_version = 1\ntype = \"resource:plan\"\nresolve = { default = \"basic\", rule = [{ qualifier = \"trial\", value = \"large\" }] }",
            "schema_version = 1\ntype = \"resource:other\"\nresolve = { default = \"basic\" }",
            "schema_version = ",
        ],
    ),
    (
        "variables/hint.toml",
        &[
            "schema_version = 1\ntype = \"object\"\nschema = \"../schemas/offer.json\"\nvalues = { a = { plan = \"basic\" } }\nresolve = { default = \"a\" }",
            "schema_version = 1\ntype = \"resource:plans\"\nresolve = { default = \"basics\", rule = [{ qualifier = \"pros\", value = \"x\" }] }",
            "schema_version = 1\ntype = \"object\"\nschema = \"../schemas/offers.json\"\nvalues = { a = { plan = 1 } }\nresolve = { default = \"b\", rule = [{ qualifier = \"othe\", value = \"a\" }] }",
        ],
    ),
    ("resources/plan.toml", &["schema_version = 1\nschema = \"../schemas/plan.json\"", "schema_version = 2", "="]),
    ("resources/plan-objects/basic.toml", &["n = 1", "n = 2", "n = "]),
    ("resources/plan-objects/large.toml", &["n = 10", "n = 20"]),
    ("resources/other.toml", &["schema_version = 1\nschema = \"../schemas/plan.json\""]),
    ("resources/other-objects/basic.toml", &["n = 7", "n = \"x\""]),
    (
        "resources/offer.toml",
        &[
            "schema_version = 1\nschema = \"../schemas/offer.json\"",
            "schema_version = 1\nschema = \"../schemas/plan.json\"",
        ],
    ),
    ("resources/offer-objects/spring.toml", &["plan = \"basic\"", "plan = \"large\"", "plan = 7"]),
    ("resources/lone-objects/x.toml", &["n = 1", "n = "]),
    (
        "schemas/offer.json",
        &[
            "{\"properties\": {\"plan\": {\"type\": \"string\", \"x-rototo-resource\": \"plan\"}}}",
            "{\"type\": 7}",
            "{\"properties\": {\"plan\": {\"x-rototo-resource\": \"other\"}}}",
        ],
    ),
    ("schemas/plan.json", &["{\"type\": \"object\"}", "{\"properties\": {\"n\": {\"type\": \"integer\"}}}", "{"]),
    (
        "schemas/context.schema.json",
        &[
            "{}",
            "{\"properties\": {\"n\": {\"type\": \"integer\"}}}",
            "{\"properties\": {\"n\": {\"type\": \"string\"}, \"id\": {\"enum\": [\"b\"]}, \"m\": {}}}",
            "{\"description\": \"x\", \"properties\": {\"n\": {\"type\": \"integer\"}, \"id\": {\"const\": \"a\"}}}",
            "{\"type\": 3, \"properties\": {\"n\": {\"type\": \"integer\"}}}",
        ],
    ),
    (
        "qualifiers/pro.toml",
        &[
            "schema_version = 1\npredicate = [{ attribute = \"n\", op = \"gt\", value = 1 }]",
            "schema_version = 1\npredicate = [{ attribute = \"m\", op = \"eq\", value = 1 }]",
            "schema_version = 1\npredicate = [{ attribute = \"qualifier.trial\", op = \"eq\", value = true }]",
        ],
    ),
    (
        "qualifiers/trial.toml",
        &[
            "schema_version = 1\npredicate = [{ attribute = \"id\", op = \"bucket\", salt = \"s\", range = [0, 5000] }]",
            "schema_version = 1\npredicate = [{ attribute = \"qualifier.pro\", op = \"eq\", value = true }]",
            "schema_version = 1\npredicate = [{ attribute = \"qualifier.other\", op = \"eq\", value = true }]",
            "schema_version = 1\npredicate = [{ attribute = \"qualifier.othr\", op = \"eq\", value = true }]",
        ],
    ),
    ("qualifiers/other.toml", &["schema_version = 1\npredicate = [{ attribute = \"n\", op = \"lt\", value = 5 }]"]),
    ("lint/custom.lua", &["function register(lint) end"]),
];

/// Pseudo-random numbers, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Adds, removes, or changes one file; usually the workspace stays complete.
fn step(tree: &mut Tree, numbers: &mut Numbers) {
    let (path, texts) = FILES[numbers.below(FILES.len())];
    match numbers.below(10) {
        0 => tree.remove(path),
        1..7 => tree.insert(path, texts[0].as_bytes().to_vec()),
        _ => tree.insert(path, texts[numbers.below(texts.len())].as_bytes().to_vec()),
    }
}

fn answers(compiled: &Compiled) -> Vec<String> {
    let contexts = [json!({"id": "a", "n": 3, "m": 1}), json!({"id": "b", "n": 0, "m": 1.0}), json!({"id": "c"})];
    let mut answers = vec![compiled.fingerprint().to_string()];
    for context in contexts.map(|value| Context::from_json(value).unwrap()) {
        for id in compiled.variables() {
            answers.push(format!("{:?}", compiled.values(id).unwrap().collect::<Vec<_>>()));
            answers.push(format!("{:?}", compiled.trace_variable(id, &context, ResolveOptions::default())));
        }
        for id in compiled.qualifiers() {
            answers.push(format!("{id} {:?}", compiled.resolve_qualifier(id, &context)));
        }
    }
    answers
}

#[test]
fn a_workspace_followed_step_by_step_is_the_one_that_is_read_at_once() {
    let mut compiled_steps = 0;
    for seed in 0..20 {
        let mut numbers = Numbers(seed);
        let mut tree: Tree =
            FILES.iter().map(|(path, texts)| ((*path).to_owned(), texts[0].as_bytes().to_vec())).collect();
        let (mut followed, mut linted, mut compiled) = (Parsed::default(), Linted::default(), Compiled::default());
        let mut by_tree = Compiled::default();
        for _ in 0..150 {
            step(&mut tree, &mut numbers);
            followed = parse_after(&followed, tree.clone());
            // Also the objects without a resource, which lint reports.
            let files = FILES.iter().filter_map(|(path, _)| Some(((*path).to_owned(), tree.get(path)?.bytes.to_vec())));
            let at_once = parse(files.collect());
            assert_eq!(followed.summary(), at_once.summary());
            assert_eq!(followed.summary(), Summary::of(&tree));
            assert_eq!(followed.summary().documents, tree.iter().count());
            linted = lint_after(&linted, &followed);
            assert_eq!(*linted.lint(), lint(&at_once));
            let next_by_tree = compile_tree_after(&by_tree, tree.clone());
            match (compile_after(&compiled, &followed), next_by_tree, compile(&at_once)) {
                (Ok(next), Ok(next_by_tree), Ok(at_once)) => {
                    assert_eq!(answers(&next), answers(&at_once));
                    assert_eq!(answers(&next_by_tree), answers(&at_once));
                    assert_eq!(next_by_tree.changed_since(&by_tree), at_once.changed_since(&compiled));
                    (compiled, by_tree) = (next, next_by_tree);
                    compiled_steps += 1;
                }
                (Err(next), Err(by_tree), Err(refused)) => {
                    assert_eq!(next.diagnostics.is_empty(), refused.diagnostics.is_empty());
                    assert_eq!(format!("{next:?}"), format!("{by_tree:?}"));
                    assert!(lint(&at_once).has_errors(), "lint accepts what does not compile: {refused}");
                }
                (next, by_tree, at_once) => {
                    panic!("followed {:?}, by tree {:?}, at once {:?}", next.err(), by_tree.err(), at_once.err())
                }
            }
        }
    }
    assert!(compiled_steps > 300, "{compiled_steps}");
}
