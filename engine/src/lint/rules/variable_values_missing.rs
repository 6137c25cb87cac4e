//! A variable has no values.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Type, Values, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    if let Some(Type::Resource(_)) = variable.value_type() {
        return;
    }
    let (span, message) = match &variable.values {
        Values::Missing => (None, format!("variable `{id}` has no [values]")),
        Values::Table(span, values) if values.is_empty() => (Some(*span), format!("[values] of `{id}` is empty")),
        Values::Invalid(span) => (Some(*span), "`values` must be a table".to_owned()),
        Values::Table(..) => return,
    };
    findings.add(Finding::new(Entity::variable(id), path, span, message).key("values"));
}
