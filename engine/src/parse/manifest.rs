//! `rototo-workspace.toml`: the version of the format, and the layers that the workspace extends.

use std::sync::Arc;

use crate::document::text::Span;
use crate::parse::toml::TomlTable;
use crate::parse::{Field, KeyPlace, ParseError, Spanned, UnreadKey};

/// The manifest as it was written.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `schema_version`, which must be 1.
    pub schema_version: Field<i64>,
    /// `extends`, the sources of the extended layers.
    pub extends: Extends,
    pub(crate) unread: Box<[UnreadKey]>,
}

/// The content of `extends`.
#[derive(Clone, Debug)]
pub enum Extends {
    /// Nothing: the workspace extends no layer.
    Missing,
    /// A value that is no list.
    Invalid(Span),
    /// One field for each entry of the list.
    Sources(Vec<Field<Arc<str>>>),
}

impl Manifest {
    pub(super) fn of(root: TomlTable<'_, '_>) -> Result<Self, ParseError> {
        Ok(Self {
            schema_version: root.integer("schema_version"),
            extends: Extends::of(root),
            unread: root.unread(KeyPlace::Manifest).collect(),
        })
    }
}

impl Extends {
    fn of(root: TomlTable<'_, '_>) -> Self {
        let Some(node) = root.get("extends") else { return Self::Missing };
        let Some(items) = node.kind.as_array() else { return Self::Invalid(node.span) };
        let source = |item: &crate::parse::toml::Node<'_>| match item.kind.as_str() {
            Some(text) => Field::Present(Spanned { value: text.into(), span: item.span }),
            None => Field::Invalid(item.span),
        };
        Self::Sources(items.iter().map(source).collect())
    }
}
