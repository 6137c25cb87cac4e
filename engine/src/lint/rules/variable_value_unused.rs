//! No rule and no default selects a value.

use std::sync::Arc;

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Type, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    // Where the values are objects of a resource, what is selected is never one that stands here.
    let inline = !matches!(variable.value_type(), Some(Type::Resource(_)));
    let selected = variable.rules().iter().map(|rule| &rule.value).chain(variable.default());
    let mut selected: Vec<&Arc<str>> = selected.filter(|_| inline).filter_map(|field| field.value()).collect();
    selected.sort_unstable();
    for (key, named) in variable.inline_values().filter(|(key, _)| selected.binary_search(key).is_err()) {
        let message = format!("nothing selects value `{key}`");
        let finding = Finding::new(Entity::value(id, key), path, Some(named.key_span), message);
        findings.add(finding.key(format!("values.{key}")));
    }
}
