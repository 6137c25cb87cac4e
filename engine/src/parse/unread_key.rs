//! Keys of a document that the format does not know. They may be notes of an author, or mistakes; lint decides.

use std::sync::Arc;

use crate::document::text::Span;

/// A key that nothing reads.
#[derive(Clone, Debug)]
pub(crate) struct UnreadKey {
    /// The table that has the key.
    pub(crate) place: KeyPlace,
    /// The key.
    pub(crate) name: Arc<str>,
    /// The place of the key.
    pub(crate) span: Span,
}

/// A table of the format.
///
/// ```
/// use rototo_engine::parse::KeyPlace;
///
/// assert_eq!(KeyPlace::Resolve.keys(), ["default", "rule"]);
/// assert!(KeyPlace::Resolve.explanation("default").is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is a kind of table")]
pub enum KeyPlace {
    Manifest,
    Variable,
    Resolve,
    Rule(usize),
    Qualifier,
    Predicate(usize),
    Resource,
}

impl KeyPlace {
    /// Returns the keys that are read there.
    #[must_use]
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Manifest => &["schema_version", "extends"],
            Self::Variable => {
                &["schema_version", "description", "owner", "expires", "type", "schema", "values", "resolve"]
            }
            Self::Resolve => &["default", "rule"],
            Self::Rule(_) => &["qualifier", "value", "owner", "expires"],
            Self::Qualifier => &["schema_version", "description", "predicate"],
            Self::Predicate(_) => &["attribute", "op", "value", "salt", "range"],
            Self::Resource => &["schema_version", "description", "schema"],
        }
    }

    /// Returns its name for readers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "the manifest",
            Self::Variable => "a variable",
            Self::Resolve => "`resolve`",
            Self::Rule(_) => "a rule",
            Self::Qualifier => "a qualifier",
            Self::Predicate(_) => "a predicate",
            Self::Resource => "a resource",
        }
    }
}
