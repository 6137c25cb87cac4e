//! A default or a rule selects a value that is not there.

use crate::diagnostic::Entity;
use crate::lint::similar::nearest;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Type, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(facts: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let resource = match variable.value_type() {
        // Other rules say that there is no such resource, or that there are no values at all.
        Some(Type::Resource(resource)) if !facts.parsed.resources.contains_key(resource) => return,
        Some(Type::Resource(resource)) => Some(resource),
        _ if variable.inline_values().next().is_none() => return,
        _ => None,
    };
    let rules = variable.rules().iter().enumerate().map(|(index, rule)| (Some(index), &rule.value));
    for (rule, field) in variable.default().map(|default| (None, default)).into_iter().chain(rules) {
        let Some(selected) = field.present().filter(|field| !facts.has_key(variable, &field.value)) else {
            continue;
        };
        let hint = nearest(&selected.value, facts.keys(variable));
        let (entity, key) = match rule {
            Some(index) => (Entity::rule(id, index), "resolve.rule.value"),
            None => (Entity::variable(id), "resolve.default"),
        };
        let message = match resource {
            Some(resource) => format!("resource `{resource}` has no object `{}`{hint}", selected.value),
            None => format!("[values] of `{id}` has no `{}`{hint}", selected.value),
        };
        findings.add(Finding::new(entity, path, Some(selected.span), message).key(key));
    }
}
