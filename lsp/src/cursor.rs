//! The place of a cursor in a TOML document that somebody is typing in: the table and the key around it. The parser
//! is that of the engine, at the level of its tokens, which it keeps apart even if the document has faults.

use std::borrow::Cow;

use rototo_engine::text::Span;
use toml_parser::Source;
use toml_parser::decoder::Encoding;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

/// The deepest nesting that is followed.
const MAX_LEVELS: u32 = 80;

/// The place of a cursor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cursor {
    /// The keys of the table around it.
    pub(crate) table: Vec<String>,
    /// The kind of place.
    pub(crate) place: Place,
    /// The token at the cursor, empty between two tokens.
    pub(crate) token: Span,
    /// The keys of the same table, with their values if these are scalars.
    pub(crate) siblings: Vec<(String, Option<String>)>,
}

/// The kind of place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// In the header of a table, after these keys.
    Header,
    /// Where a key is, or may be.
    Key(String),
    /// The value of a key, or an item of its list.
    Value(String),
    /// Anywhere else.
    Other,
}

/// Returns the place of the byte `at` in `text`.
pub(crate) fn cursor(text: &str, at: usize) -> Cursor {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut walk = Walk::new(text, at);
    let mut receiver = |event: Event| walk.event(&event);
    parse_document(&tokens, &mut RecursionGuard::new(&mut receiver, MAX_LEVELS), &mut ());
    walk.end()
}

/// The events up to the cursor, and the keys of the table around it.
struct Walk<'t> {
    text: &'t str,
    at: usize,
    /// The open lists and inline tables, the innermost last.
    nested: Vec<Nested>,
    /// The table of the last header.
    root: Table,
    /// The number of tables so far.
    tables: usize,
    /// The keys since the last separator.
    keys: Vec<String>,
    state: State,
    found: Option<Cursor>,
    /// The table around the cursor.
    inside: usize,
    /// The key, the value, and the table of each entry.
    entries: Vec<(usize, String, Option<String>)>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    number: usize,
    keys: Vec<String>,
}

/// An open list or inline table.
struct Nested {
    /// The inline table; `None` for a list.
    table: Option<Table>,
    /// The keys in front of it.
    keys: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Header,
    Key,
    Value,
    AfterValue,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str, at: usize) -> Self {
        Self {
            text,
            at,
            nested: Vec::new(),
            root: Table::default(),
            tables: 0,
            keys: Vec::new(),
            state: State::Key,
            found: None,
            inside: 0,
            entries: Vec::new(),
        }
    }

    fn event(&mut self, event: &Event) {
        let span = Span { start: event.span().start(), end: event.span().end() };
        // The cursor is before this event: the place is the one that the last event has led to.
        if span.start > self.at {
            self.found_at(Span { start: self.at, end: self.at });
        }
        let touches = span.start <= self.at && self.at <= span.end;
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                self.nested.clear();
                self.keys.clear();
                self.state = State::Header;
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => self.end_header(),
            EventKind::SimpleKey => {
                if touches {
                    self.found_at(span);
                }
                self.keys.push(self.decoded(event).into_owned());
            }
            EventKind::KeyValSep => {
                let key = self.keys.last().cloned().unwrap_or_default();
                self.entries.push((self.around().number, key, None));
                self.state = State::Value;
            }
            EventKind::Scalar => self.scalar(event, span, touches),
            EventKind::InlineTableOpen => {
                let keys = self.around().keys.iter().chain(&self.keys).cloned().collect();
                self.tables += 1;
                let table = Some(Table { number: self.tables, keys });
                self.nested.push(Nested { table, keys: std::mem::take(&mut self.keys) });
                self.state = State::Key;
            }
            EventKind::ArrayOpen => self.nested.push(Nested { table: None, keys: self.keys.clone() }),
            EventKind::InlineTableClose | EventKind::ArrayClose => {
                // What is open closes at a fault, where nothing is written.
                let is_open = span.start == span.end && self.is_blank(span.end);
                if self.at <= span.start || is_open {
                    self.found_at(Span { start: self.at, end: self.at });
                }
                self.keys = self.nested.pop().map(|closed| closed.keys).unwrap_or_default();
                self.state = State::AfterValue;
            }
            EventKind::ValueSep => match self.nested.last() {
                Some(Nested { table: None, .. }) => self.state = State::Value,
                _ => {
                    self.keys.clear();
                    self.state = State::Key;
                }
            },
            EventKind::Newline if self.nested.is_empty() => {
                if self.at <= span.start {
                    self.found_at(Span { start: self.at, end: self.at });
                }
                match self.state {
                    State::Header => self.end_header(),
                    _ => self.state = State::Key,
                }
                self.keys.clear();
            }
            EventKind::Comment if touches && self.at > span.start => {
                self.state = State::AfterValue;
                self.found_at(span);
            }
            EventKind::Error if touches => self.found_at(span),
            _ => {}
        }
    }

    fn scalar(&mut self, event: &Event, span: Span, touches: bool) {
        if touches && (span.start < span.end || self.state == State::Value) {
            self.found_at(span);
        }
        let value = self.decoded(event).into_owned();
        if let Some((_, _, known)) = self.entries.last_mut().filter(|_| self.state == State::Value) {
            known.get_or_insert(value);
        }
        self.state = State::AfterValue;
    }

    fn end_header(&mut self) {
        self.tables += 1;
        self.root = Table { number: self.tables, keys: std::mem::take(&mut self.keys) };
        self.state = State::AfterValue;
    }

    /// Returns the table around the last event.
    fn around(&self) -> &Table {
        self.nested.iter().rev().find_map(|nested| nested.table.as_ref()).unwrap_or(&self.root)
    }

    /// Returns whether there is nothing from `start` up to the cursor.
    fn is_blank(&self, start: usize) -> bool {
        self.text.get(start..self.at).is_some_and(|between| between.trim().is_empty())
    }

    /// Takes note of the place, if it is the first.
    fn found_at(&mut self, token: Span) {
        if self.found.is_some() {
            return;
        }
        let text = || self.text.get(token.start..token.end).unwrap_or_default().to_owned();
        let around = self.around();
        let mut table = around.keys.clone();
        let place = match self.state {
            State::Header => {
                table.clone_from(&self.keys);
                Place::Header
            }
            State::Key => {
                table.extend(self.keys.iter().cloned());
                Place::Key(text())
            }
            State::Value => {
                let (last, dotted) = self.keys.split_last().map_or(("", &[][..]), |(last, dotted)| (last, dotted));
                table.extend(dotted.iter().cloned());
                Place::Value(last.to_owned())
            }
            State::AfterValue => Place::Other,
        };
        self.inside = around.number;
        self.found = Some(Cursor { table, place, token, siblings: Vec::new() });
    }

    fn end(mut self) -> Cursor {
        self.found_at(Span { start: self.at, end: self.at });
        let inside = self.inside;
        let entries = self.entries.into_iter().filter(|(table, ..)| *table == inside);
        let siblings = entries.map(|(_, key, value)| (key, value)).collect();
        let none = Cursor { table: Vec::new(), place: Place::Other, token: Span::default(), siblings: Vec::new() };
        Cursor { siblings, ..self.found.unwrap_or(none) }
    }

    /// Returns the text of a key or a scalar without quotes and escapes; the token itself if it has no end.
    fn decoded(&self, event: &Event) -> Cow<'t, str> {
        let raw = self.text.get(event.span().start()..event.span().end()).unwrap_or_default();
        let quote = match event.encoding() {
            Some(Encoding::BasicString) => '"',
            Some(Encoding::LiteralString) => '\'',
            _ => return Cow::Borrowed(raw),
        };
        let inner = raw.strip_prefix(quote).unwrap_or(raw);
        let inner = inner.strip_suffix(quote).unwrap_or(inner);
        match serde_json::from_str(raw) {
            Ok(text) if quote == '"' && inner.contains('\\') => Cow::Owned(text),
            _ => Cow::Borrowed(inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the place of the mark `|` in a text.
    fn at_mark(text: &str) -> (String, Place, String) {
        let at = text.find('|').unwrap();
        let text = text.replacen('|', "", 1);
        let found = cursor(&text, at);
        (found.table.join("."), found.place, text[found.token.start..found.token.end].to_owned())
    }

    #[test]
    fn the_table_and_the_key_around_the_cursor_are_found_at_half_typed_text() {
        let key = |text: &str| Place::Key(text.to_owned());
        let value = |key: &str| Place::Value(key.to_owned());
        for (text, table, place, token) in [
            ("|", "", key(""), ""),
            ("ty|", "", key("ty"), "ty"),
            ("type = \"i|", "", value("type"), "\"i"),
            ("type = |\n[values]", "", value("type"), ""),
            ("type =|", "", value("type"), ""),
            ("type = \"int\" |", "", Place::Other, ""),
            ("a = 1 # no|te", "", Place::Other, "# note"),
            ("[res|", "", Place::Header, "res"),
            ("[[resolve.|\n", "resolve", Place::Header, ""),
            ("[resolve]\n|", "resolve", key(""), ""),
            ("[resolve]\ndefault = \"|\"\nx = 1", "resolve", value("default"), "\"\""),
            ("[[resolve.rule]]\nqualifier = \"a\"\nvalue = \"|\n", "resolve.rule", value("value"), "\""),
            ("[resolve]\nrule = [{ qualifier = \"|\" }]", "resolve.rule", value("qualifier"), "\"\""),
            ("[resolve]\nrule = [{ a = 1 }, { qualifier = \"|\" }]", "resolve.rule", value("qualifier"), "\"\""),
            ("[resolve]\nrule = [{ v| }]", "resolve.rule", key("v"), "v"),
            ("[resolve]\nrule = [{ a = 1, |", "resolve.rule", key(""), ""),
            ("resolve.default = \"|\"", "resolve", value("default"), "\"\""),
            ("resolve.de|", "resolve", key("de"), "de"),
            ("resolve.rule = [{ a = 1 }, { |", "resolve.rule", key(""), ""),
            ("value = [\"a\", |]", "", value("value"), ""),
            ("value = [\"a\", \"b|\"]", "", value("value"), "\"b\""),
            ("a = 1\n\n|\nb = 2", "", key(""), ""),
        ] {
            assert_eq!(at_mark(text), (table.to_owned(), place, token.to_owned()), "{text}");
        }
    }

    #[test]
    fn siblings_are_the_keys_of_the_same_table_alone() {
        let text =
            "[[predicate]]\nattribute = \"a.b\"\n\n[[predicate]]\nattribute = \"c\"\nop = \nvalue = 1\n[x]\ny = 1\n";
        let at = text.find("op = ").unwrap() + 5;
        let found = cursor(text, at);
        let siblings: Vec<_> = found.siblings.iter().map(|(key, value)| (&**key, value.as_deref())).collect();
        assert_eq!(siblings, [("attribute", Some("c")), ("op", Some("")), ("value", Some("1"))]);
    }

    #[test]
    fn no_text_and_no_place_make_it_panic() {
        let texts =
            ["[[[[", "a = {{{{", "\"", "'''", "]]]}}}", "a = \"\\u12\"", "é = \"ü\"\n😀", "= = =", "a.b.c.", "\r\n\r"];
        for text in texts {
            for at in 0..text.len() + 3 {
                let _ = cursor(text, at);
            }
        }
        let deep = "a = ".to_owned() + &"[{ a = ".repeat(2_000);
        let _ = cursor(&deep, deep.len());
    }
}
