//! The decisions that flip: contexts that get another value from the new workspace than from the old one.

use std::collections::BTreeSet;

use rototo_engine::{Compiled, Context, ResolveError};
use serde::Serialize;
use serde_json::Value;

/// The decisions for the given contexts.
#[derive(Debug, Serialize)]
pub(crate) struct Decisions {
    /// The number of decided pairs of a context and a variable.
    pub(crate) compared: usize,
    pub(crate) flipped: Vec<Flip>,
}

/// A decision with a different result.
#[derive(Debug, Serialize)]
pub(crate) struct Flip {
    /// The name of the context: a file and a case, or `--context`.
    pub(crate) context: String,
    pub(crate) variable: String,
    pub(crate) old: Decision,
    pub(crate) new: Decision,
}

/// The result of a decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Decision {
    Value {
        value_key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<Value>,
    },
    /// The reason why there is no result; it holds no value.
    Error { message: String },
    /// The workspace has no such variable.
    Nothing,
}

/// Decides every variable of either workspace for every context.
pub(crate) fn decisions(old: &Compiled, new: &Compiled, contexts: &[(String, Context)]) -> Decisions {
    let variables: BTreeSet<&str> = old.variables().chain(new.variables()).collect();
    let mut found = Decisions { compared: 0, flipped: Vec::new() };
    for (name, context) in contexts {
        for variable in &variables {
            found.compared += 1;
            let (before, after) = (Decision::of(old, variable, context), Decision::of(new, variable, context));
            if before != after {
                let (context, variable) = (name.clone(), (*variable).to_owned());
                found.flipped.push(Flip { context, variable, old: before, new: after });
            }
        }
    }
    found
}

impl Decision {
    fn of(workspace: &Compiled, variable: &str, context: &Context) -> Self {
        match workspace.resolve_variable(variable, context) {
            Ok(found) => Self::Value { value_key: found.value_key.to_owned(), value: Some(found.value.clone()) },
            Err(ResolveError::UnknownVariable(_)) => Self::Nothing,
            Err(error) => Self::Error { message: error.to_string() },
        }
    }

    fn redact(&mut self) {
        if let Self::Value { value, .. } = self {
            *value = None;
        }
    }
}

impl Decisions {
    /// Returns the same without values.
    pub(super) fn redact(&mut self) {
        for flip in &mut self.flipped {
            flip.old.redact();
            flip.new.redact();
        }
    }
}
