//! The findings of lint and of tests in the formats that other programs read: SARIF, and the workflow commands of
//! GitHub.

pub(crate) mod github;
pub(crate) mod rules;
pub(crate) mod sarif;
pub(crate) mod unread;

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use rototo_engine::{Diagnostic, Location, Parsed, Range};

use crate::global::{GlobalArguments, UsageError};
use crate::reports::rules::is_of_tests;
use crate::workspace::layers::{LayerPlace, joined};
use crate::workspace::unreadable::UNREADABLE;
use crate::workspace::{MANIFEST, Workspace};

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
    /// The places of documents that layers have, by path.
    pub(crate) layers: &'a BTreeMap<String, LayerPlace>,
}

/// The place of a finding in a repository.
struct FindingPlace<'a> {
    path: String,
    range: Option<&'a Range>,
    /// The file that the finding is about, if the repository does not have it. The finding is shown at the manifest then.
    elsewhere: Option<&'a str>,
}

/// Returns the places of the documents of layers in which something was found.
pub(crate) fn layers_of(
    diagnostics: &[Diagnostic],
    workspace: &Workspace,
    parsed: &Parsed,
) -> BTreeMap<String, LayerPlace> {
    let related = diagnostics.iter().flat_map(|found| &found.related).map(|related| &related.location.path);
    // Many findings are in one file.
    let paths: BTreeSet<&String> = diagnostics.iter().map(|found| &found.location.path).chain(related).collect();
    paths.into_iter().filter_map(|path| Some((path.clone(), workspace.place_in_layer(parsed, path)?))).collect()
}

impl LintFindings<'_> {
    /// Returns whether the workspace was read, and its tests ran if the command runs them. Otherwise, its other findings
    /// are not known.
    fn is_complete(&self) -> bool {
        let is_test = self.command == "test";
        self.diagnostics.iter().all(|found| found.rule != UNREADABLE.id && (!is_test || is_of_tests(&found.rule)))
    }

    /// Returns a place in the repository. A finding about the whole workspace is shown at its manifest, as a code host
    /// shows nothing at a directory.
    fn place<'l>(&'l self, location: &'l Location) -> FindingPlace<'l> {
        let below = |path: &str| joined(self.directory, path);
        let range = location.range.as_ref();
        match self.layers.get(&location.path) {
            Some(LayerPlace::File(path)) => FindingPlace { path: path.clone(), range, elsewhere: None },
            Some(LayerPlace::Elsewhere(address)) => {
                FindingPlace { path: below(MANIFEST), range: None, elsewhere: Some(address) }
            }
            None if location.path.is_empty() => FindingPlace { path: below(MANIFEST), range, elsewhere: None },
            None => FindingPlace { path: below(&location.path), range, elsewhere: None },
        }
    }
}

impl FindingPlace<'_> {
    /// Returns the first line, counted from 1.
    fn line(&self) -> usize {
        self.range.map_or(1, |range| range.start.line)
    }

    /// Returns the name of the file that the finding is about, in words that follow its message.
    fn words(&self) -> String {
        self.elsewhere.map(|address| format!(" (in {address})")).unwrap_or_default()
    }
}
