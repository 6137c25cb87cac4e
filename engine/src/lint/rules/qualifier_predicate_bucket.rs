//! A bucket lacks its salt or has an impossible range.

use crate::diagnostic::Entity;
use crate::document::text::Span;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{BucketRange, Field, Op, Predicate, Qualifier};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        if predicate.attribute.value().is_none() || predicate.operator() != Some(Op::Bucket) {
            continue;
        }
        for (key, span, message) in faults(predicate) {
            findings.add(Finding::new(Entity::predicate(id, index), path, span, message).key(key));
        }
    }
}

fn faults(predicate: &Predicate) -> Vec<(&'static str, Option<Span>, &'static str)> {
    let mut faults = Vec::new();
    match &predicate.salt {
        Field::Present(_) => {}
        Field::Invalid(span) => faults.push(("salt", Some(*span), "the `salt` of a bucket must be a string")),
        Field::Missing(_) => faults.push(("salt", Some(predicate.span), "a bucket needs a `salt`")),
    }
    let range = predicate.range.as_ref().map(|range| (range.value, range.span));
    let range = match range {
        None => Some((predicate.span, "a bucket needs a `range`")),
        Some((BucketRange::NotAList, span)) => Some((span, "the `range` of a bucket must be a list")),
        Some((BucketRange::NotTwoIntegers, span)) => Some((span, "the `range` of a bucket must be two integers")),
        Some((bounds, span)) if bounds.bounds().is_none() => {
            Some((span, "the `range` of a bucket must satisfy 0 <= start < end <= 10000"))
        }
        Some(_) => None,
    };
    faults.extend(range.map(|(span, message)| ("range", Some(span), message)));
    let value = predicate.value.as_ref();
    faults.extend(value.map(|value| ("value", Some(value.span), "a bucket has no `value`, only `salt` and `range`")));
    faults
}
