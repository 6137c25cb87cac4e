//! Every rule finds its fault in its bad example and leaves its good example alone.

use crate::diagnostic::{Severity, Stage};
use crate::document::tree::Tree;
use crate::lint::rule::Example;
use crate::lint::{lint, rules};
use crate::parse::parse;

/// An example as a workspace. Examples of rules about the manifest are complete; the others understand one.
fn tree(rule: &str, files: &[Example]) -> Tree {
    let complete = ["rototo/workspace-not-found", "rototo/workspace-manifest-"];
    let understood = !complete.iter().any(|prefix| rule.starts_with(prefix));
    let manifest = understood.then_some(("rototo-workspace.toml", "schema_version = 1\n"));
    let files = manifest.iter().chain(files);
    files.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

#[test]
fn every_rule_finds_its_bad_example_and_leaves_its_good_one_alone() {
    // The examples about Lua need something that runs it: `lua/tests/rules.rs` tests all rules once more, with that.
    for rule in rules().iter().filter(|rule| rule.stage != Stage::Register) {
        let bad = lint(&parse(tree(rule.id, rule.bad)));
        let found = bad.diagnostics.iter().find(|found| found.rule == rule.id);
        assert!(found.is_some(), "{} is silent about its bad example: {:?}", rule.id, bad.diagnostics);
        let good = lint(&parse(tree(rule.id, rule.good)));
        let wrong = good.diagnostics.iter().find(|found| found.rule == rule.id || found.severity == Severity::Error);
        assert_eq!(wrong, None, "{} objects to its good example", rule.id);
    }
}

#[test]
fn every_rule_has_the_severity_and_entity_of_the_format() {
    let known: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../tests/vectors/lint-rules.json")).unwrap();
    for row in &known {
        let rule = rules().iter().find(|rule| row["rule"] == rule.id).unwrap_or_else(|| panic!("{row} is not there"));
        assert_eq!(row["severity"], serde_json::to_value(rule.severity).unwrap(), "{}", rule.id);
        assert_eq!(row["entity"], rule.entity, "{}", rule.id);
    }
}
