//! Every built-in rule finds its bad example and leaves its good one alone, also where Lua runs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::lint::{Example, rules};
use rototo_engine::{Severity, Tree, lint_with, parse};
use rototo_lua::{InProcess, ScriptLimits};

fn tree(rule: &str, files: &[Example]) -> Tree {
    let complete = ["rototo/workspace-not-found", "rototo/workspace-manifest-"];
    let understood = !complete.iter().any(|prefix| rule.starts_with(prefix));
    let manifest = understood.then_some(("rototo-workspace.toml", "schema_version = 1\n"));
    manifest.iter().chain(files).map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

#[test]
fn every_rule_finds_its_bad_example_and_leaves_its_good_one_alone() {
    for rule in rules() {
        let lint = |files| lint_with(&parse(tree(rule.id, files)), &mut InProcess::new(ScriptLimits::default()));
        let bad = lint(rule.bad);
        let found = bad.diagnostics.iter().find(|found| found.rule == rule.id);
        assert!(found.is_some(), "{} is silent about its bad example: {:?}", rule.id, bad.diagnostics);
        let good = lint(rule.good);
        let wrong = good.diagnostics.iter().find(|found| found.rule == rule.id || found.severity == Severity::Error);
        assert_eq!(wrong, None, "{} objects to its good example", rule.id);
    }
}
