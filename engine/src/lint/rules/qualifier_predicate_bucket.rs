//! A bucket lacks its salt or has an impossible range.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{BucketRange, Field, Op, Predicate, Qualifier};
use crate::text::Span;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-predicate-bucket",
    severity: Severity::Error,
    entity: "qualifier",
    stage: Stage::Project,
    title: "a bucket has no salt or no range within 0 to 10000",
    why: "The salt decides who falls into which of the 10,000 buckets, and the range who is in. Without both, nobody could say who is.",
    help: "give the predicate a `salt` and a `range = [start, end]` with 0 <= start < end <= 10000, and no `value`",
    bad: &[(
        "qualifiers/pro.toml",
        r#"schema_version = 1

[[predicate]]
attribute = "account.id"
op = "bucket"
salt = "trial-2026-06"
range = [0, 20000]
"#,
    )],
    good: &[(
        "qualifiers/pro.toml",
        r#"schema_version = 1

[[predicate]]
attribute = "account.id"
op = "bucket"
salt = "trial-2026-06"
range = [0, 1000]
"#,
    )],
    checks: &[Check::Qualifier(check)],
};

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
