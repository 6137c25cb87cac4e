//! The reasons of a decision: the attributes that could change it alone, and its steps in words. Pure.

mod words;

use std::collections::BTreeSet;

use rototo_engine::{Compiled, Context, Parsed, VariableTrace};
use serde::Serialize;
use serde_json::Value;

pub(crate) use crate::explain::words::explanation;
use crate::fixtures::{FixtureTarget, candidates, insert, qualifiers};

/// The most values of one attribute that are tried.
const MAX_VALUES: usize = 1_000;

/// Another value of one attribute, and what the variable would then be.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Alternative {
    pub(crate) attribute: String,
    pub(crate) value: Value,
    pub(crate) value_key: String,
}

/// Returns, for each attribute, one value for each other result that it alone can bring about. The values are those that
/// the qualifiers of the variable distinguish, so an attribute without an alternative changes nothing by itself, except
/// in a bucket that no tried value falls into.
pub(crate) fn alternatives(
    parsed: &Parsed,
    compiled: &Compiled,
    context: &Context,
    trace: &VariableTrace,
) -> Vec<Alternative> {
    let id = trace.resolution.id.as_str();
    let mut found = Vec::new();
    for (attribute, values) in candidates(parsed, &qualifiers(parsed, FixtureTarget::Variable(id))) {
        let mut seen = BTreeSet::from([trace.resolution.value_key.clone()]);
        for value in values.into_iter().take(MAX_VALUES) {
            let Some(value_key) = result_with(compiled, id, context, &attribute, &value) else { continue };
            if seen.insert(value_key.clone()) {
                found.push(Alternative { attribute: attribute.clone(), value, value_key });
            }
        }
    }
    found
}

/// Returns the value key with another value of one attribute; `None` where that makes no valid context.
fn result_with(compiled: &Compiled, id: &str, context: &Context, attribute: &str, value: &Value) -> Option<String> {
    let mut changed = context.value().as_object()?.clone();
    insert(&mut changed, attribute, value.clone())?;
    let context = Context::from_json(Value::Object(changed)).ok()?;
    Some(compiled.resolve_variable(id, &context).ok()?.value_key.to_owned())
}
