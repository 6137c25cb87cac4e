//! A variable has a type that does not exist.

use crate::diagnostic::Entity;
use crate::lint::similar::nearest;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Primitive, Type, Variable, quoted};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    if let Some(Type::Unknown(name)) = variable.value_type() {
        let message = format!("there is no type `{name}`");
        let span = variable.type_name.span();
        let meant = nearest(name, Primitive::ALL.into_iter().map(Primitive::name)).map(quoted);
        findings.add(Finding::new(Entity::variable(id), path, span, message).key("type").fix(span, meant));
    }
}
