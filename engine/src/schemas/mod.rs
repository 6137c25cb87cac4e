//! JSON Schemas of the TOML files of a workspace, for editors. They are made of the tables that the parser reads by, so
//! that a new key, type, or operator can't be missing.
//!
//! A schema knows one file. Names that must exist elsewhere, and values that must fit a schema, are what lint checks.
//!
//! ```
//! use rototo_engine::schemas::SchemaKind;
//!
//! let schema = SchemaKind::Variable.schema();
//! assert_eq!(schema["properties"]["type"]["anyOf"][0]["enum"][0], "bool");
//! ```

mod files;

use serde_json::Value;

use crate::document::tree::{DocumentKind, is_test};

/// The kind of a TOML file with a schema. The schema of a resource's objects is the one that the resource names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is a kind of file")]
pub enum SchemaKind {
    Manifest,
    Variable,
    Qualifier,
    Resource,
    Test,
}

impl SchemaKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Manifest, Self::Variable, Self::Qualifier, Self::Resource, Self::Test];

    /// Returns the kind of the file at `path` in a workspace.
    ///
    /// ```
    /// use rototo_engine::schemas::SchemaKind;
    ///
    /// assert_eq!(SchemaKind::at("variables/limit.toml"), Some(SchemaKind::Variable));
    /// assert_eq!(SchemaKind::at("resources/plan-objects/basic.toml"), None);
    /// ```
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        match DocumentKind::at(path) {
            Some(DocumentKind::Manifest) => Some(Self::Manifest),
            Some(DocumentKind::Variable) => Some(Self::Variable),
            Some(DocumentKind::Qualifier) => Some(Self::Qualifier),
            Some(DocumentKind::Resource) => Some(Self::Resource),
            Some(DocumentKind::ResourceObject | DocumentKind::Schema | DocumentKind::CustomLint) => None,
            None => is_test(path).then_some(Self::Test),
        }
    }

    /// Returns the kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name, as in `variable.schema.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Variable => "variable",
            Self::Qualifier => "qualifier",
            Self::Resource => "resource",
            Self::Test => "test",
        }
    }

    /// Returns the paths of such files in a workspace, as a pattern of editors.
    #[must_use]
    pub fn files(self) -> &'static str {
        match self {
            Self::Manifest => "rototo-workspace.toml",
            Self::Variable => "variables/*.toml",
            Self::Qualifier => "qualifiers/*.toml",
            Self::Resource => "resources/*.toml",
            Self::Test => "tests/*.toml",
        }
    }

    /// Returns the schema, in draft 7 of JSON Schema, which every editor reads.
    #[must_use]
    pub fn schema(self) -> Value {
        match self {
            Self::Manifest => files::manifest(),
            Self::Variable => files::variable(),
            Self::Qualifier => files::qualifier(),
            Self::Resource => files::resource(),
            Self::Test => files::test(),
        }
    }
}
