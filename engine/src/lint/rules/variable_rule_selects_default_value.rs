//! A rule selects what would be selected anyway.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Variable;

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let Some(default) = variable.default().and_then(|default| default.present()) else { return };
    for (index, rule) in variable.rules().iter().enumerate() {
        let Some(value) = rule.value.present().filter(|value| value.value == default.value) else { continue };
        let message = format!("the rule selects `{}`, which is the default", value.value);
        let finding = Finding::new(Entity::rule(id, index), path, Some(value.span), message);
        findings.add(finding.key("value").related(path, Some(default.span), "the default"));
    }
}
