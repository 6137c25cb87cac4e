//! The findings of lint and of tests in the formats that other programs read: SARIF, and the workflow commands of
//! GitHub.

pub(crate) mod github;
pub(crate) mod rules;
pub(crate) mod sarif;
pub(crate) mod unread;

use clap::ValueEnum;
use rototo_engine::{Diagnostic, Location};

use crate::global::{GlobalArguments, UsageError};
use crate::reports::rules::is_of_tests;
use crate::workspace::MANIFEST;
use crate::workspace::unreadable::UNREADABLE;

/// The forms of a report on findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people, with the lines of the files
    Text,
    /// For scripts, as --json
    Json,
    /// Workflow commands: GitHub shows each finding at its line in a pull request
    Github,
    /// SARIF 2.1.0, which code hosts and editors read
    Sarif,
}

impl ReportFormat {
    /// Returns the form that the command line asks for.
    pub(crate) fn of(given: Option<Self>, global: &GlobalArguments) -> Result<Self, UsageError> {
        match given {
            Some(Self::Json) | None if global.json => Ok(Self::Json),
            Some(_) if global.json => {
                Err(UsageError("--json asks for another form than --format: leave one of them out".to_owned()))
            }
            given => Ok(given.unwrap_or(Self::Text)),
        }
    }
}

/// The findings of one workspace.
pub(crate) struct LintFindings<'a> {
    /// The command that found them.
    pub(crate) command: &'static str,
    pub(crate) diagnostics: &'a [Diagnostic],
    /// The directory of the workspace in its repository, as [`crate::workspace::Workspace::directory_in_repository`]
    /// has it.
    pub(crate) directory: &'a str,
}

impl LintFindings<'_> {
    /// Returns whether the workspace was read, and its tests ran if the command runs them. Otherwise, its other findings
    /// are not known.
    fn is_complete(&self) -> bool {
        let is_test = self.command == "test";
        self.diagnostics.iter().all(|found| found.rule != UNREADABLE.id && (!is_test || is_of_tests(&found.rule)))
    }

    /// Returns the path of a place in the repository. A finding about the whole workspace is shown at its manifest, as
    /// a code host shows nothing at a directory.
    fn path_of(&self, location: &Location) -> String {
        let path = if location.path.is_empty() { MANIFEST } else { &location.path };
        if self.directory.is_empty() { path.to_owned() } else { format!("{}/{path}", self.directory) }
    }
}
