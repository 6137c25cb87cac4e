//! Collects what rules find and gives every finding its rule, severity, line, and column.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Rule;
use crate::diagnostic::{Diagnostic, Entity, Location, Related, Severity};
use crate::text::{Lines, Span};
use crate::tree::Tree;

/// A fault at a place, before it has a rule.
pub(super) struct Finding<'a> {
    entity: Entity,
    path: &'a str,
    span: Option<Span>,
    message: String,
    key: Option<String>,
    related: Vec<(&'a str, Option<Span>, String)>,
}

impl<'a> Finding<'a> {
    /// A fault in the document at `path`, as a whole where there is no span.
    pub(super) fn new(entity: Entity, path: &'a str, span: Option<Span>, message: impl Into<String>) -> Self {
        Self { entity, path, span, message: message.into(), key: None, related: Vec::new() }
    }

    /// Names the key it is about, for those who may not read the message.
    pub(super) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into()).filter(|key| !key.is_empty());
        self
    }

    /// Points to a second place.
    pub(super) fn related(mut self, path: &'a str, span: Option<Span>, message: impl Into<String>) -> Self {
        self.related.push((path, span, message.into()));
        self
    }
}

/// All findings so far.
pub(super) struct Findings<'a> {
    tree: &'a Tree,
    lines: BTreeMap<Arc<str>, Lines<'a>>,
    diagnostics: Vec<Diagnostic>,
    rule: Option<&'static Rule>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, lines: BTreeMap::new(), diagnostics: Vec::new(), rule: None }
    }

    /// Runs `check`; what it adds is of `rule`.
    pub(super) fn of_rule(&mut self, rule: &'static Rule, check: impl FnOnce(&mut Self)) {
        self.rule = Some(rule);
        check(self);
        self.rule = None;
    }

    pub(super) fn add(&mut self, finding: Finding<'_>) {
        let Some(rule) = self.rule else { return };
        let location = self.location(finding.path, finding.span);
        let related = finding
            .related
            .into_iter()
            .map(|(path, span, message)| Related { location: self.location(path, span), message });
        let related = related.collect();
        self.diagnostics.push(Diagnostic {
            rule: Cow::Borrowed(rule.id),
            severity: rule.severity,
            stage: rule.stage,
            entity: finding.entity,
            message: finding.message,
            help: Some(rule.help.to_owned()),
            location,
            related,
            key: finding.key,
        });
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }

    /// The qualifiers that have something wrong with them or one of their predicates.
    pub(super) fn qualifiers_with_errors(&self) -> BTreeSet<String> {
        let errors = self.diagnostics.iter().filter(|found| found.severity == Severity::Error);
        let ids = errors.filter_map(|found| match &found.entity {
            Entity::Qualifier { id } | Entity::Predicate { qualifier: id, .. } => Some(id.clone()),
            _ => None,
        });
        ids.collect()
    }

    pub(super) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by(|a, b| {
            let order = |found: &'_ Diagnostic| (found.stage, found.severity);
            a.location.cmp(&b.location).then_with(|| order(a).cmp(&order(b))).then_with(|| a.rule.cmp(&b.rule))
        });
        self.diagnostics
    }

    /// The bytes of a document.
    pub(super) fn bytes(&self, path: &str) -> &'a [u8] {
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
