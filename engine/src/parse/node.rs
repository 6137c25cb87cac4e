//! The content of a TOML document: tables, lists, and scalars, each with its place.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};

use crate::document::text::Span;

/// A value and its place.
#[derive(Debug, PartialEq)]
pub(super) struct Node<'i> {
    pub(super) span: Span,
    pub(super) kind: ValueKind<'i>,
}

/// The kind of a value.
#[derive(Debug, PartialEq)]
pub(super) enum ValueKind<'i> {
    String(Cow<'i, str>),
    /// The digits of an integer, and their base.
    Integer(Cow<'i, str>, u32),
    Float(Cow<'i, str>),
    Boolean(bool),
    Date,
    /// A list or a table at a depth that nothing reads.
    TooDeep,
    Array(Vec<Node<'i>>),
    Table(TableEntries<'i>),
}

/// The entries of a table, in the order of their keys.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TableEntries<'i>(Vec<TableEntry<'i>>);

/// One entry of a table.
#[derive(Debug, PartialEq)]
pub(super) struct TableEntry<'i> {
    pub(super) key: Cow<'i, str>,
    pub(super) key_span: Span,
    pub(super) node: Node<'i>,
}

impl<'i> ValueKind<'i> {
    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_array(&self) -> Option<&[Node<'i>]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    pub(super) fn as_table(&self) -> Option<&TableEntries<'i>> {
        if let Self::Table(entries) = self { Some(entries) } else { None }
    }
}

impl<'i> TableEntries<'i> {
    /// Sorts entries by key; `None` if two have the same key.
    pub(super) fn sorted(mut entries: Vec<TableEntry<'i>>) -> Option<Self> {
        entries.sort_by(|one, two| one.key.cmp(&two.key));
        let twice = entries.windows(2).any(|pair| matches!(pair, [one, two] if one.key == two.key));
        (!twice).then_some(Self(entries))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &TableEntry<'i>> {
        self.0.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node<'i>> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node<'i>> {
        self.0.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// Adds an entry whose key is new.
    pub(super) fn add(&mut self, entry: TableEntry<'i>) {
        let place = self.0.partition_point(|known| known.key < entry.key);
        self.0.insert(place, entry);
    }
}

/// A level deeper than any permitted value and everything around it. Dotted keys in inline tables nest far deeper, and
/// following them needs as much stack.
const MAX_LEVELS: usize = 80;

impl<'i> From<DeTable<'i>> for TableEntries<'i> {
    fn from(table: DeTable<'i>) -> Self {
        Self::of(table, 0)
    }
}

impl<'i> TableEntries<'i> {
    fn of(table: DeTable<'i>, level: usize) -> Self {
        let mut entries = Vec::with_capacity(table.len());
        for (key, value) in table {
            let key_span = key.span().into();
            entries.push(TableEntry { key: key.into_inner(), key_span, node: Node::of(value, level + 1) });
        }
        Self(entries)
    }
}

impl<'i> Node<'i> {
    fn of(value: toml::Spanned<DeValue<'i>>, level: usize) -> Self {
        let span = value.span().into();
        let kind = match value.into_inner() {
            DeValue::String(text) => ValueKind::String(text),
            DeValue::Integer(digits) => ValueKind::Integer(digits.as_str().to_owned().into(), digits.radix()),
            DeValue::Float(digits) => ValueKind::Float(digits.as_str().to_owned().into()),
            DeValue::Boolean(value) => ValueKind::Boolean(value),
            DeValue::Datetime(_) => ValueKind::Date,
            DeValue::Array(_) | DeValue::Table(_) if level > MAX_LEVELS => ValueKind::TooDeep,
            DeValue::Array(items) => {
                let mut nodes = Vec::with_capacity(items.len());
                for item in items {
                    nodes.push(Node::of(item, level + 1));
                }
                ValueKind::Array(nodes)
            }
            DeValue::Table(table) => ValueKind::Table(TableEntries::of(table, level)),
        };
        Self { span, kind }
    }
}
