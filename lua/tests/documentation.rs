//! The example on the page about custom rules works as the page says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rototo_engine::{Tree, lint_with, parse};
use rototo_lua::{InProcess, ScriptLimits};

/// The first block of that language on the page.
fn block(language: &str) -> &'static str {
    let page = include_str!("../../docs/custom-rules.md");
    let (_, block) = page.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0
}

#[test]
fn the_example_finds_what_the_page_says() {
    let files = [
        ("rototo-workspace.toml", "schema_version = 1\n"),
        ("schemas/pool.json", "{\"type\": \"object\"}"),
        ("lint/capacity.lua", block("lua")),
        ("variables/pool.toml", block("toml")),
    ];
    let tree: Tree = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let lint = lint_with(&parse(tree), &mut InProcess::new(ScriptLimits::default()));
    let errors: Vec<_> =
        lint.diagnostics.iter().filter(|found| found.severity == rototo_engine::Severity::Error).collect();
    let said = block("text");
    assert_eq!(errors.len(), 1, "{:?}", lint.diagnostics);
    assert!(said.contains(&format!("[{}]: {}", errors[0].rule, errors[0].message)), "{}", errors[0]);
    assert!(said.contains(&errors[0].location.to_string()), "{}", errors[0]);
    assert!(said.contains(errors[0].help.as_deref().unwrap()));
}
