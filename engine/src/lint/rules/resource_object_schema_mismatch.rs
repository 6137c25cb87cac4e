//! An object does not match the schema of its resource.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, ObjectEntry, WorkspaceIndex};
use crate::parse::violation::Violation;

pub(super) const CHECKS: &[Check] = &[Check::Object(check)];

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
