//! The audience of a qualifier in one line, and the attributes that it depends on.

use std::collections::BTreeSet;

use rototo_engine::Parsed;
use rototo_engine::parse::{Op, Predicate};

use crate::diff::change::variable_of;

/// The longest line that is still clear.
const MAX_TESTS: usize = 12;

/// Returns the tests of a qualifier, with those of the qualifiers that it refers to: `service.queue_pressure eq
/// "high"`, and 10 % of `account.id`.
pub(super) fn audience(parsed: &Parsed, qualifier: &str) -> Vec<AudienceTest> {
    let mut tests = Vec::new();
    collect(parsed, qualifier, &mut BTreeSet::new(), &mut tests);
    tests
}

/// One of the tests.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AudienceTest {
    Compare { attribute: String, op: &'static str, value: serde_json::Value },
    Bucket { attribute: String, start: i64, end: i64 },
    Qualifier { id: String, op: &'static str, value: serde_json::Value },
    More,
}

fn collect(parsed: &Parsed, qualifier: &str, seen: &mut BTreeSet<String>, tests: &mut Vec<AudienceTest>) {
    // A qualifier counts once, also in a cycle or with many references.
    if !seen.insert(qualifier.to_owned()) || seen.len() > MAX_TESTS * 2 {
        return;
    }
    let content = parsed.qualifiers.get(qualifier).and_then(|document| document.content());
    for predicate in content.map(|qualifier| qualifier.predicates()).unwrap_or_default() {
        if tests.len() >= MAX_TESTS {
            if tests.last() != Some(&AudienceTest::More) {
                tests.push(AudienceTest::More);
            }
            return;
        }
        match (predicate.qualifier_reference(), is_plainly_true(predicate)) {
            (Some(id), true) if parsed.qualifiers.contains_key(id) => collect(parsed, id, seen, tests),
            _ => tests.extend(AudienceTest::of(predicate)),
        }
    }
}

fn is_plainly_true(predicate: &Predicate) -> bool {
    let value = predicate.value.as_ref().and_then(|value| value.value.as_bool());
    matches!((predicate.operator(), value), (Some(Op::Eq), Some(true)) | (Some(Op::Neq), Some(false)))
}

impl AudienceTest {
    pub(super) fn of(predicate: &Predicate) -> Option<Self> {
        let attribute = predicate.attribute.value()?.to_string();
        let op = predicate.operator()?;
        if op == Op::Bucket {
            let (start, end) = predicate.range.as_ref()?.value.bounds()?;
            return Some(Self::Bucket { attribute, start: start.into(), end: end.into() });
        }
        let value = (*predicate.value.as_ref()?.value).clone();
        Some(match predicate.qualifier_reference() {
            Some(id) => Self::Qualifier { id: id.to_owned(), op: op.name(), value },
            None => Self::Compare { attribute, op: op.name(), value },
        })
    }
}

/// Returns all qualifiers that a variable's rules depend on.
pub(super) fn qualifiers_of(parsed: &Parsed, variable: &str) -> BTreeSet<String> {
    let rules = variable_of(parsed, variable).map(|variable| variable.rules()).unwrap_or_default();
    let mut open: Vec<&str> = rules.iter().filter_map(|rule| rule.qualifier.value()).map(|id| &**id).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if found.insert(id.to_owned()) {
            let content = parsed.qualifiers.get(id).and_then(|document| document.content());
            let predicates = content.map(|qualifier| qualifier.predicates()).unwrap_or_default();
            open.extend(predicates.iter().filter_map(Predicate::qualifier_reference));
        }
    }
    found
}

/// Returns all attributes that rules of variables read.
pub(super) fn attributes(parsed: &Parsed) -> BTreeSet<String> {
    let used: BTreeSet<String> = parsed.variables.keys().flat_map(|id| qualifiers_of(parsed, id)).collect();
    let contents = used.iter().filter_map(|id| parsed.qualifiers.get(id)?.content());
    let predicates = contents.flat_map(|qualifier| qualifier.predicates());
    predicates.filter_map(Predicate::context_path).map(ToString::to_string).collect()
}
