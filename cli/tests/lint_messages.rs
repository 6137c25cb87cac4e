//! docs/lint-messages.md shows what the command prints about the bad example of each rule.
//! `WRITE_MANUAL=1 cargo test -p rototo-cli --test lint_messages` writes it anew.
#![allow(clippy::unwrap_used)]

mod support;

use std::fmt::Write;
use std::path::Path;

use rototo_engine::lint::{LintRule, rules};
use support::rototo;

const PREAMBLE: &str = "# What lint prints\n\n\
    This page shows, for each rule, the output of `rototo lint` for the example with the fault.\n\
    [lint-rules.md](lint-rules.md) has the examples, and explains the faults. Where an example has several faults, the\n\
    output has all of them. The page is written by\n\
    `WRITE_MANUAL=1 cargo test -p rototo-cli --test lint_messages`.\n";

/// Returns the output for the bad example of `rule`, which reports it.
fn printed(rule: &LintRule) -> String {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    // Without a manifest a directory is no workspace, and only two rules apply to it.
    if !matches!(rule.id, "rototo/workspace-manifest-missing" | "rototo/workspace-not-found") {
        write("rototo-workspace.toml", "schema_version = 1\n");
    }
    rule.bad.iter().for_each(|(path, text)| write(path, text));
    let output = rototo(directory.path(), &["lint", "."]);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!text.contains('\u{1b}'), "{} is printed in colour, and this is no terminal", rule.id);
    assert!(text.contains(rule.id), "{} is not in:\n{text}", rule.id);
    let canonical = directory.path().canonicalize().unwrap();
    text.replace(&canonical.display().to_string(), "/home/you/config")
}

#[test]
fn the_page_on_lint_messages_shows_what_each_rule_prints() {
    let mut page = PREAMBLE.to_owned();
    for rule in rules() {
        write!(page, "\n## {}\n\n```text\n{}\n```\n", rule.id, printed(rule).trim_end()).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lint-messages.md");
    if std::env::var_os("WRITE_MANUAL").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differ = written.lines().zip(page.lines()).find(|(written, now)| written != now);
    assert!(written == page, "docs/lint-messages.md is not what lint prints (see the head of this file): {differ:?}");
}
