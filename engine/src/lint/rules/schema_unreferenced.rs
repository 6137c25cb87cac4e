//! A schema checks nothing.

use super::super::{Check, Finding, Findings, LintRule, References};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::CONTEXT_SCHEMA;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/schema-unreferenced",
    severity: Severity::Warning,
    entity: "schema",
    stage: Stage::Reference,
    title: "nothing uses a schema",
    why: "A schema that nothing names checks nothing, though it looks as if it did.",
    help: "name it in `schema` of a resource or an object variable, or remove the file",
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
            "schemas/old.schema.json",
            r#"{}
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
    checks: &[Check::References(check)],
};

fn check(references: &References<'_>, findings: &mut Findings<'_>) {
    for (path, _, schema) in references.schemas() {
        if &**path != CONTEXT_SCHEMA && !references.uses.names_schema(path) && schema.validator().is_ok() {
            let message = format!("nothing uses {path}");
            findings.add(Finding::new(Entity::schema(path), path, None, message));
        }
    }
}
