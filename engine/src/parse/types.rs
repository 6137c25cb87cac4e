//! The types of variables, and the values that they admit.

use serde_json::Value;

/// The prefix of a type that names a resource.
pub(crate) const RESOURCE_PREFIX: &str = "resource:";

/// The meaning of a variable's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type<'a> {
    /// A primitive.
    Primitive(Primitive),
    /// `resource:<id>`: an object of that resource.
    Resource(&'a str),
    /// A word that names no type.
    Unknown(&'a str),
}

/// The types whose values stand in the variable itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is a type of the format")]
pub enum Primitive {
    Bool,
    Int,
    Number,
    String,
    List,
    Object,
}

impl<'a> Type<'a> {
    /// Returns the type of that name.
    #[must_use]
    pub fn named(name: &'a str) -> Self {
        match name.strip_prefix(RESOURCE_PREFIX) {
            Some(resource) => Self::Resource(resource),
            None => Primitive::named(name).map_or(Self::Unknown(name), Self::Primitive),
        }
    }
}

impl Primitive {
    /// All primitives.
    pub const ALL: [Self; 6] = [Self::Bool, Self::Int, Self::Number, Self::String, Self::List, Self::Object];

    /// Returns the primitive of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|primitive| primitive.name() == name)
    }

    /// Returns the name in a workspace.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Number => "number",
            Self::String => "string",
            Self::List => "list",
            Self::Object => "object",
        }
    }

    /// Returns whether `value` has this type.
    #[must_use]
    pub fn admits(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean(),
            Self::Int => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::String => value.is_string(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}
