//! An object of a schema has the same key twice.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Schema;

pub(super) const CHECKS: &[Check] = &[Check::Schema(check)];

fn check(_: &WorkspaceIndex<'_>, (path, _, schema): DocumentEntry<'_, Schema>, findings: &mut Findings<'_>) {
    if let Some((key, span)) = &schema.duplicate {
        let message = format!("the object has `{key}` twice, and only the last one counts");
        findings.add(Finding::new(Entity::schema(path), path, Some(*span), message).key(key));
    }
}
