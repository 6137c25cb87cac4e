//! A predicate has nothing to compare with, or something its operator cannot use.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Op, Qualifier};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(op) = predicate.op.value().filter(|_| predicate.attribute.value().is_some()) else { continue };
        let known = predicate.operator();
        if known == Some(Op::Bucket) {
            continue;
        }
        let value = predicate.value.as_ref();
        let message = match (known, value.map(|value| &*value.value)) {
            (_, None) => format!("`{op}` needs a `value`"),
            (Some(Op::In | Op::NotIn), Some(value)) if !value.is_array() => {
                format!("the `value` of `{op}` must be a list")
            }
            (Some(Op::Gt | Op::Gte | Op::Lt | Op::Lte), Some(value)) if !value.is_number() => {
                format!("the `value` of `{op}` must be a number")
            }
            _ => continue,
        };
        let span = value.map_or(predicate.span, |value| value.span);
        findings.add(Finding::new(Entity::predicate(id, index), path, Some(span), message).key("value"));
    }
}
