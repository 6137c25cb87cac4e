//! Collects what is wrong with tests as diagnostics, as lint does: a status, a terminal, and a code host show both alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Entity, FindingRule, Location, Related, Severity, Stage};
use crate::document::text::{Lines, Span, shortened, shortened_to};
use crate::parse::{Expected, Parsed};

/// The most errors. Nobody reads as many.
const MOST: usize = 1_000;

/// The most warnings. Each looks for a similar name among all attributes.
const MOST_WARNINGS: usize = 100;

/// The most characters of an id, which a test file may make as long as itself.
const MAX_ID: usize = 200;

/// The rule of tests that can't be read, or that don't fit the workspace.
pub const INVALID: FindingRule = FindingRule {
    id: "rototo/test-invalid",
    severity: Severity::Error,
    stage: Stage::Reference,
    title: "a test can't be read, or asks for something that the workspace does not have",
    help: "write the test as docs/format.md has it, with ids and value keys of this workspace",
};

/// The rule of tests that fail.
pub const FAILED: FindingRule = FindingRule {
    id: "rototo/test-failed",
    severity: Severity::Error,
    stage: Stage::Policy,
    title: "the workspace decides otherwise than a test expects",
    help: "change the rules, or the expected result if the new decision is meant",
};

/// The rule of attributes of tests that nothing reads. Its findings are warnings: an application may send more attributes
/// than the workspace reads.
pub const ATTRIBUTE_UNREAD: FindingRule = FindingRule {
    id: "rototo/test-attribute-unread",
    severity: Severity::Warning,
    stage: Stage::Reference,
    title: "a test gives an attribute that nothing reads",
    help: "correct the name, remove the attribute, or declare it in schemas/context.schema.json",
};

pub(super) struct TestFindings<'a> {
    parsed: &'a Parsed,
    file: Option<(&'a Arc<str>, &'a [u8])>,
    /// The lines of the documents and files that findings are about. Counting them costs more than a finding.
    lines: BTreeMap<&'a str, Lines<'a>>,
    diagnostics: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// The place in a workspace that decided, and an explanation.
pub(super) type DecidedBy<'a> = (&'a Arc<str>, Option<Span>, String);

impl<'a> TestFindings<'a> {
    pub(super) fn new(parsed: &'a Parsed) -> Self {
        Self { parsed, file: None, lines: BTreeMap::new(), diagnostics: Vec::new(), warnings: Vec::new() }
    }

    /// Begins the file to which the next findings belong.
    pub(super) fn begin_file(&mut self, path: &'a Arc<str>, bytes: &'a [u8]) {
        self.file = Some((path, bytes));
    }

    pub(super) fn invalid(&mut self, span: Option<Span>, message: &str) {
        self.add(&INVALID, Entity::Workspace, (None, span), message, None);
    }

    /// Adds a result that differs from the expected one.
    pub(super) fn failed(
        &mut self,
        entity: Entity,
        expected: &Expected,
        message: &str,
        decided: Option<DecidedBy<'a>>,
    ) {
        self.add(&FAILED, entity, (Some(&expected.id.value), Some(expected.span)), message, decided);
    }

    /// Returns whether a further warning is within the limit. Its message costs more than the warning.
    pub(super) fn has_room_for_warnings(&self) -> bool {
        self.warnings.len() < MOST_WARNINGS
    }

    /// Adds an attribute that nothing reads.
    pub(super) fn warn(&mut self, attribute: &str, span: Span, message: &str) {
        let Some((path, bytes)) = self.file else { return };
        let location = self.location(path, bytes, Some(span));
        self.warnings.push(Diagnostic {
            key: Some(attribute.to_owned()),
            ..ATTRIBUTE_UNREAD.finding(Entity::Workspace, shortened(message).into_owned(), location)
        });
    }

    fn add(
        &mut self,
        rule: &FindingRule,
        entity: Entity,
        (id, span): (Option<&str>, Option<Span>),
        message: &str,
        decided: Option<DecidedBy<'a>>,
    ) {
        let Some((path, bytes)) = self.file.filter(|_| self.diagnostics.len() < MOST) else { return };
        let related = decided.map(|(path, span, message)| {
            let bytes = self.parsed.tree().get(path).map_or(&[][..], |document| &document.bytes);
            Related { location: self.location(path, bytes, span), message }
        });
        let location = self.location(path, bytes, span);
        self.diagnostics.push(Diagnostic {
            related: related.into_iter().collect(),
            key: id.map(|id| shortened_to(id, MAX_ID).into_owned()),
            ..rule.finding(entity, shortened(message).into_owned(), location)
        });
    }

    fn location(&mut self, path: &'a str, bytes: &'a [u8], span: Option<Span>) -> Location {
        let lines = &mut self.lines;
        let range = span.map(|span| lines.entry(path).or_insert_with(|| Lines::of(bytes)).range(span));
        Location { path: path.to_owned(), range }
    }

    /// Returns the errors and the warnings.
    pub(super) fn into_diagnostics(self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        (self.diagnostics, self.warnings)
    }
}
