//! [`LintRule`]: the texts and examples of a built-in rule. Its checks are in the table of `rules/`.

use crate::diagnostic::{Severity, Stage};

/// A built-in rule: the fault, the reason, and a way out.
#[derive(Debug)]
pub struct LintRule {
    /// Its id, `rototo/` and the name of the fault.
    pub id: &'static str,
    /// The severity; an error keeps the workspace from being published.
    pub severity: Severity,
    /// The kind of thing that it is about, in the words of [`crate::Entity`].
    pub entity: &'static str,
    /// The stage of lint to which it belongs.
    pub stage: Stage,
    /// The fault, in a few words without any text from a workspace.
    pub title: &'static str,
    /// The reason for which it is a fault.
    pub why: &'static str,
    /// A way out.
    pub help: &'static str,
    /// A workspace with the fault. It has a manifest in addition, unless the rule is about the manifest.
    pub bad: &'static [Example],
    /// The same workspace without the fault.
    pub good: &'static [Example],
}

/// A path in a workspace, and the text of the file there.
pub type Example = (&'static str, &'static str);
