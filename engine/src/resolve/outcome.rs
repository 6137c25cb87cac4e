//! The options of a resolution, and its results: a value or an error.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

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
