//! An object is not as the schema of its resource says.

use super::super::{Check, Finding, Findings, LintRule, ObjectEntry, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::violation::Violation;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/resource-object-schema-mismatch",
    severity: Severity::Error,
    entity: "resource_object",
    stage: Stage::Value,
    title: "a resource object does not match its schema",
    why: "Applications read objects as the schema describes them. One that differs would be refused, or misread, by every process at once.",
    help: "change the value to what the schema allows, or the schema, if applications understand it",
    bad: &[
        (
            "resources/plan.toml",
            r#"schema_version = 1
schema = "../schemas/plan.schema.json"
"#,
        ),
        (
            "schemas/plan.schema.json",
            r#"{"type": "object", "properties": {"seats": {"type": "integer", "minimum": 1}}}
"#,
        ),
        (
            "resources/plan-objects/basic.toml",
            r#"seats = 0
"#,
        ),
    ],
    good: &[
        (
            "resources/plan.toml",
            r#"schema_version = 1
schema = "../schemas/plan.schema.json"
"#,
        ),
        (
            "schemas/plan.schema.json",
            r#"{"type": "object", "properties": {"seats": {"type": "integer", "minimum": 1}}}
"#,
        ),
        (
            "resources/plan-objects/basic.toml",
            r#"seats = 5
"#,
        ),
    ],
    checks: &[Check::Object(check)],
};

fn check(facts: &WorkspaceIndex<'_>, (resource, key, path, object): ObjectEntry<'_>, findings: &mut Findings<'_>) {
    let Some(schema) = facts.schema_of_objects(resource) else { return };
    let Some(content) = schema.content() else { return };
    for violation in Violation::all(content, &object.value) {
        let span = findings.place(path, &violation.steps);
        let message = format!("{resource} `{key}` does not match its schema: {}", violation.message);
        let finding = Finding::new(Entity::object(resource, key), path, span, message);
        findings.add(finding.key(violation.key()).related(&schema.path, None, "the schema"));
    }
}
