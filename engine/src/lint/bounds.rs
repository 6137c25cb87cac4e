//! The values of one attribute that all predicates of a qualifier admit.

use std::cmp::Ordering;

use serde_json::Value;

use crate::parse::{Op, Predicate};
use crate::value::number::Number;

/// The most pairs of values that a rule compares: lists of a thousand, far beyond those that people write.
pub(super) const MANY: usize = 1_000_000;

/// The admitted values; by default all of them.
#[derive(Default)]
pub(super) struct Bounds<'a> {
    /// The operands of `eq` and `in`, if there was one.
    only: Option<Vec<&'a Value>>,
    /// The operands of `neq` and `not_in`.
    not: Vec<&'a Value>,
    /// The greatest lower bound, and whether it is excluded.
    low: Option<(Number, bool)>,
    /// The least upper bound, and whether it is excluded.
    high: Option<(Number, bool)>,
    /// The ranges of buckets by their salts.
    buckets: Vec<(&'a str, u16, u16)>,
    is_empty: bool,
}

impl<'a> Bounds<'a> {
    /// Takes account of one more predicate, unless its operand is invalid. Returns true if no value is left for the first time.
    pub(super) fn narrow(&mut self, predicate: &'a Predicate, op: Op) -> bool {
        if self.is_empty {
            return false;
        }
        self.is_empty = match op {
            Op::Bucket => self.bucket(predicate).unwrap_or(false),
            _ => predicate
                .value
                .as_ref()
                .is_some_and(|value| self.compare(op, &value.value).is_some() && self.admits_nothing()),
        };
        self.is_empty
    }

    fn compare(&mut self, op: Op, operand: &'a Value) -> Option<()> {
        let number = || operand.as_number().and_then(Number::of);
        match op {
            Op::Eq => self.keep(&[operand]),
            Op::In => self.keep(&operand.as_array()?.iter().collect::<Vec<_>>()),
            Op::Neq => self.not.push(operand),
            Op::NotIn => self.not.extend(operand.as_array()?),
            Op::Gt | Op::Gte => {
                let bound = number()?;
                let is_higher = |(low, _): (Number, bool)| bound.order(low).is_gt() || bound.order(low).is_eq();
                if self.low.is_none_or(is_higher) {
                    self.low = Some((bound, op == Op::Gt));
                }
            }
            Op::Lt | Op::Lte => {
                let bound = number()?;
                let is_lower = |(high, _): (Number, bool)| bound.order(high).is_lt() || bound.order(high).is_eq();
                if self.high.is_none_or(is_lower) {
                    self.high = Some((bound, op == Op::Lt));
                }
            }
            Op::Bucket => {}
        }
        Some(())
    }

    fn keep(&mut self, operands: &[&'a Value]) {
        let known = self.only.take();
        let is_kept = |operand: &&Value| match &known {
            Some(known) if known.len().saturating_mul(operands.len()) <= MANY => {
                known.iter().any(|one| equal(one, operand))
            }
            _ => true,
        };
        self.only = Some(operands.iter().copied().filter(is_kept).collect());
    }

    /// Returns whether two predicates with one salt have no bucket in common.
    fn bucket(&mut self, predicate: &'a Predicate) -> Option<bool> {
        let (salt, (start, end)) = (predicate.salt.value()?, predicate.range.as_ref()?.value.bounds()?);
        let known = self.buckets.iter_mut().find(|(known, _, _)| *known == &**salt);
        Some(match known {
            Some((_, from, to)) => {
                (*from, *to) = ((*from).max(start), (*to).min(end));
                *from >= *to
            }
            None => {
                self.buckets.push((salt, start, end));
                false
            }
        })
    }

    fn admits_nothing(&self) -> bool {
        if let (Some((low, without_low)), Some((high, without_high))) = (self.low, self.high) {
            match low.order(high) {
                Ordering::Greater => return true,
                Ordering::Equal if without_low || without_high => return true,
                Ordering::Equal | Ordering::Less => {}
            }
        }
        let Some(only) = &self.only else { return false };
        let is_few = only.len().saturating_mul(self.not.len()) <= MANY;
        is_few && only.iter().all(|value| self.not.iter().any(|other| equal(value, other)) || !self.is_within(value))
    }

    fn is_within(&self, value: &Value) -> bool {
        let number = value.as_number().and_then(Number::of);
        // An ordered comparison with anything else is an error, not a contradiction.
        let Some(number) = number else { return true };
        let above = self.low.is_none_or(|(low, without)| match number.order(low) {
            Ordering::Greater => true,
            Ordering::Equal => !without,
            Ordering::Less => false,
        });
        let below = self.high.is_none_or(|(high, without)| match number.order(high) {
            Ordering::Less => true,
            Ordering::Equal => !without,
            Ordering::Greater => false,
        });
        above && below
    }
}

/// Returns whether two values are equal, numbers by their value.
pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (Number::of(one), Number::of(other)) {
            (Some(one), Some(other)) => one.order(other).is_eq(),
            _ => one == other,
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tree, lint, parse};

    /// Returns whether some predicate of the qualifier was found to have one result.
    fn is_found(predicates: &str) -> bool {
        let mut tree = Tree::default();
        tree.insert("rototo-workspace.toml", *b"schema_version = 1");
        tree.insert("qualifiers/q.toml", format!("schema_version = 1\npredicate = [{predicates}]\n").into_bytes());
        let found = lint(&parse(tree)).diagnostics;
        found.iter().any(|found| found.rule == "rototo/qualifier-predicate-constant")
    }

    fn check(predicates: &[(&str, &str)], expected: bool) {
        let texts = predicates.iter().map(|(op, rest)| match *op {
            "bucket" => format!("{{ attribute = \"a\", op = \"bucket\", salt = \"s\", range = {rest} }}"),
            op => format!("{{ attribute = \"a\", op = \"{op}\", value = {rest} }}"),
        });
        let text = texts.collect::<Vec<_>>().join(", ");
        assert_eq!(is_found(&text), expected, "{text}");
    }

    #[test]
    fn contradictions_are_found_and_narrow_conditions_are_not() {
        for contradiction in [
            &[("gt", "5"), ("lt", "3")][..],
            &[("gt", "5"), ("lt", "5")],
            &[("gte", "5"), ("lt", "5.0")],
            &[("eq", "\"a\""), ("eq", "\"b\"")],
            &[("eq", "1"), ("neq", "1.0")],
            &[("in", "[1, 2]"), ("in", "[3, 4]")],
            &[("in", "[1, 2]"), ("not_in", "[2, 1]")],
            &[("in", "[1, 2]"), ("gt", "2")],
            &[("bucket", "[0, 100]"), ("bucket", "[100, 200]")],
            &[("in", "[]")],
            &[("not_in", "[]")],
        ] {
            check(contradiction, true);
        }
        for narrow in [
            &[("gt", "3"), ("lt", "5")][..],
            &[("gte", "5"), ("lte", "5")],
            &[("eq", "1"), ("eq", "1.0")],
            &[("in", "[1, 2]"), ("not_in", "[2]")],
            &[("in", "[1, 2, \"x\"]"), ("gt", "2")],
            &[("neq", "1"), ("neq", "2")],
            &[("bucket", "[0, 100]"), ("bucket", "[50, 200]")],
        ] {
            check(narrow, false);
        }
    }
}
