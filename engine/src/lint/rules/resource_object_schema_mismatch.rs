//! An object does not match the schema of its resource.

use crate::diagnostic::Entity;
use crate::lint::checking_work::TOO_MUCH_WORK;
use crate::lint::entry::CheckedDocument;
use crate::lint::{Check, Finding, Findings, ObjectEntry, WorkspaceIndex};
use crate::parse::violation::Violation;

pub(super) const CHECKS: &[Check] = &[Check::Object(check), Check::Workspace(check_work)];

fn check_work(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(path) = workspace.too_much_work else { return };
    if let Some(CheckedDocument::Object((resource, key, path, _))) = workspace.document(path) {
        findings.add(Finding::new(Entity::object(resource, key), path, None, TOO_MUCH_WORK));
    }
}

fn check(workspace: &WorkspaceIndex<'_>, (resource, key, path, object): ObjectEntry<'_>, findings: &mut Findings<'_>) {
    let Some(schema) = workspace.schema_of_objects(resource) else { return };
    let Some(content) = schema.content() else { return };
    for violation in Violation::all(content, &object.value) {
        let span = findings.place(path, &violation.steps);
        let message = format!("{resource} `{key}` does not match its schema: {}", violation.message);
        let finding = Finding::new(Entity::object(resource, key), path, span, message);
        findings.add(finding.key(violation.key()).related(&schema.path, None, "the schema"));
    }
}
