//! The context schema declares the name that is reserved for qualifiers.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};
use crate::parse::CONTEXT_SCHEMA;

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(schema) = workspace.context_schema() else { return };
    if schema.json.get("properties").is_some_and(|properties| properties.get("qualifier").is_some()) {
        let message = "the context schema declares `qualifier`, which stands for other qualifiers";
        let finding = Finding::new(Entity::schema(CONTEXT_SCHEMA), CONTEXT_SCHEMA, None, message);
        findings.add(finding.key("qualifier"));
    }
}
