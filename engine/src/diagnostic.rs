//! Diagnostics: the findings of lint. A [`Diagnostic`] names the rule, the place, the fault, and a way out.
//!
//! ```
//! use rototo_engine::{Entity, Severity, Tree, lint, parse};
//!
//! # let files = [
//! #     ("rototo-workspace.toml", "schema_version = 1"),
//! #     ("variables/limit.toml", "schema_version = 1\ntype = \"int\"\nvalues = { small = \"ten\" }\nresolve = { default = \"small\" }"),
//! # ];
//! # let tree: Tree = files.iter().map(|(path, text)| (path.to_string(), text.as_bytes().to_vec())).collect();
//! let lint = lint(&parse(tree));
//! let found = &lint.diagnostics[0];
//! assert_eq!((&*found.rule, found.severity), ("rototo/variable-value-type-mismatch", Severity::Error));
//! assert_eq!(found.entity, Entity::Value { variable: "limit".to_owned(), key: "small".to_owned() });
//! assert_eq!(found.location.to_string(), "variables/limit.toml:3:20");
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::text::{Range, readable, shortened_to};

/// The severity of a diagnostic. It decides whether the workspace may be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The workspace may not be published.
    Error,
    /// The workspace may be published, but somebody should read the diagnostic.
    Warning,
}

/// The stage of lint that found a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The documents of the workspace exist.
    Discover,
    /// The text of each document is TOML or JSON.
    Parse,
    /// Each document has the shape of its kind.
    Project,
    /// Custom rules are declared correctly.
    Register,
    /// Everything that documents name exists.
    Reference,
    /// Values fit their types and schemas.
    Value,
    /// Rules and qualifiers make sense together.
    Graph,
    /// The workspace meets the requirements of its own team.
    Policy,
}

/// A rule of findings that lint itself does not have: those of tests, of a day, and of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindingRule {
    /// Its id, such as `rototo/test-failed`.
    pub id: &'static str,
    /// The severity of its findings.
    pub severity: Severity,
    /// The stage of its findings.
    pub stage: Stage,
    /// The fault, in a few words.
    pub title: &'static str,
    /// A way out.
    pub help: &'static str,
}

impl FindingRule {
    /// Returns a finding of this rule.
    #[must_use]
    pub fn finding(&self, entity: Entity, message: String, location: Location) -> Diagnostic {
        Diagnostic {
            rule: Cow::Borrowed(self.id),
            severity: self.severity,
            stage: self.stage,
            entity,
            message,
            help: Some(self.help.to_owned()),
            location,
            related: Vec::new(),
            key: None,
            title: Cow::Borrowed(self.title),
            fix: None,
        }
    }
}

/// The thing in the workspace that a diagnostic is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant is a part of a workspace, and its fields are the names of that part")]
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
        /// The key of a value may have a megabyte, and a thousand findings may be about it. Ids are names of files.
        const MAX_KEY: usize = 255;
        Self::Value { variable: variable.to_owned(), key: shortened_to(key, MAX_KEY).into_owned() }
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
    /// The range in the document; `None` for the whole document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

impl Location {
    /// Returns the line to show a reader, counted from 1; a whole document is shown from its first line.
    #[must_use]
    pub fn line(&self) -> usize {
        self.range.as_ref().map_or(1, |range| range.start.line)
    }
}

/// One line without effects on a terminal, whatever the name of the document.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&readable(if self.path.is_empty() { "." } else { &self.path }))?;
        match &self.range {
            Some(range) => write!(f, ":{}", range.start),
            None => Ok(()),
        }
    }
}

/// A second place that explains the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Related {
    /// The place.
    pub location: Location,
    /// The explanation of the place.
    pub message: String,
}

/// A change of a document that removes a fault, if it is meant: a slip of the keyboard, or a line that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fix {
    /// The range in the document of the diagnostic.
    pub range: Range,
    /// The text that belongs there.
    pub replacement: String,
}

/// One fault, located.
///
/// As JSON it has the shape that editors and existing automation know: there, lines and characters are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The rule, `rototo/…` for those that are built in.
    pub rule: Cow<'static, str>,
    /// The severity; an error keeps the workspace from being published.
    pub severity: Severity,
    /// The stage that found it.
    pub stage: Stage,
    /// The thing in the workspace that it is about.
    pub entity: Entity,
    /// The fault, in one sentence, which may quote the workspace.
    pub message: String,
    /// A way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The place of the fault.
    pub location: Location,
    /// Further places that explain the fault.
    pub related: Vec<Related>,
    /// The name of the key that it is about, if the name helps and reveals no value.
    #[serde(skip)]
    pub key: Option<String>,
    /// The title of the rule.
    #[serde(skip)]
    pub title: Cow<'static, str>,
    /// A change that removes the fault, if there is one that an editor may offer.
    #[serde(skip)]
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// Returns the sort key of diagnostics.
    pub(crate) fn place(&self) -> impl Ord + '_ {
        (&self.location, self.stage, self.severity, &self.rule)
    }

    /// Describes the fault without any text from the workspace except its paths, its key names, and the titles of its
    /// custom rules, which are declared before a rule sees any value. The message is fit for a status, an event, or a
    /// log that others read.
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
            Some(key) => format!("{title} (at `{}`)", one_line(key)),
            None => title,
        }
    }
}

/// Returns a title from a script, or a key from a document, as one line of limited length.
fn one_line(text: &str) -> String {
    /// Titles and keys that people write are shorter, and ten of both fit into a status.
    const LONGEST: usize = 200;
    shortened_to(&readable(&shortened_to(text, LONGEST)), LONGEST).into_owned()
}

/// One line, whatever the workspace holds: a log shows it as it is.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{}: {} [{}]", self.location, self.message, self.rule);
        f.write_str(&readable(&line))
    }
}

#[cfg(test)]
mod tests {
    use crate::document::text::is_disruptive;
    use crate::{Tree, lint, parse};

    /// A log, an Event, and a status show these texts as they are.
    #[test]
    fn texts_for_others_are_one_short_line_whatever_the_workspace_holds() {
        let name = "v\u{1b}[2J\u{202e}\u{9b}\nREADY";
        let key = format!("k\u{1b}]0;t\u{7}\nREADY{}", "x".repeat(1 << 20));
        let quoted = key.replace('\u{1b}', "\\u001b").replace('\u{7}', "\\u0007").replace('\n', "\\n");
        let text = format!(
            "schema_version = 1\ntype = \"int\"\n[values]\n\"{quoted}\" = \"{quoted}\"\n[resolve]\ndefault = \"{quoted}\"\n\
             \"rules{quoted}\" = true\n[[resolve.rule]]\n\"on{quoted}\" = true\n"
        );
        let mut tree = Tree::default();
        tree.insert("rototo-workspace.toml", *b"schema_version = 1");
        tree.insert(format!("variables/{name}.toml"), text.into_bytes());
        let found = lint(&parse(tree)).diagnostics;
        assert!(found.len() >= 4, "{}", found.len());
        for found in found {
            for text in [found.to_string(), found.masked_message(), found.location.to_string()] {
                assert!(text.len() < 4_000 && !text.chars().any(is_disruptive), "{} bytes: {text}", text.len());
            }
        }
    }
}
