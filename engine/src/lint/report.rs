//! [`Lint`]: the result of linting a workspace.

use super::custom::Custom;
use crate::diagnostic::{Diagnostic, Severity};

/// The result of lint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lint {
    /// The findings, in the order of documents and places.
    pub diagnostics: Vec<Diagnostic>,
    /// The custom rules of the workspace.
    pub custom: Custom,
}

impl Lint {
    /// The number of errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// The number of warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// Returns whether an error keeps the workspace from being published.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|found| found.severity == severity).count()
    }
}
