//! [`CustomRule`]: the declaration of a rule in a script of the workspace.

use crate::diagnostic::Severity;

/// A rule that a script declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRule {
    /// Its name, an authority and the fault: `payments/limit-too-high`.
    pub id: String,
    /// Whether the fault stands in the way of publishing.
    pub severity: Severity,
    /// The fault, in a few words.
    pub title: String,
    /// A way out.
    pub help: String,
}
