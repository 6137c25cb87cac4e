//! `resources/<id>.toml` and the objects beside it: a family of values with one schema.

use std::sync::Arc;

use serde_json::Value;

use crate::parse::toml::TomlTable;
use crate::parse::{Field, KeyPlace, ParseError, UnreadKey};

/// A resource as it was written.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `schema_version`, which must be 1.
    pub schema_version: Field<i64>,
    /// `description`, for people.
    pub description: Field<Arc<str>>,
    /// `schema`: the path of the JSON Schema of its objects, relative to this file.
    pub schema: Field<Arc<str>>,
    pub(crate) unread: Box<[UnreadKey]>,
}

/// One object of a resource.
#[derive(Clone, Debug)]
pub struct Object {
    /// The document as JSON, shared with what is compiled from it.
    pub value: Arc<Value>,
}

impl Resource {
    pub(super) fn of(root: TomlTable<'_, '_>) -> Result<Self, ParseError> {
        Ok(Self {
            schema_version: root.integer("schema_version"),
            description: root.string("description"),
            schema: root.string("schema"),
            unread: root.unread(KeyPlace::Resource).collect(),
        })
    }
}

impl Object {
    pub(super) fn of(root: TomlTable<'_, '_>) -> Result<Self, ParseError> {
        Ok(Self { value: Arc::new(root.to_json()?) })
    }
}
