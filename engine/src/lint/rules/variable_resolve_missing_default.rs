//! A variable has no default.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Field, Resolve, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let (span, message) = match &variable.resolve {
        Resolve::Missing => (None, format!("variable `{id}` has no [resolve]")),
        Resolve::Table { default: Field::Missing(span), .. } => {
            (*span, format!("[resolve] of `{id}` has no `default`"))
        }
        Resolve::Table { default: Field::Invalid(span), .. } => {
            (Some(*span), "`default` must be the key of a value, as a string".to_owned())
        }
        Resolve::Table { .. } | Resolve::Invalid(_) => return,
    };
    findings.add(Finding::new(Entity::variable(id), path, span, message).key("resolve.default"));
}
