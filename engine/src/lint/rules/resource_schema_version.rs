//! A resource does not declare version 1 of the format.

use crate::diagnostic::Entity;
use crate::lint::version::with_version;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Resource;

pub(super) const CHECKS: &[Check] = &[Check::Resource(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, resource): DocumentEntry<'_, Resource>, findings: &mut Findings<'_>) {
    if resource.schema_version.value() != Some(&1) {
        let message = format!("resource `{id}` must declare `schema_version = 1`");
        let span = resource.schema_version.span();
        let finding = Finding::new(Entity::resource(id), path, span, message).key("schema_version");
        findings.add(with_version(finding, &resource.schema_version));
    }
}
