//! The type of a variable is a resource that does not exist.

use crate::diagnostic::Entity;
use crate::lint::similar::{nearest, question};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{RESOURCE_PREFIX, Type, Variable, quoted};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    let known = &workspace.parsed.resources;
    let Some(Type::Resource(resource)) = variable.value_type() else { return };
    if !known.contains_key(resource) {
        let meant = nearest(resource, known.keys().map(|id| &**id));
        let hint = question(meant);
        let message = format!("there is no resource `{resource}`{hint}");
        let span = variable.type_name.span();
        let meant = meant.map(|meant| quoted(&format!("{RESOURCE_PREFIX}{meant}")));
        findings.add(Finding::new(Entity::variable(id), path, span, message).key("type").fix(span, meant));
    }
}
