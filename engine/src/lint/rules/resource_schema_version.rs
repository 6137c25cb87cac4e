//! A resource does not say that it is written in version 1.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Resource;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/resource-schema-version",
    severity: Severity::Error,
    entity: "resource",
    stage: Stage::Project,
    title: "a resource does not declare `schema_version = 1`",
    why: "The version tells a reader how to understand the document. A reader that guesses would resolve something that nobody reviewed.",
    help: "write `schema_version = 1` at the top of the file",
    bad: &[
        (
            "resources/plan.toml",
            r#"schema = "../schemas/plan.schema.json"
"#,
        ),
        (
            "schemas/plan.schema.json",
            r#"{"type": "object", "properties": {"seats": {"type": "integer", "minimum": 1}}}
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
    checks: &[Check::Resource(check)],
};

fn check(_: &WorkspaceIndex<'_>, (id, path, resource): DocumentEntry<'_, Resource>, findings: &mut Findings<'_>) {
    if resource.schema_version.value() != Some(&1) {
        let message = format!("resource `{id}` must declare `schema_version = 1`");
        let span = resource.schema_version.span();
        findings.add(Finding::new(Entity::resource(id), path, span, message).key("schema_version"));
    }
}
