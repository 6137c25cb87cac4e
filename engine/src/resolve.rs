//! A compiled workspace and a context to a value. Pure, without waiting, and on the usual path without allocating.

use std::cmp::Ordering;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::compile::{Choice, Compiled, Path, Predicate, Subject, Test};
use crate::context::Context;
use crate::number;
use crate::parse::Op;
use crate::trace::{PredicateTrace, QualifierTrace, Record, RuleTrace, Traces, Untraced, VariableTrace};
use crate::violation::Violation;

/// The value that was chosen, borrowed from the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Resolution<'a> {
    /// The variable.
    pub id: &'a str,
    /// The key of the value.
    pub value_key: &'a str,
    /// The value.
    pub value: &'a Value,
}

/// How to resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolveOptions {
    /// Whether the context must match the workspace's context schema, if it has one. It must, by default.
    pub validate_context: bool,
}

impl Default for ResolveOptions {
    fn default() -> Self {
        Self { validate_context: true }
    }
}

/// Why there is no answer. Trying again with the same workspace and context gives the same error. None of them holds a
/// value of the workspace or the context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No such variable.
    #[error("the workspace has no variable `{0}`")]
    UnknownVariable(String),
    /// No such qualifier.
    #[error("the workspace has no qualifier `{0}`")]
    UnknownQualifier(String),
    /// The context lacks something that a qualifier reads.
    #[error("the context has no `{attribute}`, which qualifier `{qualifier}` reads")]
    MissingAttribute {
        /// The path that leads nowhere.
        attribute: Arc<str>,
        /// The qualifier that reads it.
        qualifier: Arc<str>,
    },
    /// A qualifier orders something that is no number.
    #[error("`{attribute}` is not a number, but qualifier `{qualifier}` compares it with `{op}`")]
    NotANumber {
        /// What should be a number.
        attribute: Arc<str>,
        /// The qualifier that compares it.
        qualifier: Arc<str>,
        /// The operator it compares with.
        op: &'static str,
    },
    /// The context is not as the workspace's context schema says.
    #[error("the context does not match the context schema: {}", .0.join("; "))]
    ContextMismatch(Vec<String>),
}

/// As many paths and qualifiers fit on the stack; larger workspaces take one allocation for each resolution.
const STACK_PATHS: usize = 64;
const STACK_WORDS: usize = 16;

impl Compiled {
    /// Resolves a variable.
    ///
    /// # Errors
    /// When there is no such variable, or the context lacks what deciding it takes.
    pub fn resolve_variable(&self, id: &str, context: &Context) -> Result<Resolution<'_>, ResolveError> {
        self.resolve_variable_with(id, context, ResolveOptions::default())
    }

    /// Resolves a variable as `options` say.
    ///
    /// # Errors
    /// As [`Compiled::resolve_variable`].
    pub fn resolve_variable_with(
        &self,
        id: &str,
        context: &Context,
        options: ResolveOptions,
    ) -> Result<Resolution<'_>, ResolveError> {
        let variable = self.variables.get(id).ok_or_else(|| ResolveError::UnknownVariable(id.to_owned()))?;
        self.check_context(context, options)?;
        self.evaluate(context, &mut Untraced, |evaluation| {
            for rule in &variable.rules {
                if evaluation.qualifier(rule.qualifier)? {
                    return Ok(rule.choice.resolution(&variable.id));
                }
            }
            Ok(variable.default.resolution(&variable.id))
        })
    }

    /// Decides a qualifier.
    ///
    /// # Errors
    /// When there is no such qualifier, or the context lacks what deciding it takes.
    pub fn resolve_qualifier(&self, id: &str, context: &Context) -> Result<bool, ResolveError> {
        self.resolve_qualifier_with(id, context, ResolveOptions::default())
    }

    /// Decides a qualifier as `options` say.
    ///
    /// # Errors
    /// As [`Compiled::resolve_qualifier`].
    pub fn resolve_qualifier_with(
        &self,
        id: &str,
        context: &Context,
        options: ResolveOptions,
    ) -> Result<bool, ResolveError> {
        let number = self.qualifiers.number(id).ok_or_else(|| ResolveError::UnknownQualifier(id.to_owned()))?;
        self.check_context(context, options)?;
        self.evaluate(context, &mut Untraced, |evaluation| evaluation.qualifier(number))
    }

    /// Resolves a variable and tells every step.
    ///
    /// # Errors
    /// As [`Compiled::resolve_variable`].
    pub fn trace_variable(
        &self,
        id: &str,
        context: &Context,
        options: ResolveOptions,
    ) -> Result<VariableTrace, ResolveError> {
        let variable = self.variables.get(id).ok_or_else(|| ResolveError::UnknownVariable(id.to_owned()))?;
        self.check_context(context, options)?;
        let (mut traces, mut rules) = (Traces::default(), Vec::new());
        let resolution = self.evaluate(context, &mut traces, |evaluation| {
            for (index, rule) in variable.rules.iter().enumerate() {
                let matched = evaluation.qualifier(rule.qualifier)?;
                let qualifier = self.qualifiers.at(rule.qualifier).map_or("", |qualifier| &qualifier.id);
                rules.push(RuleTrace::new(index, qualifier, &rule.choice.key, matched));
                if matched {
                    return Ok(rule.choice.resolution(&variable.id));
                }
            }
            Ok(variable.default.resolution(&variable.id))
        })?;
        Ok(VariableTrace::new(resolution, &variable.default.key, rules, traces))
    }

    /// Decides a qualifier and tells every step.
    ///
    /// # Errors
    /// As [`Compiled::resolve_qualifier`].
    pub fn trace_qualifier(
        &self,
        id: &str,
        context: &Context,
        options: ResolveOptions,
    ) -> Result<QualifierTrace, ResolveError> {
        let unknown = || ResolveError::UnknownQualifier(id.to_owned());
        let number = self.qualifiers.number(id).ok_or_else(unknown)?;
        self.check_context(context, options)?;
        let mut traces = Traces::default();
        self.evaluate(context, &mut traces, |evaluation| evaluation.qualifier(number))?;
        traces.take(id).ok_or_else(unknown)
    }

    /// Whether the context matches the workspace's context schema; it does if there is none.
    ///
    /// # Errors
    /// When it does not; every violation is named, without the value that violates.
    pub fn validate_context(&self, context: &Context) -> Result<(), ResolveError> {
        let Some(schema) = &self.context_schema else { return Ok(()) };
        if context.has_matched(schema.identity) {
            return Ok(());
        }
        let Some(Ok(validator)) = schema.document.content().map(|schema| schema.validator()) else { return Ok(()) };
        let violations: Vec<String> =
            validator.iter_errors(context.value()).map(|error| Violation::of(&error).masked()).collect();
        if violations.is_empty() {
            context.remember_match(schema.identity);
            return Ok(());
        }
        Err(ResolveError::ContextMismatch(violations))
    }

    fn check_context(&self, context: &Context, options: ResolveOptions) -> Result<(), ResolveError> {
        if options.validate_context { self.validate_context(context) } else { Ok(()) }
    }

    /// Runs `decide` with fresh memory for what has been read and decided.
    fn evaluate<'a, R: Record, T>(
        &'a self,
        context: &'a Context,
        record: &'a mut R,
        decide: impl FnOnce(&mut Evaluation<'a, '_, R>) -> Result<T, ResolveError>,
    ) -> Result<T, ResolveError> {
        let words = self.qualifiers.items.len().div_ceil(64);
        let context = context.value();
        if self.paths.len() <= STACK_PATHS && words <= STACK_WORDS {
            let (mut read, mut known, mut truth) = ([None; STACK_PATHS], [0; STACK_WORDS], [0; STACK_WORDS]);
            let (read, known, truth) = (&mut read[..], &mut known[..], &mut truth[..]);
            decide(&mut Evaluation { compiled: self, context, read, known, truth, record })
        } else {
            let (mut read, mut known, mut truth) = (vec![None; self.paths.len()], vec![0; words], vec![0; words]);
            let (read, known, truth) = (&mut read[..], &mut known[..], &mut truth[..]);
            decide(&mut Evaluation { compiled: self, context, read, known, truth, record })
        }
    }
}

impl Choice {
    fn resolution<'a>(&'a self, id: &'a str) -> Resolution<'a> {
        Resolution { id, value_key: &self.key, value: &self.value }
    }
}

/// One resolution: what has been read from the context and which qualifiers are decided already.
struct Evaluation<'a, 'm, R> {
    compiled: &'a Compiled,
    context: &'a Value,
    read: &'m mut [Option<&'a Value>],
    known: &'m mut [u64],
    truth: &'m mut [u64],
    record: &'a mut R,
}

impl<'a, R: Record> Evaluation<'a, '_, R> {
    /// Whether a qualifier is true. Its references are no cycle and no long chain: compiling has seen to that.
    fn qualifier(&mut self, number: u32) -> Result<bool, ResolveError> {
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
        let qualifier = &self.compiled.qualifiers.items[number as usize];
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
        let path = &self.compiled.paths[number as usize];
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
            Subject::Path(path) => Arc::clone(&compiled.paths[path as usize].text),
            Subject::Qualifier(number) => format!("qualifier.{}", compiled.qualifiers.items[number as usize].id).into(),
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
