//! A variable does not declare version 1 of the format.

use crate::diagnostic::Entity;
use crate::lint::version::with_version;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Variable;

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    if variable.schema_version.value() != Some(&1) {
        let message = format!("variable `{id}` must declare `schema_version = 1`");
        let span = variable.schema_version.span();
        let finding = Finding::new(Entity::variable(id), path, span, message).key("schema_version");
        findings.add(with_version(finding, &variable.schema_version));
    }
}
