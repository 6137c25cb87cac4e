//! A JSON document is no JSON Schema, or needs another one.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Schema;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/schema-invalid",
    severity: Severity::Error,
    entity: "schema",
    stage: Stage::Project,
    title: "a schema is not a valid JSON Schema",
    why: "Values that should be checked against it are not. References to schemas elsewhere are never followed: what a workspace means must not depend on the network.",
    help: "correct the keyword at this place; copy what is referred to by address into the schema itself, under `$defs`",
    bad: &[
        (
            "resources/plan.toml",
            r#"schema_version = 1
schema = "../schemas/plan.schema.json"
"#,
        ),
        (
            "schemas/plan.schema.json",
            r#"{"type": "objekt"}
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
    ],
    checks: &[Check::Schema(check)],
};

fn check(_: &WorkspaceIndex<'_>, (path, _, schema): DocumentEntry<'_, Schema>, findings: &mut Findings<'_>) {
    if let Err(invalid) = schema.validator() {
        let at = if invalid.pointer.is_empty() { "at its root" } else { &invalid.pointer };
        let message = format!("not a valid JSON Schema: {} ({at})", invalid.message);
        findings.add(Finding::new(Entity::schema(path), path, None, message).key(&*invalid.pointer));
    }
}
