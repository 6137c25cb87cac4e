//! A qualifier says the same twice.

use std::collections::BTreeMap;

use crate::diagnostic::Entity;
use crate::lint::similar::repeats;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Op, Predicate, Qualifier};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    let comparisons =
        qualifier.predicates().iter().map(|predicate| (predicate.attribute.value(), predicate.op.value()));
    if !repeats(comparisons) {
        return;
    }
    let mut first = BTreeMap::new();
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(meaning) = meaning(predicate) else { continue };
        if let Some(earlier) = first.get(&meaning) {
            let message = "the predicate repeats an earlier one";
            let finding = Finding::new(Entity::predicate(id, index), path, Some(predicate.span), message);
            findings.add(finding.related(path, Some(*earlier), "the earlier predicate"));
        } else {
            first.insert(meaning, predicate.span);
        }
    }
}

/// A text that is the same for predicates that decide the same.
fn meaning(predicate: &Predicate) -> Option<String> {
    let (attribute, op) = (predicate.attribute.value()?, predicate.op.value()?);
    let operand = if predicate.operator() == Some(Op::Bucket) {
        format!("{:?} {:?}", predicate.range.as_ref()?.value, predicate.salt.value()?)
    } else {
        predicate.value.as_ref()?.value.to_string()
    };
    Some(format!("{attribute}\n{op}\n{operand}"))
}
