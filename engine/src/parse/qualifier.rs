//! `qualifiers/<id>.toml`: a named condition on the context, the conjunction of its predicates.

use std::sync::Arc;

use serde_json::Value;

use crate::document::text::Span;
use crate::parse::toml::{Node, TomlTable, integer, to_json};
use crate::parse::{Field, KeyPlace, ParseError, Spanned, UnreadKey};

/// A qualifier as it was written.
#[derive(Clone, Debug)]
pub struct Qualifier {
    /// `schema_version`, which must be 1.
    pub schema_version: Field<i64>,
    /// `description`, for people.
    pub description: Field<Arc<str>>,
    /// `[[predicate]]`.
    pub predicates: Predicates,
    pub(crate) unread: Box<[UnreadKey]>,
}

/// The content of `predicate`.
#[derive(Clone, Debug)]
pub enum Predicates {
    /// Nothing.
    Missing,
    /// A value that is no list.
    Invalid(Span),
    /// Predicates in the order of the file.
    List(Vec<Predicate>),
}

/// One `[[predicate]]`.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// The place of the predicate.
    pub span: Span,
    /// True if the predicate is a table; otherwise its fields are invalid.
    pub is_table: bool,
    /// The attribute that it reads: a path into the context, or `qualifier.<id>`.
    pub attribute: Field<Arc<str>>,
    /// The operator, as it was written.
    pub op: Field<Arc<str>>,
    /// The operand.
    pub value: Option<Spanned<Arc<Value>>>,
    /// The salt of a bucket.
    pub salt: Field<Arc<str>>,
    /// The range of a bucket.
    pub range: Option<Spanned<BucketRange>>,
}

/// The content of the `range` of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketRange {
    /// Two integers.
    Bounds(i64, i64),
    /// A list of other items.
    NotTwoIntegers,
    /// A value that is no list.
    NotAList,
}

/// The operator of a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each variant is an operator of the format")]
pub enum Op {
    Eq,
    Neq,
    In,
    NotIn,
    Gt,
    Gte,
    Lt,
    Lte,
    Bucket,
}

/// The prefix of an attribute that names another qualifier instead of a path into the context.
pub(crate) const QUALIFIER_PREFIX: &str = "qualifier.";

impl Qualifier {
    pub(super) fn of(root: TomlTable<'_, '_>) -> Result<Self, ParseError> {
        Ok(Self {
            schema_version: root.integer("schema_version"),
            description: root.string("description"),
            predicates: Predicates::of(root)?,
            unread: unread(root),
        })
    }

    /// Returns the predicates in order.
    #[must_use]
    pub fn predicates(&self) -> &[Predicate] {
        match &self.predicates {
            Predicates::List(predicates) => predicates,
            Predicates::Missing | Predicates::Invalid(_) => &[],
        }
    }
}

/// Returns the keys that are not read, in the qualifier and its predicates.
fn unread(root: TomlTable<'_, '_>) -> Box<[UnreadKey]> {
    let predicates = root.get("predicate").and_then(|node| node.kind.as_array()).into_iter().flatten().enumerate();
    let predicates = predicates.filter_map(|(index, predicate)| Some((index, TomlTable::of(predicate)?)));
    let in_predicates = predicates.flat_map(|(index, predicate)| predicate.unread(KeyPlace::Predicate(index)));
    root.unread(KeyPlace::Qualifier).chain(in_predicates).collect()
}

impl Predicate {
    /// Returns the operator, if it is present and known.
    #[must_use]
    pub fn operator(&self) -> Option<Op> {
        self.op.value().and_then(|name| Op::named(name))
    }

    /// Returns the id of the qualifier that the attribute names.
    #[must_use]
    pub fn qualifier_reference(&self) -> Option<&str> {
        self.attribute.value().and_then(|attribute| attribute.strip_prefix(QUALIFIER_PREFIX))
    }

    /// Returns the path into the context that the attribute names.
    #[must_use]
    pub fn context_path(&self) -> Option<&Arc<str>> {
        self.attribute.value().filter(|attribute| !attribute.starts_with(QUALIFIER_PREFIX))
    }

    fn of(node: &Node<'_>) -> Result<Self, ParseError> {
        let span = node.span;
        let Some(table) = TomlTable::of(node) else {
            let (attribute, op) = (Field::Invalid(span), Field::Invalid(span));
            let salt = Field::Missing(Some(span));
            return Ok(Self { span, is_table: false, attribute, op, value: None, salt, range: None });
        };
        let value = table
            .get("value")
            .map(|node| Ok::<_, ParseError>(Spanned { value: Arc::new(to_json(node, 1)?), span: node.span }));
        Ok(Self {
            span,
            is_table: true,
            attribute: table.string("attribute"),
            op: table.string("op"),
            value: value.transpose()?,
            salt: table.string("salt"),
            range: table.get("range").map(|node| Spanned { value: BucketRange::of(node), span: node.span }),
        })
    }
}

impl Predicates {
    fn of(root: TomlTable<'_, '_>) -> Result<Self, ParseError> {
        let Some(node) = root.get("predicate") else { return Ok(Self::Missing) };
        let Some(items) = node.kind.as_array() else { return Ok(Self::Invalid(node.span)) };
        Ok(Self::List(items.iter().map(Predicate::of).collect::<Result<_, _>>()?))
    }
}

impl BucketRange {
    fn of(node: &Node<'_>) -> Self {
        let Some(items) = node.kind.as_array() else { return Self::NotAList };
        let bounds: Vec<_> = items.iter().map(|item| integer(&item.kind)).collect();
        match bounds.as_slice() {
            [Some(start), Some(end)] => Self::Bounds(*start, *end),
            _ => Self::NotTwoIntegers,
        }
    }

    /// Returns the bounds, if they are a valid range of buckets: `0 <= start < end <= 10000`.
    #[must_use]
    pub fn bounds(self) -> Option<(u16, u16)> {
        match self {
            Self::Bounds(start, end) if start < end && end <= i64::from(crate::value::bucket::BUCKETS) => {
                Some((u16::try_from(start).ok()?, u16::try_from(end).ok()?))
            }
            _ => None,
        }
    }
}

impl Op {
    /// All operators.
    pub const ALL: [Self; 9] =
        [Self::Eq, Self::Neq, Self::In, Self::NotIn, Self::Gt, Self::Gte, Self::Lt, Self::Lte, Self::Bucket];

    /// Returns the operator of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.name() == name)
    }

    /// Returns the name in a workspace.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Bucket => "bucket",
        }
    }
}
