//! The answer to a request: parts with names, and the time at which they were true.
//!
//! The list has a part for each workspace, and a workspace is a document of one part. A part is JSON that is made once,
//! so that a stream can compare it, and several streams can send it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::view::{Detail, Row};

/// A document.
#[derive(Clone, Debug)]
pub struct Document {
    /// The time at which it was true, by the clock of the server.
    pub now: Timestamp,
    /// The parts, by name.
    pub parts: Vec<Part>,
    /// The reason why it may be older than it seems.
    pub trouble: Option<String>,
}

/// A part of a document.
#[derive(Clone, Debug)]
pub struct Part {
    pub(super) name: Arc<str>,
    json: Arc<RawValue>,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.json.get() == other.json.get()
    }
}

impl Eq for Part {}

/// The text is no document.
#[derive(Debug)]
pub struct Unreadable;

#[derive(Deserialize)]
struct Parsed {
    now: Timestamp,
    parts: Vec<Value>,
    trouble: Option<String>,
}

#[derive(Serialize)]
struct Frame<'a> {
    now: Timestamp,
    trouble: Option<&'a str>,
    /// There are no other parts.
    all: bool,
    /// The names of parts that are gone.
    gone: &'a [&'a str],
    parts: Vec<&'a RawValue>,
}

impl Part {
    /// Returns `namespace/name` of its workspace, after its cluster if there are several.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the line of a workspace.
    #[must_use]
    pub fn row(row: &Row) -> Self {
        Self::of(&serde_json::to_value(row).unwrap_or_default())
    }

    /// Returns everything about a workspace.
    #[must_use]
    pub fn detail(detail: &Detail) -> Self {
        Self::of(&serde_json::to_value(detail).unwrap_or_default())
    }

    fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let cluster = value["cluster"].as_str().map(|cluster| format!("{cluster}/")).unwrap_or_default();
        let name = format!("{cluster}{}/{}", text("namespace"), text("name"));
        // Writing to memory cannot fail.
        let json = to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self { name: name.into(), json: json.into() }
    }
}

impl Document {
    /// Reads what [`Document::json`] of another process has returned.
    pub fn parse(text: &[u8]) -> Result<Self, Unreadable> {
        let Parsed { now, parts, trouble } = serde_json::from_slice(text).map_err(|_| Unreadable)?;
        Ok(Self { now, parts: parts.iter().map(Part::of).collect(), trouble })
    }

    /// Returns all of it as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        self.frame(true, &self.parts.iter().collect::<Vec<_>>(), &[])
    }

    /// Returns these parts as JSON, and the names of those that are gone. `all` says that there are no others.
    pub(super) fn frame(&self, all: bool, parts: &[&Part], gone: &[&str]) -> String {
        let parts = parts.iter().map(|part| &*part.json).collect();
        let frame = Frame { now: self.now, trouble: self.trouble.as_deref(), all, gone, parts };
        serde_json::to_string(&frame).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_was_passed_on_is_the_same() {
        let row = |name: &str| Part::of(&serde_json::json!({ "namespace": "prod", "name": name, "answer": "<b>}" }));
        let document = Document {
            now: "2026-11-20T18:40:00Z".parse().unwrap(),
            parts: vec![row("a"), row("b")],
            trouble: Some("}".to_owned()),
        };
        let again = Document::parse(document.json().as_bytes()).unwrap();
        assert_eq!((again.parts, again.now, again.trouble), (document.parts, document.now, document.trouble));
        assert!(Document::parse(b"{}").is_err());
    }
}
