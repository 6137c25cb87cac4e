//! A predicate has an operator that does not exist.

use crate::diagnostic::Entity;
use crate::lint::similar::nearest;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Op, Qualifier, quoted};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(op) = predicate.op.present().filter(|op| Op::named(&op.value).is_none()) else { continue };
        let message = format!("there is no operator `{}`", op.value);
        let meant = nearest(&op.value, Op::ALL.into_iter().map(Op::name)).map(quoted);
        let finding = Finding::new(Entity::predicate(id, index), path, Some(op.span), message).key("op");
        findings.add(finding.fix(Some(op.span), meant));
    }
}
