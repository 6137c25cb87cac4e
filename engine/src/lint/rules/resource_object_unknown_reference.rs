//! A value refers to an object that is not there.

use serde_json::Value;

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, ObjectEntry, WorkspaceIndex};
use crate::parse::violation::join;
use crate::parse::{PathStep, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Object(check_object), Check::Variable(check_variable)];

fn check_object(
    facts: &WorkspaceIndex<'_>,
    (resource, key, path, object): ObjectEntry<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(schema) = facts.schema_of_objects(resource).and_then(|schema| schema.content()) else { return };
    if schema.validator().is_ok() {
        report(facts, findings, &Entity::object(resource, key), path, &schema.json, &object.value, Vec::new());
    }
}

fn check_variable(
    facts: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    let Some(Ok(schema)) = facts.named_schema(path, &variable.schema) else { return };
    let Some(schema) = schema.content().filter(|schema| schema.validator().is_ok()) else { return };
    for (key, named) in variable.inline_values() {
        let steps = vec![PathStep::Key("values".to_owned()), PathStep::Key(key.to_string())];
        report(facts, findings, &Entity::value(id, key), path, &schema.json, &named.value, steps);
    }
}

fn report(
    facts: &WorkspaceIndex<'_>,
    findings: &mut Findings<'_>,
    entity: &Entity,
    path: &str,
    schema: &Value,
    value: &Value,
    from: Vec<PathStep>,
) {
    let mut references = Vec::new();
    follow(schema, value, from, &mut references);
    for (steps, resource, key) in references {
        let message = if !facts.parsed.resources.contains_key(resource) {
            format!("`{}` refers to resource `{resource}`, which does not exist", join(&steps))
        } else if !facts.has_object(resource, key) {
            format!("`{}` refers to `{key}`, but resource `{resource}` has no such object", join(&steps))
        } else {
            continue;
        };
        let span = findings.place(path, &steps);
        findings.add(Finding::new(entity.clone(), path, span, message).key(join(&steps)));
    }
}

/// Collects the references in `value`: the way there, the resource, and the key.
fn follow<'v>(
    schema: &'v Value,
    value: &'v Value,
    steps: Vec<PathStep>,
    found: &mut Vec<(Vec<PathStep>, &'v str, &'v str)>,
) {
    let into = |step| steps.iter().cloned().chain([step]).collect::<Vec<_>>();
    if let (Some(Value::Object(properties)), Value::Object(entries)) = (schema.get("properties"), value) {
        for (key, schema) in properties {
            if let Some(value) = entries.get(key) {
                follow(schema, value, into(PathStep::Key(key.clone())), found);
            }
        }
    }
    if let (Some(schema), Value::Array(items)) = (schema.get("items"), value) {
        for (index, item) in items.iter().enumerate() {
            follow(schema, item, into(PathStep::Index(index)), found);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for schema in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            follow(schema, value, steps.clone(), found);
        }
    }
    if let (Some(Value::String(resource)), Value::String(key)) = (schema.get("x-rototo-resource"), value) {
        let reference = (steps, resource.as_str(), key.as_str());
        if !found.contains(&reference) {
            found.push(reference);
        }
    }
}
