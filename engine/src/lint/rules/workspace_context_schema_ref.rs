//! The context schema cannot be used.

use super::super::{Check, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::CONTEXT_SCHEMA;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/workspace-context-schema-ref",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Project,
    title: "the context schema cannot be used",
    why: "While schemas/context.schema.json is there, every context is checked against it; if it is broken, nothing can be resolved.",
    help: "correct schemas/context.schema.json, or remove it to accept any context",
    bad: &[(
        "schemas/context.schema.json",
        r#"{"type": "thing"}
"#,
    )],
    good: &[(
        "schemas/context.schema.json",
        r#"{
  "type": "object",
  "properties": {
    "account": { "type": "object", "properties": { "plan": { "type": "string" } } }
  }
}
"#,
    )],
    checks: &[Check::Workspace(check)],
};

fn check(facts: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(document) = facts.parsed.schemas.get(CONTEXT_SCHEMA) else { return };
    let message = match document.content().map(|schema| schema.validator()) {
        Some(Ok(_)) => return,
        Some(Err(_)) => "the context schema is no valid JSON Schema, so no context can be checked",
        None => "the context schema is not JSON, so no context can be checked",
    };
    findings.add(Finding::new(Entity::schema(CONTEXT_SCHEMA), &document.path, None, message));
}
