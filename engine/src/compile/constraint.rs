//! The constraint of a predicate, prepared for its type: deciding it reads no JSON except lists and objects.

use std::cmp::Ordering;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use serde_json::Value;

use crate::document::text::same;
use crate::parse;
use crate::parse::Op;
use crate::value::attribute::AttributeValue;
use crate::value::bucket::Salted;
use crate::value::number::Number;

/// Up to this number, texts are compared one by one; more are hashed.
const FEW: usize = 8;

/// The constraint of a predicate, without its negation.
#[derive(Debug, PartialEq)]
pub(crate) enum Constraint {
    Equal(Operand),
    OneOf(Box<OperandList>),
    Ordered { op: Op, than: Number },
    Bucket { salted: Salted, start: u16, end: u16 },
}

/// The operand of an equality.
#[derive(Debug, PartialEq)]
pub(crate) enum Operand {
    Text(Box<str>),
    Number(Number),
    Bool(bool),
    Json(Arc<Value>),
}

/// The operands of `in`.
#[derive(Debug, PartialEq)]
pub(crate) struct OperandList {
    texts: Texts,
    /// Sorted.
    numbers: Box<[Number]>,
    others: Box<[Value]>,
}

#[derive(Debug, PartialEq)]
enum Texts {
    Few(Box<[Box<str>]>),
    Many(HashSet<Box<str>, FixedState>),
}

impl Constraint {
    /// Returns the constraint of a predicate, and whether it is negated; `None` if the predicate is invalid.
    pub(crate) fn of(predicate: &parse::Predicate) -> Option<(Self, bool)> {
        let op = predicate.operator()?;
        if op == Op::Bucket {
            let salt = predicate.salt.value()?;
            let (start, end) = predicate.range.as_ref()?.value.bounds()?;
            let bucket = Self::Bucket { salted: Salted::new(salt), start, end };
            return predicate.value.is_none().then_some((bucket, false));
        }
        let expected = &predicate.value.as_ref()?.value;
        match op {
            Op::Eq | Op::Neq => Some((Self::Equal(Operand::of(expected)), op == Op::Neq)),
            Op::In | Op::NotIn => Some((Self::OneOf(Box::new(OperandList::of(expected.as_array()?))), op == Op::NotIn)),
            _ => Some((Self::Ordered { op, than: Number::of(expected.as_number()?)? }, false)),
        }
    }

    /// Returns the operator of a constraint that orders numbers.
    pub(crate) fn order(&self) -> Option<Op> {
        match self {
            Self::Ordered { op, .. } => Some(*op),
            Self::Equal(_) | Self::OneOf(_) | Self::Bucket { .. } => None,
        }
    }

    /// Returns whether the attribute meets the constraint; `None` if it can't be ordered.
    #[inline(always)]
    pub(crate) fn holds<'a>(&self, found: impl AttributeValue<'a>) -> Option<bool> {
        match self {
            Self::Equal(operand) => Some(operand.equals(found)),
            Self::OneOf(list) => Some(list.contains(found)),
            Self::Ordered { op, than } => Some(op.holds(found.number()?.order(*than))),
            Self::Bucket { salted, start, end } => Some((*start..*end).contains(&salted.bucket(found))),
        }
    }
}

impl Operand {
    fn of(value: &Arc<Value>) -> Self {
        match &**value {
            Value::String(text) => Self::Text(Box::from(text.as_str())),
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Number::of(number).map_or_else(|| Self::Json(Arc::clone(value)), Self::Number),
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Json(Arc::clone(value)),
        }
    }

    #[inline(always)]
    fn equals<'a>(&self, found: impl AttributeValue<'a>) -> bool {
        match self {
            Self::Text(expected) => found.text().is_some_and(|text| same(text, expected)),
            Self::Bool(expected) => found.truth() == Some(*expected),
            Self::Number(expected) => found.number().is_some_and(|number| number.order(*expected).is_eq()),
            Self::Json(expected) => found.attribute().equals_json(expected),
        }
    }
}

impl OperandList {
    fn of(values: &[Value]) -> Self {
        let texts: Vec<Box<str>> = values.iter().filter_map(Value::as_str).map(Box::from).collect();
        let mut numbers: Vec<Number> = values.iter().filter_map(Value::as_number).filter_map(Number::of).collect();
        numbers.sort_unstable_by(|one, other| one.order(*other));
        let others = values.iter().filter(|value| !value.is_string() && !value.is_number()).cloned().collect();
        let texts =
            if texts.len() <= FEW { Texts::Few(texts.into()) } else { Texts::Many(texts.into_iter().collect()) };
        Self { texts, numbers: numbers.into(), others }
    }

    #[inline(always)]
    fn contains<'a>(&self, found: impl AttributeValue<'a>) -> bool {
        match (found.text(), &self.texts) {
            (Some(text), Texts::Few(texts)) => texts.iter().any(|one| same(one, text)),
            (Some(text), Texts::Many(texts)) => texts.contains(text),
            (None, _) => self.contains_other(found),
        }
    }

    fn contains_other<'a>(&self, found: impl AttributeValue<'a>) -> bool {
        match found.number() {
            Some(number) => self.numbers.binary_search_by(|one| one.order(number)).is_ok(),
            None => self.others.iter().any(|one| found.attribute().equals_json(one)),
        }
    }
}

impl Op {
    #[inline]
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Gt => order.is_gt(),
            Self::Gte => order.is_ge(),
            Self::Lt => order.is_lt(),
            Self::Lte => order.is_le(),
            Self::Eq | Self::Neq | Self::In | Self::NotIn | Self::Bucket => false,
        }
    }
}
