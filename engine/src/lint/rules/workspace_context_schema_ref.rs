//! The context schema cannot be used.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};
use crate::parse::CONTEXT_SCHEMA;

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(document) = workspace.parsed.schemas.get(CONTEXT_SCHEMA) else { return };
    if workspace.parsed.has_too_many_patterns() {
        return;
    }
    let message = match document.content().map(|schema| schema.validator()) {
        Some(Ok(_)) => return,
        Some(Err(_)) => "the context schema is no valid JSON Schema, so no context can be checked",
        None => "the context schema is not JSON, so no context can be checked",
    };
    findings.add(Finding::new(Entity::schema(CONTEXT_SCHEMA), &document.path, None, message));
}
