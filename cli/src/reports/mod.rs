//! The findings of lint in the formats that other programs read: SARIF, and the workflow commands of GitHub. Pure.

pub(crate) mod github;
pub(crate) mod sarif;

use rototo_engine::{Diagnostic, Location};

/// The findings of one workspace.
pub(crate) struct LintFindings<'a> {
    pub(crate) diagnostics: &'a [Diagnostic],
    /// The directory of the workspace in its repository, as [`crate::workspace::Workspace::directory_in_repository`]
    /// has it.
    pub(crate) directory: &'a str,
}

impl LintFindings<'_> {
    /// Returns the path of a place in the repository. A finding about the whole workspace is shown at its manifest, as
    /// a code host shows nothing at a directory.
    fn path_of(&self, location: &Location) -> String {
        let path = if location.path.is_empty() { "rototo-workspace.toml" } else { &location.path };
        if self.directory.is_empty() { path.to_owned() } else { format!("{}/{path}", self.directory) }
    }
}
