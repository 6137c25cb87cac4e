//! Decides qualifiers against a context: each at most once, each attribute read at most once, and on the usual path without
//! allocating.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use crate::compiled::{Compiled, Path, Predicate, Subject, Test};
use crate::context::Context;
use crate::number;
use crate::parse::Op;
use crate::resolve::ResolveError;
use crate::trace::{PredicateTrace, Record};

/// As many paths and qualifiers fit on the stack; larger workspaces take one allocation for each resolution.
const STACK_PATHS: usize = 64;
const STACK_WORDS: usize = 16;

impl Compiled {
    /// Runs `decide` with fresh memory for what has been read and decided.
    pub(crate) fn evaluate<'a, R: Record, T>(
        &'a self,
        context: &'a Context,
        record: &'a mut R,
        decide: impl FnOnce(&mut Evaluation<'a, '_, R>) -> Result<T, ResolveError>,
    ) -> Result<T, ResolveError> {
        let words = self.qualifiers.len().div_ceil(64);
        let context = context.value();
        if self.paths.items.len() <= STACK_PATHS && words <= STACK_WORDS {
            let (mut read, mut known, mut truth) = ([None; STACK_PATHS], [0; STACK_WORDS], [0; STACK_WORDS]);
            let (read, known, truth) = (&mut read[..], &mut known[..], &mut truth[..]);
            decide(&mut Evaluation { compiled: self, context, read, known, truth, record })
        } else {
            let (mut read, mut known, mut truth) = (vec![None; self.paths.items.len()], vec![0; words], vec![0; words]);
            let (read, known, truth) = (&mut read[..], &mut known[..], &mut truth[..]);
            decide(&mut Evaluation { compiled: self, context, read, known, truth, record })
        }
    }
}

/// One resolution: what has been read from the context and which qualifiers are decided already.
pub(crate) struct Evaluation<'a, 'm, R> {
    compiled: &'a Compiled,
    context: &'a Value,
    read: &'m mut [Option<&'a Value>],
    known: &'m mut [u64],
    truth: &'m mut [u64],
    record: &'a mut R,
}

impl<'a, R: Record> Evaluation<'a, '_, R> {
    /// Whether a qualifier is true. Its references are no cycle and no long chain: compiling has seen to that.
    pub(crate) fn qualifier(&mut self, number: u32) -> Result<bool, ResolveError> {
        let (word, bit) = (number as usize / 64, 1_u64 << (number % 64));
        if self.known[word] & bit != 0 {
            return Ok(self.truth[word] & bit != 0);
        }
        let value = self.decide(number)?;
        self.known[word] |= bit;
        if value {
            self.truth[word] |= bit;
        }
        Ok(value)
    }

    fn decide(&mut self, number: u32) -> Result<bool, ResolveError> {
        let qualifier = &self.compiled.qualifiers[number as usize];
        for path in &qualifier.paths {
            self.attribute(*path, &qualifier.id)?;
        }
        let mut steps = R::Steps::default();
        let mut value = true;
        for (index, predicate) in qualifier.predicates.iter().enumerate() {
            let on_truth;
            let actual = match predicate.subject {
                Subject::Path(path) => self.attribute(path, &qualifier.id)?,
                Subject::Qualifier(number) => {
                    on_truth = Value::Bool(self.qualifier(number)?);
                    &on_truth
                }
            };
            let result = self.test(predicate, actual, &qualifier.id)?;
            R::step(&mut steps, || PredicateTrace::of(index, predicate, self.compiled, actual, result));
            if !result {
                value = false;
                break;
            }
        }
        self.record.decided(&qualifier.id, value, steps);
        Ok(value)
    }

    fn attribute(&mut self, number: u32, qualifier: &Arc<str>) -> Result<&'a Value, ResolveError> {
        let slot = &mut self.read[number as usize];
        if let Some(value) = slot {
            return Ok(value);
        }
        let path = &self.compiled.paths.items[number as usize];
        match path.read(self.context) {
            Some(value) => Ok(slot.insert(value)),
            None => Err(ResolveError::MissingAttribute {
                attribute: Arc::clone(&path.text),
                qualifier: Arc::clone(qualifier),
            }),
        }
    }

    fn test(&self, predicate: &Predicate, actual: &Value, qualifier: &Arc<str>) -> Result<bool, ResolveError> {
        match &predicate.test {
            Test::Equal { expected, negated } => Ok(number::equal(actual, expected) != *negated),
            Test::OneOf { expected, negated } => {
                let found = expected.as_array().is_some_and(|all| all.iter().any(|one| number::equal(actual, one)));
                Ok(found != *negated)
            }
            Test::Ordered { op, expected } => {
                let order = number::order(actual, expected);
                order.map(|order| op.holds(order)).ok_or_else(|| ResolveError::NotANumber {
                    attribute: predicate.attribute(self.compiled),
                    qualifier: Arc::clone(qualifier),
                    op: op.name(),
                })
            }
            Test::Bucket { salted, start, end, .. } => Ok((*start..*end).contains(&salted.bucket(actual))),
        }
    }
}

impl Path {
    fn read<'c>(&self, context: &'c Value) -> Option<&'c Value> {
        self.segments.iter().try_fold(context, |value, segment| value.as_object()?.get(&**segment))
    }
}

impl Predicate {
    /// The attribute as the workspace spells it.
    pub(crate) fn attribute(&self, compiled: &Compiled) -> Arc<str> {
        match self.subject {
            Subject::Path(path) => Arc::clone(&compiled.paths.items[path as usize].text),
            Subject::Qualifier(number) => format!("qualifier.{}", compiled.qualifiers[number as usize].id).into(),
        }
    }
}

impl Op {
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
