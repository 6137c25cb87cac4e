//! A rule never matches, because an earlier one has the same qualifier.

use std::collections::BTreeMap;

use crate::diagnostic::Entity;
use crate::lint::similar::repeats;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Variable;

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    if !repeats(variable.rules().iter().filter_map(|rule| rule.qualifier.value())) {
        return;
    }
    let mut first = BTreeMap::new();
    for (index, rule) in variable.rules().iter().enumerate() {
        let Some(qualifier) = rule.qualifier.present() else { continue };
        if let Some(earlier) = first.get(&qualifier.value) {
            let message = format!("an earlier rule already decides for qualifier `{}`", qualifier.value);
            let finding = Finding::new(Entity::rule(id, index), path, Some(qualifier.span), message);
            findings.add(finding.key("qualifier").related(path, Some(*earlier), "the earlier rule"));
        } else {
            first.insert(&qualifier.value, qualifier.span);
        }
    }
}
