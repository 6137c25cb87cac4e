//! [`LintRule`]: the texts and examples of a built-in rule. Its checks are in the table of `rules/`.

use crate::diagnostic::{Severity, Stage};

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
