//! `variables/<id>.toml`: a typed choice between named values, and the rules of the choice.

use std::sync::Arc;

use serde_json::Value;

use crate::document::text::Span;
use crate::parse::toml::{Node, TomlTable, to_json};
use crate::parse::{Field, KeyPlace, Ownership, ParseError, Type, UnreadKey};

/// A variable as it was written.
#[derive(Clone, Debug)]
pub struct Variable {
    /// `schema_version`, which must be 1.
    pub schema_version: Field<i64>,
    /// `description`, for people.
    pub description: Field<Arc<str>>,
    /// `owner` and `expires`.
    pub ownership: Ownership,
    /// `type`, as it was written.
    pub type_name: Field<Arc<str>>,
    /// `schema`, which describes the values of an `object` variable.
    pub schema: Field<Arc<str>>,
    /// `[values]`.
    pub values: Values,
    /// `[resolve]`.
    pub resolve: Resolve,
    pub(crate) unread: Box<[UnreadKey]>,
}

/// The content of `[values]`.
#[derive(Clone, Debug)]
pub enum Values {
    /// Nothing.
    Missing,
    /// A value that is no table.
    Invalid(Span),
    /// Values by key; the span is that of the table.
    Table(Span, NamedValues),
}

/// The entries of `[values]`, in the order of their keys. A list suffices, because most variables have few values.
#[derive(Clone, Debug)]
pub struct NamedValues(Box<[(Arc<str>, NamedValue)]>);

/// One entry of `[values]`.
#[derive(Clone, Debug)]
pub struct NamedValue {
    /// The value as JSON, shared with what is compiled from it.
    pub value: Arc<Value>,
    /// The place of its key.
    pub key_span: Span,
    /// The place of the value.
    pub span: Span,
}

/// The content of `[resolve]`.
#[derive(Clone, Debug)]
pub enum Resolve {
    /// Nothing.
    Missing,
    /// A value that is no table.
    Invalid(Span),
    /// A default and rules.
    Table {
        /// The key of the value that is chosen if no rule matches.
        default: Field<Arc<str>>,
        /// The rules.
        rules: Rules,
    },
}

/// The content of `resolve.rule`.
#[derive(Clone, Debug)]
pub enum Rules {
    /// A value that is no list of tables.
    Invalid(Span),
    /// Rules in the order of the file.
    List(Vec<Rule>),
}

/// One `[[resolve.rule]]`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The place of the rule.
    pub span: Span,
    /// True if the rule is a table; otherwise its fields are invalid.
    pub is_table: bool,
    /// The qualifier that must be true.
    pub qualifier: Field<Arc<str>>,
    /// The key of the value that the rule chooses.
    pub value: Field<Arc<str>>,
    /// `owner` and `expires`.
    pub ownership: Ownership,
}

impl Variable {
    pub(super) fn of(root: TomlTable<'_, '_>) -> Result<Self, ParseError> {
        let values = Values::of(root)?;
        Ok(Self {
            schema_version: root.integer("schema_version"),
            description: root.string("description"),
            ownership: Ownership::of(&root),
            type_name: root.string("type"),
            schema: root.string("schema"),
            resolve: Resolve::of(root, &values),
            values,
            unread: unread(root),
        })
    }

    /// Returns the type, if `type` is a string.
    #[must_use]
    pub fn value_type(&self) -> Option<Type<'_>> {
        self.type_name.value().map(|name| Type::named(name))
    }

    /// Returns the entries of `[values]`.
    pub fn inline_values(&self) -> impl Iterator<Item = (&Arc<str>, &NamedValue)> {
        let table = match &self.values {
            Values::Table(_, table) => Some(table),
            Values::Missing | Values::Invalid(_) => None,
        };
        table.into_iter().flat_map(NamedValues::iter)
    }

    /// Returns the rules in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        match &self.resolve {
            Resolve::Table { rules: Rules::List(rules), .. } => rules,
            _ => &[],
        }
    }

    /// Returns the default, if there is a `[resolve]` table.
    #[must_use]
    pub fn default(&self) -> Option<&Field<Arc<str>>> {
        match &self.resolve {
            Resolve::Table { default, .. } => Some(default),
            Resolve::Missing | Resolve::Invalid(_) => None,
        }
    }
}

/// Returns the keys that are not read, in the variable, its `resolve`, and its rules.
fn unread(root: TomlTable<'_, '_>) -> Box<[UnreadKey]> {
    let resolve = root.get("resolve").and_then(TomlTable::of);
    let rules = resolve.and_then(|table| table.get("rule")?.kind.as_array()).into_iter().flatten().enumerate();
    let in_rules = rules.filter_map(|(index, rule)| Some((index, TomlTable::of(rule)?)));
    let in_rules = in_rules.flat_map(|(index, rule)| rule.unread(KeyPlace::Rule(index)));
    let in_resolve = resolve.into_iter().flat_map(|table| table.unread(KeyPlace::Resolve));
    root.unread(KeyPlace::Variable).chain(in_resolve).chain(in_rules).collect()
}

impl Values {
    fn of(root: TomlTable<'_, '_>) -> Result<Self, ParseError> {
        let Some(node) = root.get("values") else { return Ok(Self::Missing) };
        let Some(table) = TomlTable::of(node) else { return Ok(Self::Invalid(node.span)) };
        let named = |(key, key_span, node): (&str, Span, &Node<'_>)| {
            let value = Arc::new(to_json(node, 1)?);
            Ok((Arc::from(key), NamedValue { value, key_span, span: node.span }))
        };
        Ok(Self::Table(node.span, NamedValues(table.entries().map(named).collect::<Result<_, ParseError>>()?)))
    }

    /// Returns whether the variable names no values of its own: an empty table names none.
    pub fn are_none(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Table(_, values) => values.is_empty(),
            Self::Invalid(_) => false,
        }
    }

    /// Returns the stored key that equals `text`, for sharing.
    fn key(&self, text: &str) -> Option<&Arc<str>> {
        match self {
            Self::Table(_, values) => values.get_key_value(text).map(|(key, _)| key),
            Self::Missing | Self::Invalid(_) => None,
        }
    }
}

impl NamedValues {
    /// Returns the entry of that key.
    #[must_use]
    pub fn get_key_value(&self, key: &str) -> Option<(&Arc<str>, &NamedValue)> {
        let place = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.0.get(place).map(|(key, value)| (key, value))
    }

    /// Returns whether there is an entry of that key.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get_key_value(key).is_some()
    }

    /// Returns whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all entries.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &NamedValue)> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl Resolve {
    fn of(root: TomlTable<'_, '_>, values: &Values) -> Self {
        let Some(node) = root.get("resolve") else { return Self::Missing };
        let Some(table) = TomlTable::of(node) else { return Self::Invalid(node.span) };
        let default = table.string_like("default", |text| values.key(text));
        Self::Table { default, rules: Rules::of(table, values) }
    }
}

impl Rules {
    fn of(resolve: TomlTable<'_, '_>, values: &Values) -> Self {
        let Some(node) = resolve.get("rule") else { return Self::List(Vec::new()) };
        match node.kind.as_array() {
            Some(items) => Self::List(items.iter().map(|item| Rule::of(item, values)).collect()),
            None => Self::Invalid(node.span),
        }
    }
}

impl Rule {
    fn of(node: &Node<'_>, values: &Values) -> Self {
        let span = node.span;
        let value = |table: &TomlTable<'_, '_>| table.string_like("value", |text| values.key(text));
        let Some(table) = TomlTable::of(node) else {
            let (qualifier, value) = (Field::Invalid(span), Field::Invalid(span));
            return Self { span, is_table: false, qualifier, value, ownership: Ownership::none() };
        };
        let (qualifier, value) = (table.string("qualifier"), value(&table));
        Self { span, is_table: true, qualifier, value, ownership: Ownership::of(&table) }
    }
}
