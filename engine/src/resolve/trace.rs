//! Every step of one resolution, in the JSON form that existing automation reads.
//!
//! ```
//! use rototo_engine::{Context, ResolveOptions, Tree, compile, parse};
//!
//! # let files = [
//! #     ("rototo-workspace.toml", "schema_version = 1"),
//! #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10, large = 100 }\n[resolve]\ndefault = \"small\"\nrule = [{ qualifier = \"pro\", value = \"large\" }]"),
//! #     ("qualifiers/pro.toml", "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
//! # ];
//! # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
//! let compiled = compile(&parse(tree))?;
//! let context = Context::from_json(serde_json::json!({ "plan": "basic" }))?;
//! let trace = compiled.trace_variable("limit", &context, ResolveOptions::default())?;
//! assert_eq!(trace.resolution.value_key, "small");
//! assert!(!trace.rules[0].matched);
//! assert_eq!(trace.qualifier_traces[0].predicates[0].actual, Some("basic".into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::compile::compiled::Compiled;
use crate::parse::{Op, Parse, Predicate, Qualifier};
use crate::resolve::outcome::Resolution;
use crate::value::attribute::Attribute;
use crate::value::bucket::Salted;

/// The trace of a variable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariableTrace {
    /// The result.
    pub resolution: OwnedResolution,
    /// The key that is chosen if no rule matches.
    pub default_value: String,
    /// The rules that were evaluated, in order.
    pub rules: Vec<RuleTrace>,
    /// The qualifiers that were decided, by id.
    pub qualifier_traces: Vec<QualifierTrace>,
}

/// A [`Resolution`] that owns its values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OwnedResolution {
    /// The variable.
    pub id: String,
    /// The key of the value.
    pub value_key: String,
    /// The value.
    pub value: Value,
}

/// The trace of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleTrace {
    /// Its place among the rules, from 0.
    pub index: usize,
    /// Its qualifier.
    pub qualifier: String,
    /// The key it selects.
    pub value: String,
    /// True if the rule matched.
    pub matched: bool,
}

/// The trace of one qualifier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QualifierTrace {
    /// The qualifier.
    pub id: String,
    /// The decision.
    pub value: bool,
    /// The predicates that were evaluated, in order; the first false one is the last.
    pub predicates: Vec<PredicateTrace>,
}

/// The trace of one predicate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PredicateTrace {
    /// Its place in the qualifier, from 0.
    pub index: usize,
    /// `compare` or `bucket`.
    pub kind: &'static str,
    /// The attribute that it reads.
    pub attribute: String,
    /// The operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<&'static str>,
    /// The operand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// The value of the attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<Value>,
    /// The bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketTrace>,
    /// The qualifier that it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qualifier: Option<String>,
    /// True if the predicate held.
    pub result: bool,
}

/// The bucket of a value, and the range that it was compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketTrace {
    /// The salt.
    pub salt: String,
    /// The first bucket of the range.
    pub start: u16,
    /// The bucket after the last.
    pub end: u16,
    /// The bucket of the value.
    pub value: u16,
}

/// Records an evaluation. [`Untraced`] records nothing, at no cost.
pub(crate) trait Tracer {
    type Steps: Default;
    fn step(steps: &mut Self::Steps, step: impl FnOnce(&mut WrittenQualifier) -> PredicateTrace);
    fn decided(&mut self, id: &Arc<str>, value: bool, steps: Self::Steps);
}

pub(crate) struct Untraced;

impl Tracer for Untraced {
    type Steps = ();
    fn step((): &mut (), _: impl FnOnce(&mut WrittenQualifier) -> PredicateTrace) {}
    fn decided(&mut self, _: &Arc<str>, _: bool, (): ()) {}
}

/// The steps of one qualifier.
#[derive(Default)]
pub(crate) struct QualifierSteps {
    written: WrittenQualifier,
    predicates: Vec<PredicateTrace>,
}

/// The document of the qualifier that is traced. It is read for the first step.
#[derive(Default)]
pub(crate) struct WrittenQualifier(Option<Parse<Qualifier>>);

impl WrittenQualifier {
    /// Returns a predicate of the qualifier of that number.
    pub(crate) fn predicate(&mut self, compiled: &Compiled, qualifier: u32, index: usize) -> Option<&Predicate> {
        if self.0.is_none() {
            self.0 = compiled.written(qualifier);
        }
        self.0.as_ref()?.content()?.predicates().get(index)
    }
}

#[derive(Default)]
pub(crate) struct Traces(BTreeMap<Arc<str>, QualifierTrace>);

impl Tracer for &mut Traces {
    type Steps = QualifierSteps;

    fn step(steps: &mut Self::Steps, step: impl FnOnce(&mut WrittenQualifier) -> PredicateTrace) {
        steps.predicates.push(step(&mut steps.written));
    }

    fn decided(&mut self, id: &Arc<str>, value: bool, QualifierSteps { predicates, .. }: Self::Steps) {
        self.0.insert(Arc::clone(id), QualifierTrace { id: id.to_string(), value, predicates });
    }
}

impl Traces {
    pub(crate) fn take(mut self, id: &str) -> Option<QualifierTrace> {
        self.0.remove(id)
    }
}

impl VariableTrace {
    pub(crate) fn new(resolution: Resolution<'_>, default: &str, rules: Vec<RuleTrace>, traces: Traces) -> Self {
        Self {
            resolution: OwnedResolution {
                id: resolution.id.to_owned(),
                value_key: resolution.value_key.to_owned(),
                value: resolution.value.clone(),
            },
            default_value: default.to_owned(),
            rules,
            qualifier_traces: traces.0.into_values().collect(),
        }
    }
}

impl RuleTrace {
    pub(crate) fn new(index: usize, qualifier: &str, value: &str, matched: bool) -> Self {
        Self { index, qualifier: qualifier.to_owned(), value: value.to_owned(), matched }
    }
}

impl PredicateTrace {
    /// Describes the result of a predicate. The constraint appears as it was written.
    pub(crate) fn of(written: Option<&Predicate>, index: usize, actual: Attribute<'_>, result: bool) -> Self {
        let op = written.and_then(|written| written.operator());
        let bucket = op.filter(|op| *op == Op::Bucket).and(written).and_then(|written| {
            let (salt, (start, end)) = (written.salt.value()?, written.range.as_ref()?.value.bounds()?);
            Some(BucketTrace { salt: salt.to_string(), start, end, value: Salted::new(salt).bucket(actual) })
        });
        let referred = written.filter(|_| bucket.is_none()).and_then(|written| written.qualifier_reference());
        let attribute = written.and_then(|written| written.attribute.value());
        Self {
            index,
            kind: if bucket.is_some() { "bucket" } else { "compare" },
            attribute: attribute.map(|attribute| attribute.to_string()).unwrap_or_default(),
            op: op.filter(|_| bucket.is_none()).map(Op::name),
            expected: written.and_then(|written| Some(Value::clone(&written.value.as_ref()?.value))),
            actual: Some(actual.to_json()),
            bucket,
            qualifier: referred.map(str::to_owned),
            result,
        }
    }
}
