//! A variable has the type of a resource that is not there.

use crate::diagnostic::Entity;
use crate::lint::similar::nearest;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Type, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(facts: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let known = &facts.parsed.resources;
    let Some(Type::Resource(resource)) = variable.value_type() else { return };
    if !known.contains_key(resource) {
        let hint = nearest(resource, known.keys().map(|id| &**id));
        let message = format!("there is no resource `{resource}`{hint}");
        findings.add(Finding::new(Entity::variable(id), path, variable.type_name.span(), message).key("type"));
    }
}
