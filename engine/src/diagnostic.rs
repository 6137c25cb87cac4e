//! What lint has to say: a [`Diagnostic`] names the rule, the place, what is wrong there, and a way out.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::text::Range;

/// Whether a workspace with this diagnostic may be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It may not.
    Error,
    /// It may; somebody should still look at it.
    Warning,
}

/// The step of linting that found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Which documents there are.
    Discover,
    /// Whether their text is TOML or JSON.
    Parse,
    /// Whether each document has the shape of its kind.
    Project,
    /// Whether custom rules are declared as they should be.
    Register,
    /// Whether what documents name exists.
    Reference,
    /// Whether values fit their types and schemas.
    Value,
    /// Whether the rules and qualifiers make sense together.
    Graph,
    /// What a team demands of its own workspaces.
    Policy,
}

/// The thing in the workspace that a diagnostic is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Entity {
    Workspace,
    Manifest,
    Qualifier { id: String },
    Predicate { qualifier: String, index: usize },
    Variable { id: String },
    Resource { id: String },
    ResourceObject { resource: String, key: String },
    Value { variable: String, key: String },
    Rule { variable: String, index: usize },
    CustomLint { path: String },
    Schema { path: String },
}

impl Entity {
    pub(crate) fn qualifier(id: &str) -> Self {
        Self::Qualifier { id: id.to_owned() }
    }

    pub(crate) fn predicate(qualifier: &str, index: usize) -> Self {
        Self::Predicate { qualifier: qualifier.to_owned(), index }
    }

    pub(crate) fn variable(id: &str) -> Self {
        Self::Variable { id: id.to_owned() }
    }

    pub(crate) fn value(variable: &str, key: &str) -> Self {
        Self::Value { variable: variable.to_owned(), key: key.to_owned() }
    }

    pub(crate) fn rule(variable: &str, index: usize) -> Self {
        Self::Rule { variable: variable.to_owned(), index }
    }

    pub(crate) fn resource(id: &str) -> Self {
        Self::Resource { id: id.to_owned() }
    }

    pub(crate) fn object(resource: &str, key: &str) -> Self {
        Self::ResourceObject { resource: resource.to_owned(), key: key.to_owned() }
    }

    pub(crate) fn schema(path: &str) -> Self {
        Self::Schema { path: path.to_owned() }
    }
}

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Location {
    /// The document, relative to the workspace; empty for the workspace as a whole.
    pub path: String,
    /// Where in the document; `None` for the whole of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

impl Location {
    /// The line to show a reader, counted from 1; a whole document is shown from its first line.
    #[must_use]
    pub fn line(&self) -> usize {
        self.range.as_ref().map_or(1, |range| range.start.line)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path.is_empty() { "." } else { &self.path })?;
        match &self.range {
            Some(range) => write!(f, ":{}", range.start),
            None => Ok(()),
        }
    }
}

/// A second place that explains the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Related {
    /// Where.
    pub location: Location,
    /// What is to be seen there.
    pub message: String,
}

/// One fault, located.
///
/// As JSON it has the shape that editors and existing automation know: there, lines and characters are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The rule, `rototo/…` for those that are built in.
    pub rule: Cow<'static, str>,
    /// Whether it stands in the way of publishing.
    pub severity: Severity,
    /// The step that found it.
    pub stage: Stage,
    /// What it is about.
    pub entity: Entity,
    /// What is wrong, in one sentence; it may quote the workspace.
    pub message: String,
    /// A way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where.
    pub location: Location,
    /// Places that help to understand it.
    pub related: Vec<Related>,
    /// The name of the key it is about, where naming it helps and reveals no value.
    #[serde(skip)]
    pub key: Option<String>,
    /// What the rule is called.
    #[serde(skip)]
    pub title: Cow<'static, str>,
}

impl Diagnostic {
    /// What diagnostics are ordered by.
    pub(crate) fn place(&self) -> impl Ord + '_ {
        (&self.location, self.stage, self.severity, &self.rule)
    }

    /// What is wrong without a word from the workspace but its paths, its key names, and the titles of its own rules, which
    /// are given before any value is shown to them: fit for a status, an event, or a log that others read.
    ///
    /// ```
    /// use rototo_engine::{Tree, lint, parse};
    ///
    /// let mut tree = Tree::default();
    /// tree.insert("rototo-workspace.toml", *b"schema_version = 2");
    /// let found = &lint(&parse(tree)).diagnostics[0];
    /// assert_eq!(found.masked_message(), "the manifest lacks its version or misuses `extends` (at `schema_version`)");
    /// ```
    #[must_use]
    pub fn masked_message(&self) -> String {
        let title = one_line(&self.title);
        match &self.key {
            Some(key) => format!("{title} (at `{key}`)"),
            None => title,
        }
    }
}

/// A title that somebody wrote, as one line of bearable length.
fn one_line(title: &str) -> String {
    const LONGEST: usize = 200;
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    title.chars().map(plain).take(LONGEST).collect()
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.location, self.message, self.rule)
    }
}
