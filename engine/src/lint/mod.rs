//! Finds all faults of a workspace at once: each rule checks the parsed documents and reports its findings.
//!
//! A rule is a line in `rules/mod.rs`, a file, and a folder with its texts. Most rules read one document and the
//! documents that it names, so [`lint_after`] skips a document if neither it nor any document that it names changed.

mod affected;
pub(crate) mod attributes;
mod bounds;
mod check;
mod checking_work;
mod custom;
mod entry;
mod expired;
mod findings;
mod linted;
mod manual;
mod references;
mod report;
mod rule;
mod rules;
pub(crate) mod similar;
mod subschemas;
mod uses;
mod version;
mod workspace_index;

use crate::lint::check::Check;
use crate::lint::custom::ScriptFaultKind;
pub use crate::lint::custom::rule::CustomRule;
pub use crate::lint::custom::{
    Call, Custom, Declared, Objection, Refuse, Registration, Script, ScriptError, ScriptErrorKind, Scripts,
};
use crate::lint::entry::{DocumentEntry, ObjectEntry};
pub use crate::lint::expired::{EXPIRED, expired, expiry_dates};
use crate::lint::findings::{Finding, Findings};
pub use crate::lint::linted::{Linted, lint_after, lint_after_with};
pub use crate::lint::manual::manual;
use crate::lint::references::References;
pub use crate::lint::report::Lint;
pub use crate::lint::rule::{Example, LintRule};
use crate::lint::workspace_index::WorkspaceIndex;

use crate::parse::Parsed;

/// Runs the built-in rules on a workspace. Custom rules do not run, and each of their files has a finding that says so;
/// [`lint_with`] runs them.
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

/// Runs the built-in rules and the custom rules on a workspace; `scripts` runs the latter. The package `rototo-lua` has an
/// implementation.
///
/// ```
/// use rototo_engine::lint::{Call, Declared, Objection, Script, ScriptError, Scripts};
/// use rototo_engine::{Tree, lint_with, parse};
///
/// /// Stands in for a script that allows no variable whose name begins with `tmp`.
/// struct NoTemporaryNames;
///
/// impl Scripts for NoTemporaryNames {
///     fn register(&mut self, _: Script<'_>) -> Result<Vec<Declared>, ScriptError> {
///         let text = |text: &str| text.to_owned();
///         Ok(vec![Declared {
///             stage: text("policy"),
///             entity: text("variable"),
///             id: text("payments/temporary-name"),
///             title: text("a variable has a temporary name"),
///             help: text("rename it"),
///             handler: text("check"),
///             callable: true,
///             ..Declared::default()
///         }])
///     }
///
///     fn check(&mut self, call: &Call<'_>) -> Result<Vec<Objection>, ScriptError> {
///         let temporary = call.target["id"].as_str().is_some_and(|id| id.starts_with("tmp"));
///         Ok(temporary.then(|| Objection { message: "the name is temporary".to_owned(), field: None }).into_iter().collect())
///     }
/// }
///
/// # let files = [
/// #     ("rototo-workspace.toml", "schema_version = 1"),
/// #     ("variables/tmp-limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10 }\nresolve = { default = \"small\" }"),
/// #     ("lint/names.lua", "-- …"),
/// # ];
/// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
/// let lint = lint_with(&parse(tree), &mut NoTemporaryNames);
/// assert_eq!(&*lint.diagnostics[0].rule, "payments/temporary-name");
/// ```
#[must_use]
pub fn lint_with(parsed: &Parsed, scripts: &mut dyn Scripts) -> Lint {
    lint_after_with(&Linted::default(), parsed, scripts).into_lint()
}

/// All rules, in the order in which they run.
///
/// ```
/// use rototo_engine::lint;
///
/// for rule in lint::rules() {
///     println!("{}: {}. A way out: {}.", rule.id, rule.title, rule.help);
/// }
/// assert!(lint::rule("rototo/variable-unknown-value").is_some());
/// ```
#[must_use]
pub fn rules() -> &'static [&'static LintRule] {
    rules::ALL
}

/// The rule of that id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static LintRule> {
    rules::ALL.iter().copied().find(|rule| rule.id == id)
}
