//! Attributes decide the same in JSON, in a prepared context, and in an application's own type.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;

use rototo_engine::{
    Attribute, Attributes, Compiled, Context, ResolveError, ResolveOptions, Tree, compile, compile_after, parse,
    parse_after,
};
use serde_json::{Value, json};

fn tree(files: &[(String, String)]) -> Tree {
    let manifest = ("rototo-workspace.toml".to_owned(), "schema_version = 1".to_owned());
    files.iter().chain([&manifest]).map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect()
}

fn qualifier(id: &str, predicates: &[(&str, &str)]) -> (String, String) {
    let predicates = predicates.iter().map(|(path, rest)| format!("[[predicate]]\nattribute = \"{path}\"\n{rest}\n"));
    (format!("qualifiers/{id}.toml"), format!("schema_version = 1\n{}", predicates.collect::<String>()))
}

/// Attributes in an own type, which records the paths that it is asked for.
struct RecordingFacts {
    json: Value,
    asked: RefCell<BTreeMap<String, usize>>,
}

impl RecordingFacts {
    fn new(json: Value) -> Self {
        Self { json, asked: RefCell::default() }
    }
}

impl Attributes for RecordingFacts {
    fn attribute(&self, path: &str) -> Option<Attribute<'_>> {
        *self.asked.borrow_mut().entry(path.to_owned()).or_default() += 1;
        path.split('.').try_fold(&self.json, |value, key| value.get(key)).map(Attribute::Json)
    }
}

/// Decides `q` from all kinds of attributes, and from a context that was prepared for another workspace.
#[track_caller]
fn decide(compiled: &Compiled, json: &Value) -> Result<bool, ResolveError> {
    let context = Context::from_json(json.clone()).unwrap();
    let expected = compiled.resolve_qualifier("q", &context);
    let elsewhere = compile(&parse(tree(&[]))).unwrap();
    let mut prepared = elsewhere.prepare(context.clone());
    assert_eq!(compiled.resolve_qualifier("q", &prepared), expected, "prepared for another: {json}");
    compiled.prepare_again(&mut prepared);
    assert!(prepared.is_for(compiled));
    assert_eq!(compiled.resolve_qualifier("q", &prepared), expected, "prepared: {json}");
    assert_eq!(compiled.resolve_qualifier("q", &RecordingFacts::new(json.clone())), expected, "an own type: {json}");
    let own: &dyn Attributes = &RecordingFacts::new(json.clone());
    assert_eq!(compiled.resolve_qualifier("q", own), expected, "some own type: {json}");

    let options = ResolveOptions::default();
    let trace = compiled.trace_qualifier("q", &context, options);
    assert_eq!(compiled.trace_qualifier("q", &prepared, options), trace);
    assert_eq!(compiled.trace_qualifier("q", own, options), trace);
    expected
}

#[test]
fn every_operator_decides_the_same_for_all_kinds_of_attributes() {
    let many = (0..20).map(|number| format!("\"t{number}\"")).collect::<Vec<_>>().join(", ");
    let operators = [
        "op = \"eq\"\nvalue = \"a\"".to_owned(),
        "op = \"neq\"\nvalue = 1".to_owned(),
        "op = \"eq\"\nvalue = true".to_owned(),
        "op = \"eq\"\nvalue = [1]".to_owned(),
        "op = \"eq\"\nvalue = { k = 1 }".to_owned(),
        "op = \"in\"\nvalue = [\"a\", 1, 2.5, true, [1], { k = 1 }]".to_owned(),
        "op = \"not_in\"\nvalue = [\"a\", 1, 2.5, true, [1], { k = 1 }]".to_owned(),
        format!("op = \"in\"\nvalue = [{many}]"),
        "op = \"gt\"\nvalue = 1".to_owned(),
        "op = \"lte\"\nvalue = 1.5".to_owned(),
        "op = \"bucket\"\nsalt = \"s\"\nrange = [0, 5000]".to_owned(),
    ];
    let facts = json!([
        null, true, false, 0, 1, 1.0, -1, 1.5, 2.5, 18_446_744_073_709_551_615_u64, 9_007_199_254_740_993_i64, 1e300,
        "", "a", "t7", "t70", [1], [1.0], [], {"k": 1}, {"k": 2}
    ]);
    let (mut yes, mut no, mut errors) = (0, 0, 0);
    for operator in &operators {
        let compiled = compile(&parse(tree(&[qualifier("q", &[("f.x", operator)])]))).unwrap();
        for fact in facts.as_array().unwrap() {
            match decide(&compiled, &json!({ "f": { "x": fact } })) {
                Ok(true) => yes += 1,
                Ok(false) => no += 1,
                Err(_) => errors += 1,
            }
        }
        assert!(matches!(decide(&compiled, &json!({ "f": {} })), Err(ResolveError::MissingAttribute { .. })));
        assert!(matches!(decide(&compiled, &json!({ "f": "x" })), Err(ResolveError::MissingAttribute { .. })));
    }
    assert!(yes > 30 && no > 100 && errors > 10, "{yes} {no} {errors}");
}

#[test]
fn an_own_type_is_read_at_most_once_per_path() {
    // More paths than fit into the first part of the memory, and two qualifiers read each of them.
    let on = |number: usize| (format!("a.b.p{number}"), "op = \"neq\"\nvalue = \"x\"");
    for paths in [3, 31, 40, 90, 300] {
        let names: Vec<_> = (0..paths).map(on).collect();
        let predicates: Vec<_> = names.iter().map(|(path, rest)| (path.as_str(), *rest)).collect();
        let mut both = predicates.clone();
        both.extend([("qualifier.one", "op = \"eq\"\nvalue = true"), ("qualifier.one", "op = \"neq\"\nvalue = false")]);
        let compiled = compile(&parse(tree(&[qualifier("one", &predicates), qualifier("q", &both)]))).unwrap();
        let values: serde_json::Map<_, _> = (0..paths).map(|number| (format!("p{number}"), number.into())).collect();
        let own = RecordingFacts::new(json!({ "a": { "b": values } }));
        assert_eq!(compiled.resolve_qualifier("q", &own), Ok(true));
        assert_eq!(own.asked.borrow().len(), paths);
        assert!(own.asked.borrow().values().all(|times| *times == 1), "{paths}");
        assert_eq!(decide(&compiled, &own.json), Ok(true));
    }
}

#[test]
fn a_prepared_context_stays_correct_when_the_workspace_changes() {
    let version = |value: &str, path: &str| {
        tree(&[qualifier(
            "q",
            &[("plan", &format!("op = \"eq\"\nvalue = \"{value}\"")), (path, "op = \"eq\"\nvalue = 1")],
        )])
    };
    let first = parse(version("pro", "seats"));
    let compiled = compile(&first).unwrap();
    let facts = json!({ "plan": "pro", "seats": 1, "region": { "tier": 2 } });
    let mut prepared = compiled.prepare(Context::from_json(facts).unwrap());
    assert_eq!(compiled.resolve_qualifier("q", &prepared), Ok(true));

    let second = parse_after(&first, version("free", "seats"));
    let compiled = compile_after(&compiled, &second).unwrap();
    assert!(prepared.is_for(&compiled), "it reads the same paths");
    assert_eq!(compiled.resolve_qualifier("q", &prepared), Ok(false));

    let third = parse_after(&second, version("pro", "region.tier"));
    let compiled = compile_after(&compiled, &third).unwrap();
    assert!(!prepared.is_for(&compiled), "it reads another path");
    assert_eq!(compiled.resolve_qualifier("q", &prepared), Ok(false));
    compiled.prepare_again(&mut prepared);
    assert_eq!(compiled.resolve_qualifier("q", &prepared), Ok(false));
}

#[test]
fn the_context_schema_is_for_json_only() {
    let schema = ("schemas/context.schema.json".to_owned(), "{\"required\": [\"plan\"]}".to_owned());
    let reads = qualifier("q", &[("seats", "op = \"eq\"\nvalue = 1")]);
    let compiled = compile(&parse(tree(&[schema, reads]))).unwrap();
    let facts = json!({ "seats": 1 });
    let context = Context::from_json(facts.clone()).unwrap();
    assert!(matches!(compiled.resolve_qualifier("q", &context), Err(ResolveError::ContextMismatch(_))));
    let prepared = compiled.prepare(context);
    assert!(matches!(compiled.resolve_qualifier("q", &prepared), Err(ResolveError::ContextMismatch(_))));
    let unchecked = ResolveOptions { validate_context: false };
    assert_eq!(compiled.resolve_qualifier_with("q", &prepared, unchecked), Ok(true));
    assert_eq!(compiled.resolve_qualifier("q", &RecordingFacts::new(facts)), Ok(true));
}

/// A number that is not real is null, as it is in JSON.
#[test]
fn a_number_that_is_not_real_is_null() {
    struct Odd(f64);
    impl Attributes for Odd {
        fn attribute(&self, _: &str) -> Option<Attribute<'_>> {
            Some(Attribute::Float(self.0))
        }
    }
    let compiled = |rest: &str| compile(&parse(tree(&[qualifier("q", &[("x", rest)])]))).unwrap();
    let ordered = compiled("op = \"gt\"\nvalue = 1");
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(ordered.resolve_qualifier("q", &Odd(odd)), Err(ResolveError::NotANumber { .. })));
    }
    let not_one = compiled("op = \"neq\"\nvalue = 1");
    assert_eq!(not_one.resolve_qualifier("q", &Odd(f64::NAN)), Ok(true));
}
