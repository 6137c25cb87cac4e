//! Each fault of a document is found by its rule, at its place.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{Tree, lint, parse};

const FILES: &[(&str, &str)] = &[
    ("rototo-workspace.toml", "schema_version = 1\n"),
    ("schemas/plan.json", "{\"type\": \"object\"}"),
    (
        "schemas/context.schema.json",
        "{\"properties\": {\"n\": {\"type\": \"number\"}, \"s\": {\"type\": \"string\"}, \"l\": {\"type\": [\"array\", \"null\"]}}}",
    ),
    ("resources/plan.toml", "schema_version = 1\nschema = \"../schemas/plan.json\"\n"),
    ("resources/plan-objects/basic.toml", "seats = 1\n"),
    ("qualifiers/q.toml", "schema_version = 1\n[[predicate]]\nattribute = \"n\"\nop = \"eq\"\nvalue = 1\n"),
];

fn tree<'a>(files: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Tree {
    files.into_iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

/// The rules that object to `text` at `path`, each with its place, in a workspace without other faults.
fn found(path: &str, text: &str) -> Vec<String> {
    let document = (path, text);
    let tree = tree(FILES.iter().filter(|(other, _)| *other != path).chain([&document]));
    let found = lint(&parse(tree)).diagnostics.into_iter().filter(|found| found.location.path == path);
    found
        .map(|found| {
            format!(
                "{} {}",
                found.rule.trim_start_matches("rototo/"),
                found.location.to_string().trim_start_matches(path)
            )
        })
        .collect()
}

/// `places` are lines and columns after a colon, or nothing for the document as a whole.
#[track_caller]
fn check(path: &str, text: &str, rule: &str, place: &str) {
    let found = found(path, text);
    let expected = format!("{rule} {place}");
    assert!(found.contains(&expected), "expected {expected} in {found:#?}");
}

#[test]
fn manifests() {
    let check = |text, rule, place| check("rototo-workspace.toml", text, rule, place);
    check("", "workspace-manifest-schema-failed", "");
    check("schema_version = \"1\"\n", "workspace-manifest-schema-failed", ":1:18");
    check("schema_version = 1\nextends = \"../base\"\n", "workspace-manifest-schema-failed", ":2:11");
    check("schema_version = 1\nextends = [\"../base\", 2]\n", "workspace-manifest-schema-failed", ":2:23");
    check("schema_version = 1\nextends = [\" \"]\n", "workspace-manifest-schema-failed", ":2:12");
    check("schema_version = 1\nextends = [\n  \"../base \",\n]\n", "workspace-manifest-schema-failed", ":3:3");
    check("schema_version = 1\nschema_version = 1\n", "workspace-manifest-parse-failed", ":2:1");
}

#[test]
fn qualifiers() {
    let check =
        |text: &str, rule, place| check("qualifiers/q.toml", &format!("schema_version = 1\n{text}"), rule, place);
    check("predicate = []\n", "qualifier-predicate-missing", "");
    check("predicate = 1\n", "qualifier-predicate-shape", ":2:13");
    check("predicate = [1]\n", "qualifier-predicate-shape", ":2:14");
    check("[predicate]\n", "qualifier-predicate-shape", ":2:1");
    check("[[predicate]]\nop = \"eq\"\nvalue = 1\n", "qualifier-predicate-shape", ":2:1");
    check("[[predicate]]\nattribute = 1\n", "qualifier-predicate-shape", ":3:13");
    check("[[predicate]]\nattribute = \"n\"\nop = \"=\"\n", "qualifier-predicate-unknown-op", ":4:6");
    check("[[predicate]]\nattribute = \"n\"\nop = \"eq\"\n", "qualifier-predicate-value", ":2:1");
    check("[[predicate]]\nattribute = \"n\"\nop = \"gt\"\nvalue = \"1\"\n", "qualifier-predicate-value", ":5:9");
    check(
        "[[predicate]]\nattribute = \"qualifier.p\"\nop = \"eq\"\nvalue = true\n",
        "qualifier-predicate-unknown-qualifier",
        ":3:13",
    );
    check("[[predicate]]\nattribute = \"qualifier.q\"\nop = \"eq\"\nvalue = true\n", "qualifier-cycle", ":3:13");
    check("[[predicate]]\nattribute = \"m\"\nop = \"eq\"\nvalue = 1\n", "workspace-context-schema-attribute", ":3:13");
}

#[test]
fn buckets() {
    let check = |rest: &str, place| {
        let text = format!("schema_version = 1\n[[predicate]]\nattribute = \"n\"\nop = \"bucket\"\n{rest}");
        check("qualifiers/q.toml", &text, "qualifier-predicate-bucket", place);
    };
    check("range = [0, 1]\n", ":2:1");
    check("salt = 1\nrange = [0, 1]\n", ":5:8");
    check("salt = \"s\"\n", ":2:1");
    check("salt = \"s\"\nrange = 5\n", ":6:9");
    for range in ["[]", "[0]", "[0, 1, 2]", "[0.0, 1.0]", "[5, 5]", "[6, 5]", "[-1, 5]", "[0, 10001]", "[0, 65537]"] {
        check(&format!("salt = \"s\"\nrange = {range}\n"), ":6:9");
    }
    check("salt = \"s\"\nrange = [0, 1]\nvalue = 1\n", ":7:9");
}

#[test]
fn predicates_that_do_not_fit_the_context_schema() {
    let check = |attribute: &str, rest: &str, place| {
        let text = format!("schema_version = 1\n[[predicate]]\nattribute = \"{attribute}\"\n{rest}");
        check("qualifiers/q.toml", &text, "qualifier-predicate-context-type-mismatch", place);
    };
    check("n", "op = \"eq\"\nvalue = \"1\"\n", ":5:9");
    check("n", "op = \"in\"\nvalue = [1, \"1\"]\n", ":5:9");
    check("s", "op = \"lt\"\nvalue = 1\n", ":4:6");
    check("l", "op = \"bucket\"\nsalt = \"s\"\nrange = [0, 1]\n", ":4:6");
}

#[test]
fn variables() {
    let check =
        |text: &str, rule, place| check("variables/v.toml", &format!("schema_version = 1\n{text}"), rule, place);
    let values = "[values]\na = 1\nb = 2\n";
    let rest = format!("{values}[resolve]\ndefault = \"a\"\n");
    check(&rest, "variable-type-source", "");
    check(&format!("type = 1\n{rest}"), "variable-type-source", ":2:8");
    check(&format!("type = \"int\"\nschema = \"../schemas/plan.json\"\n{rest}"), "variable-type-source", ":3:10");
    check(&format!("type = \"object\"\nschema = \"../schemas/x.json\"\n{rest}"), "variable-type-source", ":3:10");
    check(&format!("type = \"object\"\nschema = \"../../x.json\"\n{rest}"), "variable-type-source", ":3:10");
    check(&format!("type = \"ints\"\n{rest}"), "variable-unknown-type", ":2:8");
    check(&format!("type = \"resource:pla\"\n{rest}"), "variable-unknown-resource", ":2:8");
    check(&format!("type = \"resource:plan\"\n{rest}"), "variable-values-disallowed", ":3:1");
    check(&format!("type = \"resource:plan\"\n{rest}"), "variable-unknown-value", ":7:11");
    check("type = \"int\"\nvalues = 1\n", "variable-values-missing", ":3:10");
    check("type = \"int\"\nvalues = {}\n", "variable-values-missing", ":3:10");
    check(&format!("type = \"string\"\n{rest}"), "variable-value-type-mismatch", ":4:5");
    check(&format!("type = \"int\"\n{rest}"), "variable-value-unused", ":5:1");
    check(&format!("type = \"int\"\n{values}"), "variable-resolve-missing-default", "");
    check(&format!("type = \"int\"\n{values}[resolve]\n"), "variable-resolve-missing-default", ":6:1");
    check(&format!("type = \"int\"\nresolve = 1\n{values}"), "variable-resolve-shape", ":3:11");
    check(&format!("type = \"int\"\n{values}[resolve]\ndefault = \"c\"\n"), "variable-unknown-value", ":7:11");
}

#[test]
fn rules_of_variables() {
    let check = |text: &str, rule, place| {
        let preamble = "schema_version = 1\ntype = \"int\"\nvalues = { a = 1, b = 2 }\n[resolve]\ndefault = \"a\"\n";
        check("variables/v.toml", &format!("{preamble}{text}"), rule, place);
    };
    check("rule = 1\n", "variable-rule-shape", ":6:8");
    check("rule = [1]\n", "variable-rule-shape", ":6:9");
    check("[[resolve.rule]]\nvalue = \"b\"\n", "variable-rule-shape", ":6:1");
    check("[[resolve.rule]]\nqualifier = \"q\"\nvalue = 1\n", "variable-rule-shape", ":8:9");
    check("[[resolve.rule]]\nqualifier = \"p\"\nvalue = \"b\"\n", "variable-rule-unknown-qualifier", ":7:13");
    check("[[resolve.rule]]\nqualifier = \"q\"\nvalue = \"c\"\n", "variable-unknown-value", ":8:9");
    check("[[resolve.rule]]\nqualifier = \"q\"\nvalue = \"a\"\n", "variable-rule-selects-default-value", ":8:9");
    let twice = "[[resolve.rule]]\nqualifier = \"q\"\nvalue = \"b\"\n".repeat(2);
    check(&twice, "variable-rule-shadowed", ":10:13");
}

#[test]
fn resources_and_their_objects() {
    let resource = |text, rule, place| check("resources/plan.toml", text, rule, place);
    resource("schema_version = 1\n", "resource-schema-ref", "");
    resource("schema_version = 1\nschema = 1\n", "resource-schema-ref", ":2:10");
    resource("schema_version = 1\nschema = \"../schemas/x.json\"\n", "resource-schema-ref", ":2:10");
    resource("schema_version = 1\nschema = \"/etc/passwd\"\n", "resource-schema-ref", ":2:10");
    resource("schema = \"../schemas/plan.json\"\n", "resource-schema-version", "");

    let nested = "{\"properties\": {\"tiers\": {\"items\": {\"properties\": {\"seats\": {\"minimum\": 1}, \"next\": {\"x-rototo-resource\": \"plan\"}}}}}}";
    let object = "resources/plan-objects/basic.toml";
    let text = "name = \"x\"\n\n[[tiers]]\nseats = 1\nnext = \"basic\"\n\n[[tiers]]\nseats = 0\nnext = \"basics\"\n";
    let documents = [(object, text), ("schemas/plan.json", nested)];
    let others = FILES.iter().filter(|(path, _)| *path != object && *path != "schemas/plan.json");
    let tree = tree(others.chain(&documents));
    let found = lint(&parse(tree)).diagnostics;
    let at = |rule: &str| {
        let found = found.iter().find(|found| found.rule == rule).unwrap_or_else(|| panic!("{found:#?}"));
        (found.location.to_string(), found.key.clone().unwrap_or_default())
    };
    assert_eq!(at("rototo/resource-object-schema-mismatch"), (format!("{object}:8:1"), "tiers[1].seats".to_owned()));
    assert_eq!(at("rototo/resource-object-unknown-reference"), (format!("{object}:9:1"), "tiers[1].next".to_owned()));
}

#[test]
fn a_broken_document_is_not_reported_as_missing_too() {
    let found = found("qualifiers/q.toml", "schema_version =\n");
    assert_eq!(found, ["qualifier-parse-failed :1:17"]);
    let variable = "schema_version = 1\ntype = \"int\"\nvalues = { a = 1, b = 2 }\n[resolve]\ndefault = \"a\"\n[[resolve.rule]]\nqualifier = \"q\"\nvalue = \"b\"\n";
    let files =
        [("rototo-workspace.toml", "schema_version = 1"), ("variables/v.toml", variable), ("qualifiers/q.toml", "=")];
    let tree = tree(&files);
    let found: Vec<_> = lint(&parse(tree)).diagnostics.into_iter().map(|found| found.rule.into_owned()).collect();
    assert_eq!(found, ["rototo/qualifier-parse-failed"]);
}

#[test]
fn diagnostics_are_ordered_by_document_and_place() {
    let files = [
        ("rototo-workspace.toml", "schema_version = 2\nextends = 1\n"),
        ("variables/a.toml", ""),
        ("qualifiers/z.toml", "="),
    ];
    let tree = tree(&files);
    let parsed = parse(tree);
    let places: Vec<_> = lint(&parsed).diagnostics.into_iter().map(|found| found.location).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(lint(&parsed), lint(&parsed));
}
