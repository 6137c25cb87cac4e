//! Collects what rules find and gives every finding its rule, severity, line, and column.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Entity, Fix, Location, Related, Severity, Stage};
use crate::document::text::{Lines, Span, shortened, shortened_to};
use crate::document::tree::Tree;
use crate::lint::custom::{ScriptFault, ScriptFinding};
use crate::lint::rule::LintRule;
use crate::parse::{PathStep, Places};

/// The most errors, and the most warnings. Nobody reads as many, and this many fit into memory, a status, and a
/// terminal.
const MOST: usize = 1_000;

/// The most characters of a key in a finding. A key may have a megabyte, and a thousand findings may be about it.
const MAX_KEY: usize = 200;

/// Removes the errors and the warnings beyond the limit.
pub(super) fn cut(diagnostics: &mut Vec<Diagnostic>) {
    let mut counts = SeverityCount::default();
    diagnostics.retain(|found| counts.one_more(found.severity));
}

#[derive(Default)]
struct SeverityCount {
    errors: usize,
    warnings: usize,
}

impl SeverityCount {
    fn of(&self, severity: Severity) -> usize {
        match severity {
            Severity::Error => self.errors,
            Severity::Warning => self.warnings,
        }
    }

    fn one_more(&mut self, severity: Severity) -> bool {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        *count <= MOST
    }
}

/// A fault at a place, before it belongs to a rule.
pub(super) struct Finding<'a> {
    entity: Entity,
    path: &'a str,
    span: Option<Span>,
    message: String,
    stage: Option<Stage>,
    key: Option<String>,
    related: Vec<(&'a str, Option<Span>, String)>,
    fix: Option<(Span, String)>,
}

impl<'a> Finding<'a> {
    /// A fault in the document at `path`; without a span, in the whole document.
    pub(super) fn new(entity: Entity, path: &'a str, span: Option<Span>, message: impl Into<String>) -> Self {
        Self { entity, path, span, message: message.into(), stage: None, key: None, related: Vec::new(), fix: None }
    }

    /// Names the key that the finding is about, for readers who may not see the message.
    pub(super) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into()).filter(|key| !key.is_empty()).map(|key| match shortened_to(&key, MAX_KEY) {
            Cow::Borrowed(_) => key,
            Cow::Owned(short) => short,
        });
        self
    }

    /// Sets the stage that found it, if that is not the stage of the rule.
    pub(super) fn stage(mut self, stage: Stage) -> Self {
        self.stage = Some(stage);
        self
    }

    /// Sets the text that removes the fault in place of the one at `span`, if both are known.
    pub(super) fn fix(mut self, span: Option<Span>, replacement: Option<String>) -> Self {
        self.fix = span.zip(replacement);
        self
    }

    /// Adds a second place.
    pub(super) fn related(mut self, path: &'a str, span: Option<Span>, message: impl Into<String>) -> Self {
        self.related.push((path, span, message.into()));
        self
    }
}

/// All findings so far.
pub(super) struct Findings<'a> {
    tree: &'a Tree,
    lines: BTreeMap<Arc<str>, Lines<'a>>,
    /// The places of the document that was read last: rules check one document after the other.
    places: Option<(String, Places<'a>)>,
    counts: SeverityCount,
    diagnostics: Vec<Diagnostic>,
    rule: Option<&'static LintRule>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            lines: BTreeMap::new(),
            places: None,
            counts: SeverityCount::default(),
            diagnostics: Vec::new(),
            rule: None,
        }
    }

    /// Runs `check`; its findings belong to `rule`.
    pub(super) fn of_rule(&mut self, rule: &'static LintRule, check: impl FnOnce(&mut Self)) {
        self.rule = Some(rule);
        check(self);
        self.rule = None;
    }

    /// Returns whether a further finding of the rule is within the limit. A rule that may find something in every line
    /// asks before it writes a message.
    pub(super) fn has_room(&self) -> bool {
        self.rule.is_some_and(|rule| self.counts.of(rule.severity) < MOST)
    }

    pub(super) fn add(&mut self, finding: Finding<'_>) {
        let Some(rule) = self.rule.filter(|rule| self.counts.one_more(rule.severity)) else { return };
        let location = self.location(finding.path, finding.span);
        let fix = finding.fix.and_then(|(span, replacement)| {
            Some(Fix { range: self.location(finding.path, Some(span)).range?, replacement })
        });
        let related = finding.related.into_iter().map(|(path, span, message)| Related {
            location: self.location(path, span),
            message: shortened(&message).into_owned(),
        });
        let related = related.collect();
        self.diagnostics.push(Diagnostic {
            rule: Cow::Borrowed(rule.id),
            severity: rule.severity,
            stage: finding.stage.unwrap_or(rule.stage),
            entity: finding.entity,
            message: shortened(&finding.message).into_owned(),
            help: Some(rule.help.to_owned()),
            location,
            related,
            key: finding.key,
            title: Cow::Borrowed(rule.title),
            fix,
        });
    }

    /// Reports a fault in a custom rule.
    pub(super) fn of_script(&mut self, fault: &ScriptFault) {
        let mut finding = Finding::new(fault.entity.clone(), &fault.path, fault.span, fault.message.clone());
        finding = finding.stage(fault.stage).key(fault.key.unwrap_or_default());
        if let Some((path, span, message)) = &fault.related {
            finding = finding.related(path, *span, *message);
        }
        self.add(finding);
    }

    /// Reports a finding of a custom rule.
    pub(super) fn of_custom(&mut self, found: &ScriptFinding) {
        if !self.counts.one_more(found.rule.severity) {
            return;
        }
        let location = self.location(&found.path, found.span);
        self.diagnostics.push(Diagnostic {
            rule: Cow::Owned(found.rule.id.clone()),
            severity: found.rule.severity,
            stage: found.stage,
            entity: found.entity.clone(),
            message: shortened(&found.message).into_owned(),
            help: Some(shortened(&found.rule.help).into_owned()),
            location,
            related: Vec::new(),
            key: None,
            title: Cow::Owned(found.rule.title.clone()),
            fix: None,
        });
    }

    /// The findings so far.
    pub(super) fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    /// The span of the value at `steps`. Finding it parses the document again, so callers ask only for errors that are
    /// within the limit.
    pub(super) fn place(&mut self, path: &str, steps: &[PathStep]) -> Option<Span> {
        if self.counts.errors >= MOST {
            return None;
        }
        if self.places.as_ref().is_none_or(|(known, _)| known != path) {
            self.places = Some((path.to_owned(), Places::of(self.bytes(path))));
        }
        self.places.as_ref().and_then(|(_, places)| places.find(steps).span())
    }

    /// The bytes of a document.
    fn bytes(&self, path: &str) -> &'a [u8] {
        self.tree.get(path).map_or(&[], |document| &document.bytes)
    }

    fn location(&mut self, path: &str, span: Option<Span>) -> Location {
        let range = span.map(|span| {
            let bytes = self.bytes(path);
            self.lines.entry(Arc::from(path)).or_insert_with(|| Lines::of(bytes)).range(span)
        });
        Location { path: path.to_owned(), range }
    }
}
