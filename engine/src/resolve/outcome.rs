//! The options of a resolution, and its results: a value or an error.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// The chosen value, borrowed from the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Resolution<'a> {
    /// The variable.
    pub id: &'a str,
    /// The key of the value.
    pub value_key: &'a str,
    /// The value.
    pub value: &'a Value,
    #[serde(skip)]
    shared: &'a Arc<Value>,
}

impl<'a> Resolution<'a> {
    #[inline]
    pub(crate) fn new(id: &'a str, value_key: &'a str, value: &'a Arc<Value>) -> Self {
        Self { id, value_key, value, shared: value }
    }

    /// Returns the value, for a caller that outlives the workspace. It is shared and not copied.
    ///
    /// ```
    /// # use rototo_engine::{Context, Tree, compile, parse};
    /// # let files = [
    /// #     ("rototo-workspace.toml", "schema_version = 1"),
    /// #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10 }\nresolve = { default = \"small\" }"),
    /// # ];
    /// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
    /// let compiled = compile(&parse(tree))?;
    /// let limit = compiled.resolve_variable("limit", &Context::default())?.shared_value();
    /// drop(compiled);
    /// assert_eq!(*limit, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn shared_value(&self) -> Arc<Value> {
        Arc::clone(self.shared)
    }
}

/// The options of a resolution.
///
/// ```
/// use rototo_engine::{Context, ResolveOptions, Tree, compile, parse};
///
/// # let files = [
/// #     ("rototo-workspace.toml", "schema_version = 1"),
/// #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = 10, large = 100 }\n[resolve]\ndefault = \"small\"\nrule = [{ qualifier = \"pro\", value = \"large\" }]"),
/// #     ("qualifiers/pro.toml", "schema_version = 1\npredicate = [{ attribute = \"plan\", op = \"eq\", value = \"pro\" }]"),
/// #     ("schemas/context.schema.json", "{ \"type\": \"object\", \"required\": [\"account\"] }"),
/// # ];
/// # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
/// let compiled = compile(&parse(tree))?;
/// let context = Context::from_json(serde_json::json!({ "plan": "pro" }))?;
/// assert!(compiled.resolve_variable("limit", &context).is_err());
/// let unchecked = ResolveOptions { validate_context: false };
/// assert_eq!(compiled.resolve_variable_with("limit", &context, unchecked)?.value, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolveOptions {
    /// Requires the context to match the workspace's context schema, if there is one. True by default.
    pub validate_context: bool,
}

impl Default for ResolveOptions {
    fn default() -> Self {
        Self { validate_context: true }
    }
}

/// The reason for which there is no result. The same workspace and context give the same error again. No variant holds
/// a value of the workspace or the context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No such variable.
    #[error("the workspace has no variable `{0}`")]
    UnknownVariable(String),
    /// No such qualifier.
    #[error("the workspace has no qualifier `{0}`")]
    UnknownQualifier(String),
    /// The context lacks an attribute that a qualifier reads.
    #[error("the context has no `{attribute}`, which qualifier `{qualifier}` reads")]
    MissingAttribute {
        /// The path without a value.
        attribute: Arc<str>,
        /// The qualifier that reads it.
        qualifier: Arc<str>,
    },
    /// A qualifier orders an attribute that is no number.
    #[error("`{attribute}` is not a number, but qualifier `{qualifier}` compares it with `{op}`")]
    NotANumber {
        /// The attribute that should be a number.
        attribute: Arc<str>,
        /// The qualifier that compares it.
        qualifier: Arc<str>,
        /// The operator of the comparison.
        op: &'static str,
    },
    /// The context does not match the workspace's context schema.
    #[error("the context does not match the context schema: {}", .0.join("; "))]
    ContextMismatch(Vec<String>),
}
