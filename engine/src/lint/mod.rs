//! All that is wrong with a workspace, at once: each rule looks at the parsed documents and reports what it finds.
//!
//! A rule is a line in `rules/mod.rs`, a file, and a folder with its texts beside it. Most look at one document and at what it names, so what did not
//! change, and names nothing that did, need not be looked at again: see [`lint_after`].

mod affected;
mod check;
mod custom;
mod findings;
mod linted;
mod manual;
mod references;
mod rules;
mod uses;
mod workspace_index;

use crate::lint::check::{Check, DocumentEntry, ObjectEntry};
use crate::lint::custom::ScriptFaultKind;
pub use crate::lint::custom::{
    Call, Custom, CustomRule, Declared, Objection, Refuse, Registration, Script, ScriptError, ScriptErrorKind, Scripts,
};
use crate::lint::findings::{Finding, Findings};
pub use crate::lint::linted::{Linted, lint_after, lint_after_with};
pub use crate::lint::manual::manual;
use crate::lint::references::References;
use crate::lint::workspace_index::WorkspaceIndex;

use crate::diagnostic::{Diagnostic, Severity, Stage};
use crate::parse::Parsed;

/// One rule: what it finds, why that matters, and what to do about it.
#[derive(Debug)]
pub struct LintRule {
    /// Its name, `rototo/` and the fault.
    pub id: &'static str,
    /// Whether the fault stands in the way of publishing.
    pub severity: Severity,
    /// The kind of thing it is about, in the words of [`crate::Entity`].
    pub entity: &'static str,
    /// The step of linting it belongs to.
    pub stage: Stage,
    /// The fault, in a few words that hold nothing of any workspace.
    pub title: &'static str,
    /// Why it is a fault.
    pub why: &'static str,
    /// A way out.
    pub help: &'static str,
    /// A workspace that has the fault; a manifest is understood, except where the rule is about it.
    pub bad: &'static [Example],
    /// The same workspace without it.
    pub good: &'static [Example],
}

/// A path in a workspace, and the text of the file there.
pub type Example = (&'static str, &'static str);

/// What lint found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lint {
    /// In the order of documents and places.
    pub diagnostics: Vec<Diagnostic>,
    /// The workspace's own rules.
    pub custom: Custom,
}

impl Lint {
    /// How many errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// Whether the workspace may not be published.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|found| found.severity == severity).count()
    }
}

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
