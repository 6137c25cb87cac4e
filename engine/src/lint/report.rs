//! [`Lint`]: the result of linting a workspace.

use super::custom::Custom;
use crate::diagnostic::{Diagnostic, Severity};

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
