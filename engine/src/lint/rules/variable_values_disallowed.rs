//! A variable of a resource has values of its own.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Type, Values, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let Some(Type::Resource(resource)) = variable.value_type() else { return };
    let span = match &variable.values {
        Values::Table(span, values) if !values.is_empty() => *span,
        Values::Invalid(span) => *span,
        Values::Table(..) | Values::Missing => return,
    };
    let message = format!("the values of `{id}` are the objects of resource `{resource}`; [values] must go");
    findings.add(Finding::new(Entity::variable(id), path, Some(span), message).key("values"));
}
