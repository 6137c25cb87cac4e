//! `rototo-workspace.toml`: the version of the format, and the layers that the workspace extends.

use std::sync::Arc;

use crate::document::text::Span;
use crate::document::tree::Tree;
use crate::parse::toml::TomlTable;
use crate::parse::{Field, KeyPlace, Parse, ParseError, Spanned, UnreadKey, parse};

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

/// Returns the entries of `extends` in the text of a manifest. One that can't be read has none; lint reports the fault.
#[must_use]
pub fn extended_by(manifest: impl Into<Arc<[u8]>>) -> Vec<Field<Arc<str>>> {
    match manifest_of(manifest).as_ref().and_then(Parse::content).map(|manifest| &manifest.extends) {
        Some(Extends::Sources(sources)) => sources.clone(),
        _ => Vec::new(),
    }
}

/// Returns the fault for which the text of a manifest does not say what its workspace extends, if it has one. Lint
/// reports it for a workspace itself, and not for its layers, whose manifests are no part of it.
#[must_use]
pub fn manifest_fault(manifest: impl Into<Arc<[u8]>>) -> Option<String> {
    let parsed = manifest_of(manifest)?;
    let Some(manifest) = parsed.content() else { return parsed.fault().map(|fault| fault.message.clone()) };
    let has_version = matches!(&manifest.schema_version, Field::Present(version) if version.value == 1);
    match &manifest.extends {
        Extends::Invalid(_) => Some("`extends` is no list".to_owned()),
        Extends::Sources(sources) if sources.iter().any(|source| source.present().is_none()) => {
            Some("an entry of `extends` is no text".to_owned())
        }
        _ if !has_version => Some("`schema_version` is not 1".to_owned()),
        _ => None,
    }
}

fn manifest_of(manifest: impl Into<Arc<[u8]>>) -> Option<Parse<Manifest>> {
    let mut alone = Tree::default();
    alone.insert("rototo-workspace.toml", manifest);
    parse(alone).manifest
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
