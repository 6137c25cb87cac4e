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

/// Returns the fault for which the text of a manifest does not say what its workspace extends, if it has one: it can't be
/// parsed, its `extends` is no list of sources, or it is of another version of the format. Lint reports it for a
/// workspace itself, and not for its layers, whose manifests are no part of it. Nobody has to declare the version there.
#[must_use]
pub fn manifest_fault(manifest: impl Into<Arc<[u8]>>) -> Option<String> {
    let parsed = manifest_of(manifest)?;
    let Some(manifest) = parsed.content() else { return parsed.fault().map(|fault| fault.message.clone()) };
    let extends = manifest.extends.faults().map(|(_, fault)| fault).next();
    let is_other = !matches!(manifest.schema_version, Field::Missing(_)) && !manifest.has_version();
    let fault = extends.or(is_other.then_some(Manifest::VERSION));
    fault.map(str::to_owned)
}

fn manifest_of(manifest: impl Into<Arc<[u8]>>) -> Option<Parse<Manifest>> {
    let mut alone = Tree::default();
    alone.insert("rototo-workspace.toml", manifest);
    parse(alone).manifest
}

impl Manifest {
    /// The fault of a manifest without the version that this engine reads.
    pub(crate) const VERSION: &str = "the manifest must declare `schema_version = 1`";

    pub(crate) fn has_version(&self) -> bool {
        self.schema_version.value() == Some(&1)
    }

    pub(super) fn of(root: TomlTable<'_, '_>) -> Result<Self, ParseError> {
        Ok(Self {
            schema_version: root.integer("schema_version"),
            extends: Extends::of(root),
            unread: root.unread(KeyPlace::Manifest).collect(),
        })
    }
}

impl Extends {
    /// Returns the parts that are no list of strings, and the faults.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (Option<Span>, &'static str)> {
        let (list, sources) = match self {
            Self::Missing => (None, &[][..]),
            Self::Invalid(span) => (Some((Some(*span), "`extends` must be a list of sources")), &[][..]),
            Self::Sources(sources) => (None, &sources[..]),
        };
        let entries = sources.iter().filter(|source| source.value().is_none());
        list.into_iter().chain(entries.map(|source| (source.span(), "a source in `extends` must be a string")))
    }

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
