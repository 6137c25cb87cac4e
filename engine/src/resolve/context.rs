//! The context of a resolution. Whoever resolves often with one context shares it, or [prepares](crate::Compiled::prepare) it:
//!
//! ```
//! use rototo_engine::Context;
//!
//! let context = Context::from_json(serde_json::json!({ "account": { "id": "acct-001" } }))?;
//! assert_eq!(context.value()["account"]["id"], "acct-001");
//! # Ok::<(), rototo_engine::ContextError>(())
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// A JSON object of attributes, read by path: `account.id` is the `id` in the `account`.
///
/// ```
/// use rototo_engine::Context;
///
/// assert!(Context::from_json(serde_json::json!({ "account": { "id": "acct-001" } })).is_ok());
/// assert!(Context::from_json(serde_json::json!(["acct-001"])).is_err());
/// ```
#[derive(Debug)]
pub struct Context {
    value: Value,
    /// The identity of the last schema that this context matched; 0 is none. A context never changes, so many
    /// resolutions with one context cost one validation.
    matched: AtomicU64,
}

/// The error of a context that is no JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the context must be a JSON object, such as {{\"account\": {{\"id\": \"acct-001\"}}}}")]
pub struct ContextError;

impl Context {
    /// Makes a context of the attributes in `value`.
    ///
    /// # Errors
    /// When `value` is no JSON object.
    pub fn from_json(value: Value) -> Result<Self, ContextError> {
        match value {
            Value::Object(_) => Ok(Self { value, matched: AtomicU64::new(0) }),
            _ => Err(ContextError),
        }
    }

    /// Returns the attributes.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    pub(crate) fn has_matched(&self, schema: u64) -> bool {
        self.matched.load(Ordering::Relaxed) == schema
    }

    pub(crate) fn remember_match(&self, schema: u64) {
        self.matched.store(schema, Ordering::Relaxed);
    }
}

impl Clone for Context {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), matched: AtomicU64::new(self.matched.load(Ordering::Relaxed)) }
    }
}

impl PartialEq for Context {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Default for Context {
    fn default() -> Self {
        Self { value: Value::Object(serde_json::Map::new()), matched: AtomicU64::new(0) }
    }
}
