//! A value refers to an object that does not exist.

use serde_json::Value;

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, ObjectEntry, WorkspaceIndex};
use crate::parse::violation::{has_too_many_checks, join};
use crate::parse::{ObjectReference, PathStep, Schema, Variable, object_references};

pub(super) const CHECKS: &[Check] = &[Check::Object(check_object), Check::Variable(check_variable)];

fn check_object(
    workspace: &WorkspaceIndex<'_>,
    (resource, key, path, object): ObjectEntry<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(schema) = workspace.schema_of_objects(resource).and_then(|schema| schema.content()) else { return };
    if schema.validator().is_ok() {
        report(workspace, findings, &Entity::object(resource, key), path, schema, &object.value, Vec::new());
    }
}

fn check_variable(
    workspace: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    let Some(schema) = workspace.schema_of_values(path, variable).and_then(|schema| schema.content()) else { return };
    if schema.validator().is_err() {
        return;
    }
    for (key, named) in variable.inline_values() {
        let steps = vec![PathStep::Key("values".to_owned()), PathStep::Key(key.to_string())];
        report(workspace, findings, &Entity::value(id, key), path, schema, &named.value, steps);
    }
}

fn report(
    workspace: &WorkspaceIndex<'_>,
    findings: &mut Findings<'_>,
    entity: &Entity,
    path: &str,
    schema: &Schema,
    value: &Value,
    from: Vec<PathStep>,
) {
    // Its references may be as many as its checks.
    if has_too_many_checks(schema, value) {
        return;
    }
    for reference in object_references(schema, value) {
        let ObjectReference { resource, key, .. } = reference;
        if workspace.has_object(resource, key) && workspace.parsed.resources.contains_key(resource)
            || !findings.has_room()
        {
            continue;
        }
        let steps = reference.steps(&from);
        let message = if !workspace.parsed.resources.contains_key(resource) {
            format!("`{}` refers to resource `{resource}`, which does not exist", join(&steps))
        } else {
            format!("`{}` refers to `{key}`, but resource `{resource}` has no such object", join(&steps))
        };
        let span = findings.place(path, &steps);
        findings.add(Finding::new(entity.clone(), path, span, message).key(join(&steps)));
    }
}
