//! A name is not what it looks like, or not the same on every computer.

use std::collections::BTreeMap;

use crate::diagnostic::Entity;
use crate::document::text::Span;
use crate::lint::similar::{deceptive, not_portable};
use crate::lint::{Check, DocumentEntry, Finding, Findings, ObjectEntry, WorkspaceIndex};
use crate::parse::{Qualifier, Resource, Schema, Variable};

pub(super) const CHECKS: &[Check] = &[
    Check::Variable(check_variable),
    Check::Qualifier(check_qualifier),
    Check::Resource(check_resource),
    Check::Object(check_object),
    Check::Schema(check_schema),
    Check::Workspace(check_paths),
    Check::Workspace(check_portable),
];

fn check_variable(
    _: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    report(findings, || Entity::variable(id), path, None, id);
    for (key, named) in variable.inline_values() {
        report(findings, || Entity::value(id, key), path, Some(named.key_span), key);
    }
}

fn check_qualifier(
    _: &WorkspaceIndex<'_>,
    (id, path, qualifier): DocumentEntry<'_, Qualifier>,
    findings: &mut Findings<'_>,
) {
    report(findings, || Entity::qualifier(id), path, None, id);
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        if let Some(attribute) = predicate.attribute.present() {
            report(findings, || Entity::predicate(id, index), path, Some(attribute.span), &attribute.value);
        }
    }
}

fn check_resource(_: &WorkspaceIndex<'_>, (id, path, _): DocumentEntry<'_, Resource>, findings: &mut Findings<'_>) {
    report(findings, || Entity::resource(id), path, None, id);
}

fn check_object(_: &WorkspaceIndex<'_>, (resource, key, path, _): ObjectEntry<'_>, findings: &mut Findings<'_>) {
    report(findings, || Entity::object(resource, key), path, None, key);
}

fn check_schema(_: &WorkspaceIndex<'_>, (path, _, _): DocumentEntry<'_, Schema>, findings: &mut Findings<'_>) {
    report(findings, || Entity::schema(path), path, None, path);
}

/// Two paths that differ only in case. On a computer of an author with macOS or Windows, one file takes the other's place.
fn check_paths(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let tree = workspace.parsed.tree();
    let mut folded_paths: BTreeMap<String, &str> = BTreeMap::new();
    for (path, _) in tree.iter().filter(|(path, _)| path.chars().any(char::is_uppercase)) {
        let folded = path.to_lowercase();
        let other = if tree.get(&folded).is_some() { Some(&*folded) } else { folded_paths.get(&folded).copied() };
        if let Some(other) = other {
            let message =
                format!("the path differs from `{other}` only in case: many computers keep one of the two files");
            findings.add(Finding::new(Entity::Workspace, path, None, message));
        }
        folded_paths.insert(folded, path);
    }
}

/// Names that Windows refuses or changes. A checkout there ends with an error, or has another file. The directory of a
/// resource's objects has the name of the resource's file.
fn check_portable(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    for (path, _) in workspace.parsed.tree().iter() {
        let name = path.rsplit_once('/').map_or(&**path, |(_, name)| name);
        if let Some(reason) = not_portable(name) {
            findings.add(Finding::new(Entity::Workspace, path, None, reason));
        }
    }
}

fn report(findings: &mut Findings<'_>, entity: impl Fn() -> Entity, path: &str, span: Option<Span>, name: &str) {
    if let Some(reason) = deceptive(name) {
        findings.add(Finding::new(entity(), path, span, format!("the name `{}` {reason}", name.escape_default())));
    }
}
