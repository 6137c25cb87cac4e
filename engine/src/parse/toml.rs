//! Turns TOML text into tables whose values know their places, and those into fields and JSON values.

use std::sync::Arc;

use serde_json::{Map, Number, Value};
use toml::de::DeTable;

use crate::document::text::Span;
use crate::parse::foreign::{foreign_format, foreign_text};
pub(super) use crate::parse::node::{Node, ValueKind};
use crate::parse::node::{TableEntries, TableEntry};
use crate::parse::reader;
use crate::parse::{Field, KeyPlace, ParseError, Spanned, UnreadKey};
use crate::value::date::Date;

/// The greatest depth of nested values: far more than configuration needs, and far less than a stack holds.
const MAX_DEPTH: usize = 64;

/// The most parts of a dotted key.
const MAX_KEY_PARTS: usize = 16;

/// TOML has only signed integers.
const TOO_LARGE: &str = "an integer must be from -9223372036854775808 to 9223372036854775807 (64 bits with a sign): write \
                         a larger one as a string";

/// A table and its place; `None` is the whole document.
#[derive(Clone, Copy)]
pub(super) struct TomlTable<'a, 'i> {
    entries: &'a TableEntries<'i>,
    span: Option<Span>,
}

/// Parses the text of a document and hands its root table to `project`.
pub(super) fn parse<T>(
    bytes: &[u8],
    project: impl FnOnce(TomlTable<'_, '_>) -> Result<T, ParseError>,
) -> Result<T, ParseError> {
    if let Some(message) = foreign_format(bytes) {
        return Err(ParseError { span: None, message: message.to_owned() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        ParseError::at(Span { start, end: start + error.error_len().unwrap_or(1) }, "the file is not UTF-8 text")
    })?;
    #[cfg(fuzzing)]
    assert!(reader::read(text).is_none_or(|root| read_all(text).is_ok_and(|all| all == root)), "not read alike");
    let root = reader::read(text).map_or_else(|| read_all(text), Ok)?;
    project(TomlTable { entries: &root, span: None })
}

/// Parses a document with faults as far as it can be read, and hands its root table to `project`. `None` if the document
/// is no text for the parser.
pub(super) fn recover<T>(bytes: &[u8], project: impl FnOnce(TomlTable<'_, '_>) -> Result<T, ParseError>) -> Option<T> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| refuse_long_keys(text).is_ok())?;
    let (root, _) = DeTable::parse_recoverable(text);
    project(TomlTable { entries: &root.into_inner().into(), span: None }).ok()
}

/// Returns a text as it stands in a document of TOML, in quotes. Every escape of JSON is one of TOML, which also forbids
/// the control character U+007F.
#[must_use]
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// Reads a document that may use the whole language, and describes its faults.
pub(super) fn read_all(text: &str) -> Result<TableEntries<'_>, ParseError> {
    refuse_long_keys(text)?;
    let root = DeTable::parse(text).map_err(|error| {
        let span = error.span().map(Span::from);
        let foreign = span.and_then(|span| foreign_text(text, span.start));
        let message = foreign.unwrap_or_else(|| error.message().trim());
        ParseError { span, message: format!("the file is not TOML: {message}") }
    })?;
    Ok(root.into_inner().into())
}

impl<'a, 'i> TomlTable<'a, 'i> {
    pub(super) fn of(node: &'a Node<'i>) -> Option<Self> {
        node.kind.as_table().map(|entries| Self { entries, span: Some(node.span) })
    }

    /// Returns the place of the table; `None` is the whole document.
    pub(super) fn span(self) -> Option<Span> {
        self.span
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node<'i>> {
        self.entries.get(key)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Span, &'a Node<'i>)> + use<'a, 'i> {
        self.entries.iter().map(|entry| (&*entry.key, entry.key_span, &entry.node))
    }

    /// Returns the keys of this table that are not read at its place.
    pub(super) fn unread(self, place: KeyPlace) -> impl Iterator<Item = UnreadKey> + use<'a, 'i> {
        let unread = self.entries().filter(move |(key, _, _)| !place.keys().contains(key));
        unread.map(move |(key, span, _)| UnreadKey { place, name: Arc::from(key), span })
    }

    pub(super) fn string(&self, key: &str) -> Field<Arc<str>> {
        self.field(key, |kind| kind.as_str().map(Arc::from))
    }

    /// Returns a text. It shares the allocation of an equal `known` one.
    pub(super) fn string_like<'k>(&self, key: &str, known: impl Fn(&str) -> Option<&'k Arc<str>>) -> Field<Arc<str>> {
        self.field(key, |kind| kind.as_str().map(|text| known(text).map_or_else(|| Arc::from(text), Arc::clone)))
    }

    pub(super) fn date(&self, key: &str) -> Field<Date> {
        self.field(key, |kind| kind.as_str()?.parse().ok())
    }

    pub(super) fn integer(&self, key: &str) -> Field<i64> {
        self.field(key, integer)
    }

    /// Returns all entries as one JSON object.
    pub(super) fn to_json(self) -> Result<Value, ParseError> {
        object(self.entries, 1)
    }

    fn field<T>(&self, key: &str, read: impl FnOnce(&ValueKind<'i>) -> Option<T>) -> Field<T> {
        let Some(node) = self.get(key) else { return Field::Missing(self.span) };
        let span = node.span;
        match read(&node.kind) {
            Some(value) => Field::Present(Spanned { value, span }),
            None => Field::Invalid(span),
        }
    }
}

pub(super) fn integer(value: &ValueKind<'_>) -> Option<i64> {
    match value {
        ValueKind::Integer(digits, radix) => i64::from_str_radix(digits, *radix).ok(),
        _ => None,
    }
}

/// Converts a TOML value to JSON. A value that JSON cannot express (a date, infinity, not-a-number) is an error at its
/// place.
pub(super) fn to_json(node: &Node<'_>, depth: usize) -> Result<Value, ParseError> {
    let fault = |message: &str| ParseError::at(node.span, message);
    if depth > MAX_DEPTH || matches!(node.kind, ValueKind::TooDeep) {
        return Err(fault("values are nested too deeply: at most 64 levels"));
    }
    Ok(match &node.kind {
        ValueKind::String(text) => Value::String(text.to_string()),
        ValueKind::Boolean(value) => Value::Bool(*value),
        ValueKind::Integer(..) => integer(&node.kind).map(Value::from).ok_or_else(|| fault(TOO_LARGE))?,
        ValueKind::Float(digits) => {
            let number = digits.parse().ok().and_then(Number::from_f64);
            number
                .map(Value::Number)
                .ok_or_else(|| fault("a number must be finite: `inf` and `nan` are not allowed"))?
        }
        ValueKind::Date | ValueKind::TooDeep => return Err(fault("dates are no values: write this one as a string")),
        ValueKind::Array(items) => items.iter().map(|item| to_json(item, depth + 1)).collect::<Result<_, _>>()?,
        ValueKind::Table(entries) => object(entries, depth + 1)?,
    })
}

fn object(entries: &TableEntries<'_>, depth: usize) -> Result<Value, ParseError> {
    let pair = |entry: &TableEntry<'_>| Ok((entry.key.to_string(), to_json(&entry.node, depth)?));
    Ok(Value::Object(entries.iter().map(pair).collect::<Result<Map<_, _>, ParseError>>()?))
}

/// Refuses excessively long keys before parsing. A dotted key nests one table per part, and inline tables hold dotted
/// keys; the parser builds and drops such tables recursively.
pub(super) fn refuse_long_keys(text: &str) -> Result<(), ParseError> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if line.bytes().filter(|byte| *byte == b'.').count() >= MAX_KEY_PARTS && longest_key(line) > MAX_KEY_PARTS {
            let span = Span { start, end: start + line.trim_end().len() };
            return Err(ParseError::at(span, "a key has too many dotted parts: at most 16"));
        }
        start += line.len();
    }
    Ok(())
}

/// Returns the largest number of parts of a possible dotted key in `line`. In a multi-line text, words count as keys;
/// only a word with as many dots and nothing else between them would be refused by mistake.
fn longest_key(line: &str) -> usize {
    #[derive(Clone, Copy, PartialEq)]
    enum KeyPosition {
        Start,
        Part,
        AfterPart,
        AfterDot,
    }
    let (mut longest, mut parts, mut quote, mut at) = (0, 0, None, KeyPosition::Start);
    for byte in line.bytes() {
        let begins_part = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'"' | b'\'');
        match (quote, byte) {
            (Some(open), _) if open == byte => (quote, at) = (None, KeyPosition::AfterPart),
            (Some(_), _) => {}
            (None, b' ' | b'\t') if at == KeyPosition::Part => at = KeyPosition::AfterPart,
            (None, b' ' | b'\t') => {}
            (None, b'.') if at != KeyPosition::Start => at = KeyPosition::AfterDot,
            (None, _) if begins_part => {
                match at {
                    KeyPosition::Part => {}
                    KeyPosition::AfterDot => parts += 1,
                    KeyPosition::Start | KeyPosition::AfterPart => parts = 1,
                }
                at = KeyPosition::Part;
                quote = matches!(byte, b'"' | b'\'').then_some(byte);
            }
            (None, _) => at = KeyPosition::Start,
        }
        longest = longest.max(parts);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_with_absurdly_many_parts_are_refused() {
        let refused = |text: &str| refuse_long_keys(text).is_err();
        let key = |parts: usize, dot: &str| vec!["a"; parts].join(dot);
        assert!(!refused(&format!("{} = 1", key(16, "."))));
        for dot in [".", " . ", ".\"b.c\".", ".'b'."] {
            assert!(refused(&format!("x = 1\ny = {{ {} = 1 }}", key(17, dot))), "{dot}");
        }
        for text in
            ["x = [1.0, 2.0, 3.0, 4.0]", "x = \"a.b.c.d.e\"", "x = \"10.0.0.1 10.0.0.2 10.0.0.3\"", "# and so on. "]
        {
            assert!(!refused(&text.repeat(20)), "{text}");
        }
    }
}
