//! A rule names a qualifier that does not exist.

use crate::diagnostic::Entity;
use crate::lint::similar::{nearest, question};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Variable, quoted};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    let known = &workspace.parsed.qualifiers;
    for (index, rule) in variable.rules().iter().enumerate() {
        let Some(named) = rule.qualifier.present().filter(|named| !known.contains_key(&named.value)) else {
            continue;
        };
        let meant = nearest(&named.value, known.keys().map(|id| &**id));
        let hint = question(meant);
        let message = format!("there is no qualifier `{}`{hint}", named.value);
        let finding = Finding::new(Entity::rule(id, index), path, Some(named.span), message).key("qualifier");
        findings.add(finding.fix(Some(named.span), meant.map(quoted)));
    }
}
