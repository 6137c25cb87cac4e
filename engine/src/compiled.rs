//! The tables that resolution walks: names are numbers, values are shared, and nothing is left to check.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde_json::Value;

use crate::bucket::Salted;
use crate::fingerprint::Fingerprint;
use crate::parse::{Op, Parse, Schema};

/// A workspace ready to resolve.
#[derive(Debug)]
pub struct Compiled {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) variables: Names<Variable>,
    pub(crate) qualifiers: Names<Qualifier>,
    pub(crate) paths: Vec<Path>,
    pub(crate) context_schema: Option<ContextSchema>,
}

/// Things by name and by number, in the order of their names.
#[derive(Debug)]
pub(crate) struct Names<T> {
    pub(crate) numbers: Numbers,
    pub(crate) items: Vec<T>,
}

/// Numbers by name. Always the same hash: the names are those of a reviewed workspace, not of an attacker.
pub(crate) type Numbers = HashMap<Arc<str>, u32, FixedState>;

#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) id: Arc<str>,
    pub(crate) rules: Box<[Rule]>,
    pub(crate) default: Choice,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) qualifier: u32,
    pub(crate) choice: Choice,
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) key: Arc<str>,
    pub(crate) value: Arc<Value>,
}

#[derive(Debug)]
pub(crate) struct Qualifier {
    pub(crate) id: Arc<str>,
    /// What must be in the context before any predicate is looked at.
    pub(crate) paths: Box<[u32]>,
    pub(crate) predicates: Box<[Predicate]>,
}

#[derive(Debug)]
pub(crate) struct Predicate {
    pub(crate) subject: Subject,
    pub(crate) test: Test,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject {
    Path(u32),
    Qualifier(u32),
}

#[derive(Debug)]
pub(crate) enum Test {
    Equal { expected: Arc<Value>, negated: bool },
    OneOf { expected: Arc<Value>, negated: bool },
    Ordered { op: Op, expected: Value },
    Bucket { salt: Arc<str>, salted: Salted, start: u16, end: u16 },
}

/// A path into the context.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) text: Arc<str>,
    pub(crate) segments: Box<[Box<str>]>,
}

/// The schema of the context. A part of its digest, never 0, is its identity.
#[derive(Debug)]
pub(crate) struct ContextSchema {
    pub(crate) document: Parse<Schema>,
    pub(crate) identity: u64,
}

impl<T> Names<T> {
    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.number(id).and_then(|number| self.at(number))
    }

    pub(crate) fn number(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    pub(crate) fn at(&self, number: u32) -> Option<&T> {
        usize::try_from(number).ok().and_then(|number| self.items.get(number))
    }
}

impl Compiled {
    /// The name of the content it was compiled from.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The ids of all variables, in order.
    pub fn variables(&self) -> impl ExactSizeIterator<Item = &str> {
        self.variables.items.iter().map(|variable| &*variable.id)
    }

    /// The ids of all qualifiers, in order.
    pub fn qualifiers(&self) -> impl ExactSizeIterator<Item = &str> {
        self.qualifiers.items.iter().map(|qualifier| &*qualifier.id)
    }
}
