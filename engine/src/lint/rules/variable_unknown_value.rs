//! A default or a rule selects a value that does not exist.

use crate::diagnostic::Entity;
use crate::lint::similar::{nearest, question};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Type, Variable, quoted};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    let resource = match variable.value_type() {
        // Other rules report a missing resource, or missing values.
        Some(Type::Resource(resource)) if !workspace.parsed.resources.contains_key(resource) => return,
        Some(Type::Resource(resource)) => Some(resource),
        _ if variable.inline_values().next().is_none() => return,
        _ => None,
    };
    let rules = variable.rules().iter().enumerate().map(|(index, rule)| (Some(index), &rule.value));
    for (rule, field) in variable.default().map(|default| (None, default)).into_iter().chain(rules) {
        let Some(selected) = field.present().filter(|field| !workspace.has_key(variable, &field.value)) else {
            continue;
        };
        let meant = nearest(&selected.value, workspace.keys(variable));
        let hint = question(meant);
        let (entity, key) = match rule {
            Some(index) => (Entity::rule(id, index), "resolve.rule.value"),
            None => (Entity::variable(id), "resolve.default"),
        };
        let message = match resource {
            Some(resource) => format!("resource `{resource}` has no object `{}`{hint}", selected.value),
            None => format!("[values] of `{id}` has no `{}`{hint}", selected.value),
        };
        let finding = Finding::new(entity, path, Some(selected.span), message).key(key);
        findings.add(finding.fix(Some(selected.span), meant.map(quoted)));
    }
}
