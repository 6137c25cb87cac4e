//! A qualifier does not declare version 1 of the format.

use crate::diagnostic::Entity;
use crate::lint::version::with_version;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Qualifier;

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    if qualifier.schema_version.value() != Some(&1) {
        let message = format!("qualifier `{id}` must declare `schema_version = 1`");
        let span = qualifier.schema_version.span();
        let finding = Finding::new(Entity::qualifier(id), path, span, message).key("schema_version");
        findings.add(with_version(finding, &qualifier.schema_version));
    }
}
