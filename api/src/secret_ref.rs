//! The reference to a Secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Secret of the same namespace, by name.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
pub struct SecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
