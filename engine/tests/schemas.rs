//! The JSON Schemas accept what lint accepts, and refuse what it refuses for the shape of one file.
#![allow(clippy::unwrap_used)]

use rototo_engine::lint::rules;
use rototo_engine::schemas::SchemaKind;

/// Faults in the shape of one file, which a schema can know.
const OF_SHAPE: &[&str] = &[
    "rototo/workspace-manifest-schema-failed",
    "rototo/variable-schema-version",
    "rototo/variable-type-source",
    "rototo/variable-unknown-type",
    "rototo/variable-values-missing",
    "rototo/variable-values-disallowed",
    "rototo/variable-value-type-mismatch",
    "rototo/variable-resolve-shape",
    "rototo/variable-resolve-missing-default",
    "rototo/variable-rule-shape",
    "rototo/qualifier-schema-version",
    "rototo/qualifier-predicate-missing",
    "rototo/qualifier-predicate-shape",
    "rototo/qualifier-predicate-unknown-op",
    "rototo/qualifier-predicate-value",
    "rototo/qualifier-predicate-bucket",
    "rototo/resource-schema-version",
];

/// Returns what the schema of the file says against it; `None` if it has no schema, or is no TOML.
fn faults(path: &str, text: &str) -> Option<Vec<String>> {
    let schema = SchemaKind::at(path)?.schema();
    let document: toml::Table = toml::from_str(text).ok()?;
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let document = serde_json::to_value(document).unwrap();
    Some(validator.iter_errors(&document).map(|error| error.to_string()).collect())
}

#[test]
fn the_schemas_are_schemas() {
    for kind in SchemaKind::ALL {
        assert!(jsonschema::draft7::meta::is_valid(&kind.schema()), "{kind:?}");
        assert_eq!(SchemaKind::named(kind.name()), Some(kind));
        let path = kind.files().replace('*', "a");
        assert_eq!(SchemaKind::at(&path), Some(kind), "{path}");
    }
}

#[test]
fn what_lint_accepts_the_schemas_accept() {
    let mut checked = 0;
    for rule in rules() {
        for (path, text) in rule.good {
            let found = faults(path, text);
            assert!(found.as_ref().is_none_or(Vec::is_empty), "{}: {path}: {found:?}", rule.id);
            checked += usize::from(found.is_some());
        }
    }
    assert!(checked > 60, "{checked}");
}

#[test]
fn what_lint_refuses_for_its_shape_the_schemas_refuse() {
    for rule in rules().iter().filter(|rule| OF_SHAPE.contains(&rule.id)) {
        let found = rule.bad.iter().any(|(path, text)| faults(path, text).is_some_and(|found| !found.is_empty()));
        assert!(found, "the schemas accept the bad example of {}", rule.id);
    }
    let known = rules().iter().filter(|rule| OF_SHAPE.contains(&rule.id)).count();
    assert_eq!(known, OF_SHAPE.len(), "a rule of this list is gone");
}

#[test]
fn each_slip_in_a_test_is_refused() {
    let good = "schema_version = 1\n[[case]]\ncontext.a = 1\nexpect = { limit = \"small\", fee = { value = 1 } }\n";
    assert_eq!(faults("tests/a.toml", good), Some(Vec::new()));
    for (from, to) in [
        ("schema_version = 1", "schema_version = 2"),
        ("expect", "expects"),
        ("\"small\"", "3"),
        ("value = 1", "values = 1"),
        ("[[case]]", "[[cases]]"),
        ("context.a = 1", "context = 1"),
    ] {
        assert_ne!(faults("tests/a.toml", &good.replace(from, to)), Some(Vec::new()), "{from} -> {to}");
    }
}
