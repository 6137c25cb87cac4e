//! All that is wrong with a workspace, at once: each rule looks at the parsed documents and reports what it finds.
//!
//! A rule is a line in `rules/mod.rs`, a file, and a folder with its texts. Most rules read one document and the documents
//! that it names, so [`lint_after`] skips a document if neither it nor any document that it names changed.

mod affected;
mod check;
mod custom;
mod entry;
mod findings;
mod linted;
mod manual;
mod references;
mod report;
mod rule;
mod rules;
mod similar;
mod uses;
mod workspace_index;

use crate::lint::check::Check;
use crate::lint::custom::ScriptFaultKind;
pub use crate::lint::custom::rule::CustomRule;
pub use crate::lint::custom::{
    Call, Custom, Declared, Objection, Refuse, Registration, Script, ScriptError, ScriptErrorKind, Scripts,
};
use crate::lint::entry::{DocumentEntry, ObjectEntry};
use crate::lint::findings::{Finding, Findings};
pub use crate::lint::linted::{Linted, lint_after, lint_after_with};
pub use crate::lint::manual::manual;
use crate::lint::references::References;
pub use crate::lint::report::Lint;
pub use crate::lint::rule::{Example, LintRule};
use crate::lint::workspace_index::WorkspaceIndex;

use crate::parse::Parsed;

/// Everything that the built-in rules have to say about a workspace. Rules of its own are not asked, and that is said of
/// each of their files: with something that runs Lua, see [`lint_with`].
///
/// ```
/// use rototo_engine::{Tree, lint, parse};
///
/// let mut tree = Tree::default();
/// tree.insert("rototo-workspace.toml", *b"schema_version = 2");
/// let lint = lint(&parse(tree));
/// assert_eq!(lint.diagnostics[0].to_string(), "rototo-workspace.toml:1:18: the manifest must declare `schema_version = 1` [rototo/workspace-manifest-schema-failed]");
/// ```
#[must_use]
pub fn lint(parsed: &Parsed) -> Lint {
    lint_after(&Linted::default(), parsed).into_lint()
}

/// Everything that the built-in rules and the workspace's own have to say about it; `scripts` runs the latter.
#[must_use]
pub fn lint_with(parsed: &Parsed, scripts: &mut dyn Scripts) -> Lint {
    lint_after_with(&Linted::default(), parsed, scripts).into_lint()
}

/// All rules, in the order in which they run.
#[must_use]
pub fn rules() -> &'static [&'static LintRule] {
    rules::ALL
}

/// The rule of that name.
#[must_use]
pub fn rule(id: &str) -> Option<&'static LintRule> {
    rules::ALL.iter().copied().find(|rule| rule.id == id)
}
