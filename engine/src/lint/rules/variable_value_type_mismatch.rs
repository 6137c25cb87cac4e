//! A value of a variable does not have its type, or does not match its schema.

use crate::diagnostic::Entity;
use crate::lint::checking_work::TOO_MUCH_WORK;
use crate::lint::entry::CheckedDocument;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::violation::Violation;
use crate::parse::{PathStep, Type, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check), Check::Workspace(check_work)];

fn check_work(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(path) = workspace.too_much_work else { return };
    if let Some(CheckedDocument::Variable((id, path, _))) = workspace.document(path) {
        findings.add(Finding::new(Entity::variable(id), path, None, TOO_MUCH_WORK));
    }
}

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    let Some(Type::Primitive(primitive)) = variable.value_type() else { return };
    let schema = workspace.schema_of_values(path, variable).and_then(|schema| schema.content());
    for (key, named) in variable.inline_values() {
        if !primitive.admits(&named.value) {
            let message = format!("`{key}` must be of type {}", primitive.name());
            let finding = Finding::new(Entity::value(id, key), path, Some(named.span), message);
            findings.add(finding.key(format!("values.{key}")));
            continue;
        }
        let Some(schema) = schema else { continue };
        for mut violation in Violation::all(schema, &named.value) {
            violation.steps.splice(0..0, [PathStep::Key("values".to_owned()), PathStep::Key(key.to_string())]);
            let span = findings.place(path, &violation.steps).or(Some(named.span));
            let message = format!("`{key}` does not match its schema: {}", violation.message);
            findings.add(Finding::new(Entity::value(id, key), path, span, message).key(violation.key()));
        }
    }
}
