//! A source that can't be read, and the finding about it, so that code hosts and scripts see it as any other.

use rototo_engine::diagnostic::FindingRule;
use rototo_engine::parse::extended_by;
use rototo_engine::text::Lines;
use rototo_engine::{Diagnostic, Entity, Location, Range, Severity, Stage};
use rototo_source::{ContentFault, Limits, Source, SourceError, SourceFault, read_document};

use crate::workspace::{MANIFEST, directory_in_repository, full_name};

/// The rule of the finding, which has the help for its own fault.
pub(crate) const UNREADABLE: FindingRule = FindingRule {
    id: "rototo/source-unreadable",
    severity: Severity::Error,
    stage: Stage::Discover,
    title: "the source can't be read",
    help: "correct the address, or get access to it: the message names the fault",
};

/// A source that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Unreadable {
    pub(super) shown: String,
    pub(super) place: Source,
    pub(super) error: Box<SourceError>,
}

impl Unreadable {
    /// Returns the error of the source.
    pub(crate) fn error(&self) -> &SourceError {
        &self.error
    }

    /// Returns the name of the workspace for programs.
    pub(crate) fn full_name(&self) -> String {
        full_name(&self.place, &self.shown)
    }

    /// Returns the directory of the workspace in its repository.
    pub(crate) fn directory_in_repository(&self) -> String {
        directory_in_repository(&self.place)
    }

    /// Returns the error as a finding: at the document that is refused, or at the entry of `extends` whose layer can't be
    /// read.
    pub(crate) fn finding(&self, help: Option<&str>) -> Diagnostic {
        let message = self.error.fault().to_string();
        Diagnostic { help: help.map(str::to_owned), ..UNREADABLE.finding(Entity::Workspace, message, self.location()) }
    }

    fn location(&self) -> Location {
        match self.error.fault() {
            SourceFault::Content(ContentFault::NotAFile { path, .. } | ContentFault::NotUtf8 { path }) => {
                Location { path: path.clone(), range: None }
            }
            _ => Location { path: MANIFEST.to_owned(), range: self.range_of_entry() },
        }
    }

    /// Returns the place of the entry of `extends` whose layer can't be read, if the manifest is on this machine.
    fn range_of_entry(&self) -> Option<Range> {
        let (entry, Source::Local(directory)) = (self.error.extends_entry()?, &self.place) else { return None };
        let manifest = read_document(directory, MANIFEST, &Limits::default()).ok().flatten()?;
        let span = extended_by(manifest.clone()).get(entry)?.present()?.span;
        Some(Lines::of(&manifest).range(span))
    }
}
