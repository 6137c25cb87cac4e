//! The changes of qualifiers, and of their audiences.

use std::collections::BTreeSet;

use rototo_engine::Parsed;
use rototo_engine::parse::{BucketRange, Op, Predicate};
use serde::Serialize;
use serde_json::Value;

use crate::diff::change::{ChangeKind, OldAndNew};

/// A qualifier that is new, gone, or has other tests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct QualifierDiff {
    pub(crate) id: String,
    pub(crate) change: ChangeKind,
    pub(crate) tests: Vec<TestChange>,
}

/// One difference in its tests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum TestChange {
    Added(PredicateTest),
    Removed(PredicateTest),
    Changed(OldAndNew<PredicateTest>),
    /// The range of a bucket changed with the same salt, so everybody keeps their place.
    Bucket {
        attribute: String,
        effect: Effect,
        old: [i64; 2],
        new: [i64; 2],
    },
    /// The same tests are asked for in another order: one that can't be answered ends the decision.
    Reordered,
    /// The salt of a bucket changed, so everybody gets another place.
    Reassigned {
        attribute: String,
        old: [i64; 2],
        new: [i64; 2],
    },
}

/// The effect of another range of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    /// Some join, and nobody leaves.
    Widened,
    /// Some leave, and nobody joins.
    Narrowed,
    /// Some join, and others leave.
    Moved,
}

/// A predicate as it is written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PredicateTest {
    pub(crate) attribute: String,
    pub(crate) op: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<Value>,
    #[serde(skip)]
    salt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) range: Option<[i64; 2]>,
}

pub(super) fn compare(old: &Parsed, new: &Parsed) -> Vec<QualifierDiff> {
    let ids: BTreeSet<&str> = old.qualifiers.keys().chain(new.qualifiers.keys()).map(|id| &**id).collect();
    ids.into_iter()
        .filter_map(|id| {
            let change = match (old.qualifiers.get(id), new.qualifiers.get(id)) {
                (Some(old), Some(new)) if old.is_same(new) => return None,
                (Some(_), Some(_)) => ChangeKind::Changed,
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
            };
            let (old, new) = (tests(old, id), tests(new, id));
            let reordered = reordered(&old, &new).then_some(TestChange::Reordered);
            let mut tests = changes(old, new);
            tests.extend(reordered);
            let same = change == ChangeKind::Changed && tests.is_empty();
            (!same).then(|| QualifierDiff { id: id.to_owned(), change, tests })
        })
        .collect()
}

fn tests(parsed: &Parsed, id: &str) -> Vec<PredicateTest> {
    let content = parsed.qualifiers.get(id).and_then(|document| document.content());
    content.map(|qualifier| qualifier.predicates()).unwrap_or_default().iter().map(PredicateTest::of).collect()
}

/// Compares tests with each other that have most in common.
fn changes(old: Vec<PredicateTest>, mut new: Vec<PredicateTest>) -> Vec<TestChange> {
    type Similar = fn(&PredicateTest, &PredicateTest) -> bool;
    let similar: [Similar; 3] =
        [|one, other| (&one.op, &one.salt) == (&other.op, &other.salt), |one, other| one.op == other.op, |_, _| true];
    let mut old: Vec<_> = old.into_iter().map(Some).collect();
    for test in &mut old {
        if let Some(place) = new.iter().position(|other| test.as_ref() == Some(other)) {
            new.remove(place);
            *test = None;
        }
    }
    let mut pairs: Vec<Option<PredicateTest>> = old.iter().map(|_| None).collect();
    for is_similar in similar {
        for (test, pair) in old.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            let Some(test) = test else { continue };
            let is_pair = |other: &PredicateTest| other.attribute == test.attribute && is_similar(test, other);
            *pair = new.iter().position(is_pair).map(|place| new.remove(place));
        }
    }
    let pairs = old.into_iter().zip(pairs).filter_map(|(test, pair)| Some((test?, pair)));
    let mut changes: Vec<_> = pairs
        .map(|(test, pair)| match pair {
            Some(pair) => TestChange::of(test, pair),
            None => TestChange::Removed(test),
        })
        .collect();
    changes.extend(new.into_iter().map(TestChange::Added));
    changes
}

/// Returns whether tests that stay are asked for in another order, and the order may decide: a test that reads another
/// qualifier may keep those behind it from reading an attribute that is missing.
fn reordered(old: &[PredicateTest], new: &[PredicateTest]) -> bool {
    let stays = |tests: &[PredicateTest], others: &[PredicateTest]| -> Vec<PredicateTest> {
        tests.iter().filter(|test| others.contains(test)).cloned().collect()
    };
    let (before, after) = (stays(old, new), stays(new, old));
    before != after && before.iter().any(|test| test.attribute.starts_with("qualifier."))
}

impl TestChange {
    fn of(old: PredicateTest, new: PredicateTest) -> Self {
        match (old.range, new.range) {
            (Some(before), Some(after)) if old.salt != new.salt => {
                Self::Reassigned { attribute: new.attribute, old: before, new: after }
            }
            (Some(before), Some(after)) => {
                let effect = Effect::of(before, after);
                Self::Bucket { attribute: new.attribute, effect, old: before, new: after }
            }
            _ => Self::Changed(OldAndNew { old, new }),
        }
    }

    /// Returns the same without constraints. Ranges are shares, not persons, and stay.
    pub(super) fn redact(&mut self) {
        match self {
            Self::Added(test) | Self::Removed(test) => test.value = None,
            Self::Changed(OldAndNew { old, new }) => (old.value, new.value) = (None, None),
            Self::Bucket { .. } | Self::Reassigned { .. } | Self::Reordered => {}
        }
    }
}

impl Effect {
    fn of([old_start, old_end]: [i64; 2], [new_start, new_end]: [i64; 2]) -> Self {
        if new_start <= old_start && old_end <= new_end {
            Self::Widened
        } else if old_start <= new_start && new_end <= old_end {
            Self::Narrowed
        } else {
            Self::Moved
        }
    }
}

impl PredicateTest {
    fn of(predicate: &Predicate) -> Self {
        let text = |field: Option<&std::sync::Arc<str>>| field.map_or_else(|| "?".to_owned(), ToString::to_string);
        let range = predicate.range.as_ref().filter(|_| predicate.operator() == Some(Op::Bucket));
        Self {
            attribute: text(predicate.attribute.value()),
            op: text(predicate.op.value()),
            value: predicate.value.as_ref().map(|value| (*value.value).clone()),
            salt: predicate.salt.value().map(ToString::to_string),
            range: range.and_then(|range| match range.value {
                BucketRange::Bounds(start, end) => Some([start, end]),
                BucketRange::NotTwoIntegers | BucketRange::NotAList => None,
            }),
        }
    }
}
