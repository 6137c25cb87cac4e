//! A qualifier is used, but only by qualifiers that nothing uses.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, References};

pub(super) const CHECKS: &[Check] = &[Check::References(check)];

fn check(references: &References<'_>, findings: &mut Findings<'_>) {
    let (referenced, reachable) = (references.referenced(), references.reachable());
    let broken = references.qualifiers_with_errors(findings);
    for (number, (id, document)) in references.parsed.qualifiers.iter().enumerate() {
        let unreachable = referenced.contains(&number) && !reachable.contains(&number);
        if unreachable && document.content().is_some() && !broken.contains(&**id) {
            let message = format!("no rule of any variable leads to qualifier `{id}`");
            findings.add(Finding::new(Entity::qualifier(id), &document.path, None, message));
        }
    }
}
