//! A JSON document is no JSON Schema, or needs another one.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Schema;

pub(super) const CHECKS: &[Check] = &[Check::Schema(check)];

fn check(_: &WorkspaceIndex<'_>, (path, _, schema): DocumentEntry<'_, Schema>, findings: &mut Findings<'_>) {
    if let Err(invalid) = schema.validator() {
        let at = if invalid.pointer.is_empty() { "at its root" } else { &invalid.pointer };
        let message = format!("not a valid JSON Schema: {} ({at})", invalid.message);
        findings.add(Finding::new(Entity::schema(path), path, None, message).key(&*invalid.pointer));
    }
}
