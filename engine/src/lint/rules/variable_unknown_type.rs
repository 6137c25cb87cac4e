//! A variable has a type that does not exist.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Type, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    if let Some(Type::Unknown(name)) = variable.value_type() {
        let message = format!("there is no type `{name}`");
        findings.add(Finding::new(Entity::variable(id), path, variable.type_name.span(), message).key("type"));
    }
}
