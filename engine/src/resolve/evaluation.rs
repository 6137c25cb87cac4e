//! Decides qualifiers without allocating. Each attribute is read at most once, and a qualifier to which several others
//! refer is decided at most once.

use std::sync::Arc;

use crate::compile::compiled::{Compiled, CompiledPredicate, CompiledQualifier, PredicateSubject};
use crate::parse::Op;
use crate::resolve::facts::AttributeReader;
use crate::resolve::memory::Memory;
use crate::resolve::outcome::ResolveError;
use crate::resolve::trace::{PredicateTrace, Tracer};
use crate::value::attribute::{Attribute, AttributeValue};

/// One resolution: the attributes that were read, and the decided qualifiers to which others refer.
pub(crate) struct Evaluation<'a, F, R> {
    compiled: &'a Compiled,
    qualifiers: &'a [Arc<CompiledQualifier>],
    facts: F,
    decided: Option<Memory<bool>>,
    record: R,
}

/// The reason for which a qualifier is neither true nor false. It holds numbers, because it passes through every step
/// and rarely occurs.
#[derive(Clone, Copy)]
enum Undecided {
    Missing { qualifier: u32, path: u32 },
    NotANumber { qualifier: u32, predicate: u32 },
}

impl<'a, F: AttributeReader<'a>, R: Tracer> Evaluation<'a, F, R> {
    #[inline(always)]
    pub(crate) fn new(compiled: &'a Compiled, facts: F, record: R) -> Self {
        Self { compiled, qualifiers: compiled.compiled_qualifiers(), facts, decided: None, record }
    }

    /// Returns whether a qualifier is true.
    #[inline(always)]
    pub(crate) fn qualifier(&mut self, number: u32) -> Result<bool, ResolveError> {
        self.decide(number).map_err(|fault| fault.in_words(self.compiled))
    }

    fn decide(&mut self, number: u32) -> Result<bool, Undecided> {
        let qualifier = &*self.qualifiers[number as usize];
        let mut steps = R::Steps::default();
        let mut value = true;
        for (index, predicate) in qualifier.predicates.iter().enumerate() {
            let result = self.predicate(number, index, predicate, &mut steps);
            if let Ok(true) = result {
                continue;
            }
            // All attributes must exist, whatever the result is.
            if !matches!(result, Err(Undecided::Missing { qualifier, .. }) if qualifier == number) {
                self.require(number, &qualifier.predicates[index + 1..])?;
            }
            value = result?;
            break;
        }
        self.record.decided(&qualifier.id, value, steps);
        Ok(value)
    }

    #[inline(always)]
    fn predicate(
        &mut self,
        qualifier: u32,
        index: usize,
        predicate: &CompiledPredicate,
        steps: &mut R::Steps,
    ) -> Result<bool, Undecided> {
        match predicate.subject {
            PredicateSubject::Path(path) => {
                let found = self.facts.read(path).ok_or(Undecided::Missing { qualifier, path })?;
                self.test(qualifier, index, predicate, found, steps)
            }
            PredicateSubject::Qualifier(other) => {
                let found = Attribute::Bool(self.reference(other)?);
                self.test(qualifier, index, predicate, found, steps)
            }
        }
    }

    #[inline(always)]
    fn test(
        &self,
        qualifier: u32,
        index: usize,
        predicate: &CompiledPredicate,
        found: impl AttributeValue<'a>,
        steps: &mut R::Steps,
    ) -> Result<bool, Undecided> {
        let Some(held) = predicate.constraint.holds(found) else {
            return Err(Undecided::NotANumber { qualifier, predicate: u32::try_from(index).unwrap_or_default() });
        };
        let result = held != predicate.negated;
        R::step(steps, |written| {
            let written = written.predicate(self.compiled, qualifier, index);
            PredicateTrace::of(written, index, found.attribute(), result)
        });
        Ok(result)
    }

    /// Returns whether a qualifier to which others refer is true. Compiling has ensured that references form no cycle
    /// and no long chain.
    #[inline(never)]
    fn reference(&mut self, number: u32) -> Result<bool, Undecided> {
        if let Some(value) = self.decided.as_ref().and_then(|decided| decided.get(number)) {
            return Ok(value);
        }
        let value = self.decide(number)?;
        self.decided.get_or_insert_with(Memory::new).insert(number, value);
        Ok(value)
    }

    #[inline]
    fn require(&mut self, qualifier: u32, predicates: &[CompiledPredicate]) -> Result<(), Undecided> {
        for predicate in predicates {
            if let PredicateSubject::Path(path) = predicate.subject
                && self.facts.read(path).is_none()
            {
                return Err(Undecided::Missing { qualifier, path });
            }
        }
        Ok(())
    }
}

impl Undecided {
    #[cold]
    fn in_words(self, compiled: &Compiled) -> ResolveError {
        let id = |number| compiled.qualifier(number).map_or_else(|| Arc::from(""), |found| Arc::clone(&found.id));
        match self {
            Self::Missing { qualifier, path } => ResolveError::MissingAttribute {
                attribute: compiled.subject_name(PredicateSubject::Path(path)),
                qualifier: id(qualifier),
            },
            Self::NotANumber { qualifier, predicate } => {
                let predicates = compiled.qualifier(qualifier).map(|found| &*found.predicates);
                let predicate = predicates.and_then(|predicates| predicates.get(predicate as usize));
                ResolveError::NotANumber {
                    attribute: predicate.map(|found| compiled.subject_name(found.subject)).unwrap_or_default(),
                    qualifier: id(qualifier),
                    op: predicate.and_then(|found| found.constraint.order()).map_or("", Op::name),
                }
            }
        }
    }
}
