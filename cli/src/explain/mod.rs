//! The reasons of a decision: the attributes that could change it alone, and its steps in words. Pure.

mod words;

use std::collections::BTreeSet;

use rototo_engine::{Compiled, Context, Parsed, ResolveError, VariableTrace};
use serde::Serialize;
use serde_json::Value;

pub(crate) use crate::explain::words::explanation;
use crate::fixtures::{FixtureTarget, at, candidates, insert, qualifiers};

/// The most values of one attribute that are tried.
const MAX_VALUES: usize = 1_000;

/// Another value of one attribute, and what the variable would then be.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Alternative {
    pub(crate) attribute: String,
    pub(crate) value: Value,
    pub(crate) value_key: String,
}

/// The results that one attribute alone can bring about, and the values that were tried for them.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Alternatives {
    /// For each attribute, one value for each other result.
    #[serde(rename = "alternatives")]
    pub(crate) found: Vec<Alternative>,
    /// The number of other values that were tried, of all attributes.
    pub(crate) tried: usize,
    /// True if no attribute can have another value than those that were tried, so that nothing else changes the result.
    pub(crate) exhaustive: bool,
}

/// Tries other values of each attribute alone: those that the qualifiers of the variable distinguish, and those that
/// the context schema names.
pub(crate) fn alternatives(
    parsed: &Parsed,
    compiled: &Compiled,
    context: &Context,
    trace: &VariableTrace,
) -> Alternatives {
    let id = trace.resolution.id.as_str();
    let mut all = Alternatives { found: Vec::new(), tried: 0, exhaustive: true };
    let qualifiers = qualifiers(parsed, FixtureTarget::Variable(id));
    for (attribute, candidates) in candidates(parsed, &qualifiers, Some(context)) {
        all.exhaustive &= candidates.is_exhaustive && candidates.values.len() <= MAX_VALUES;
        let present = at(context, &attribute);
        let mut seen = BTreeSet::from([trace.resolution.value_key.clone()]);
        for value in candidates.values.into_iter().take(MAX_VALUES).filter(|value| present != Some(value)) {
            match result_with(compiled, id, context, &attribute, &value) {
                Some(Ok(value_key)) => {
                    all.tried += 1;
                    if seen.insert(value_key.clone()) {
                        all.found.push(Alternative { attribute: attribute.clone(), value, value_key });
                    }
                }
                // No application may send such a context.
                None | Some(Err(ResolveError::ContextMismatch(_))) => {}
                Some(Err(_)) => all.exhaustive = false,
            }
        }
    }
    all
}

/// Returns the value key with another value of one attribute; `None` where something else than an object is in the way.
fn result_with(
    compiled: &Compiled,
    id: &str,
    context: &Context,
    attribute: &str,
    value: &Value,
) -> Option<Result<String, ResolveError>> {
    let mut changed = context.value().as_object()?.clone();
    insert(&mut changed, attribute, value.clone())?;
    let context = Context::from_json(Value::Object(changed)).ok()?;
    Some(compiled.resolve_variable(id, &context).map(|resolved| resolved.value_key.to_owned()))
}
