//! The context schema declares the name that stands for other qualifiers.

use super::super::{Check, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::CONTEXT_SCHEMA;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/workspace-context-schema-reserved-field",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Project,
    title: "the context schema declares the reserved field `qualifier`",
    why: "In a predicate, `qualifier.<id>` reads another qualifier. A field of the context with that name can never be read.",
    help: "give the field of the context another name",
    bad: &[(
        "schemas/context.schema.json",
        r#"{"type": "object", "properties": {"qualifier": {"type": "string"}}}
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
    let Some(schema) = facts.context_schema() else { return };
    if schema.json.get("properties").is_some_and(|properties| properties.get("qualifier").is_some()) {
        let message = "the context schema declares `qualifier`, which stands for other qualifiers";
        let finding = Finding::new(Entity::schema(CONTEXT_SCHEMA), CONTEXT_SCHEMA, None, message);
        findings.add(finding.key("qualifier"));
    }
}
