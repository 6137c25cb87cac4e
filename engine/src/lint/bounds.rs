//! The values of one attribute that all predicates of a qualifier admit.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::parse::{Op, Predicate};
use crate::value::number::{Number, equal};

/// The most pairs of values that are compared for one qualifier: lists of three hundred, far beyond those that people
/// write. Whatever is left then counts as fine.
pub(super) const MOST_PAIRS: usize = 100_000;

/// The rest of [`MOST_PAIRS`].
pub(super) struct PairBudget(usize);

impl Default for PairBudget {
    fn default() -> Self {
        Self(MOST_PAIRS)
    }
}

impl PairBudget {
    /// Accounts for comparing each of `one` values with each of `other`. `None` if that is too much.
    pub(super) fn pairs(&mut self, one: usize, other: usize) -> Option<()> {
        self.0 = self.0.checked_sub(one.saturating_mul(other))?;
        Some(())
    }
}

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
    buckets: BTreeMap<&'a str, (u16, u16)>,
    is_empty: bool,
}

impl<'a> Bounds<'a> {
    /// Takes account of one more predicate, unless its operand is invalid. Returns true if no value is left for the first time.
    pub(super) fn narrow(&mut self, predicate: &'a Predicate, op: Op, budget: &mut PairBudget) -> bool {
        if self.is_empty {
            return false;
        }
        self.is_empty = match op {
            Op::Bucket => self.bucket(predicate).unwrap_or(false),
            _ => self.compare(op, predicate, budget).is_some() && self.admits_nothing(budget).unwrap_or(false),
        };
        self.is_empty
    }

    fn compare(&mut self, op: Op, predicate: &'a Predicate, budget: &mut PairBudget) -> Option<()> {
        let operand = &*predicate.value.as_ref()?.value;
        let number = || operand.as_number().and_then(Number::of);
        match op {
            Op::Eq => self.keep(&[operand], budget)?,
            Op::In => self.keep(&operand.as_array()?.iter().collect::<Vec<_>>(), budget)?,
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

    fn keep(&mut self, operands: &[&'a Value], budget: &mut PairBudget) -> Option<()> {
        let Some(known) = &mut self.only else {
            self.only = Some(operands.to_vec());
            return Some(());
        };
        budget.pairs(known.len(), operands.len())?;
        known.retain(|one| operands.iter().any(|operand| equal(one, operand)));
        Some(())
    }

    /// Returns whether two predicates with one salt have no bucket in common.
    fn bucket(&mut self, predicate: &'a Predicate) -> Option<bool> {
        let (salt, (start, end)) = (predicate.salt.value()?, predicate.range.as_ref()?.value.bounds()?);
        let (from, to) = self.buckets.entry(salt).or_insert((start, end));
        (*from, *to) = ((*from).max(start), (*to).min(end));
        Some(*from >= *to)
    }

    fn admits_nothing(&self, budget: &mut PairBudget) -> Option<bool> {
        if let (Some((low, without_low)), Some((high, without_high))) = (self.low, self.high) {
            match low.order(high) {
                Ordering::Greater => return Some(true),
                Ordering::Equal if without_low || without_high => return Some(true),
                Ordering::Equal | Ordering::Less => {}
            }
        }
        let Some(only) = &self.only else { return Some(false) };
        budget.pairs(only.len(), self.not.len() + 1)?;
        let is_left = |value: &&Value| self.is_within(value) && !self.not.iter().any(|other| equal(value, other));
        Some(!only.iter().any(is_left))
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
