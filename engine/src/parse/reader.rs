//! Reads a TOML document in one pass, if it is of the plain form that configuration mostly has.
//!
//! It looks for nothing wrong: what is not plain (dotted keys, dates, tables that begin in two places, any fault) is left
//! to the `toml` crate, which knows all of the language and words for every fault. So what is read here is only what is
//! read there alike, at half the cost.

use std::borrow::Cow;

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source};

use super::node::{Entries, Entry, Kind, Node};
use crate::text::Span;

/// Beyond this a table is looked up in a way that this reader does not know.
const MANY_ENTRIES: usize = 256;

/// Beyond this values nest deeper than is plain.
const MANY_LEVELS: usize = 16;

/// The root table of a plain document; `None` if it is not plain.
pub(super) fn read(text: &str) -> Option<Entries<'_>> {
    let tokens = Source::new(text).lex().into_vec();
    let mut reader = Reader::new(text);
    let mut fault: Option<ParseError> = None;
    parse_document(&tokens, &mut reader, &mut fault);
    reader.end_table();
    (fault.is_none() && reader.is_plain).then_some(reader.root)
}

struct Reader<'i> {
    text: &'i str,
    is_plain: bool,
    root: Entries<'i>,
    /// The tables of the root that have a header of their own.
    tables: Vec<Cow<'i, str>>,
    /// The lists of tables that headers have begun, each by its table, if it is not the root, and its name.
    lists: Vec<(Option<Cow<'i, str>>, Cow<'i, str>)>,
    /// The header of the table that is being read; none for the root.
    header: Option<Header<'i>>,
    in_header: bool,
    entries: Vec<Entry<'i>>,
    key: Option<Key<'i>>,
    /// The lists and inline tables around the next value.
    open: Vec<Open<'i>>,
}

type Key<'i> = (Cow<'i, str>, Span);

/// `[a.b]` or `[[a.b]]`
struct Header<'i> {
    start: usize,
    end: usize,
    is_list: bool,
    path: Vec<Key<'i>>,
}

/// A value that has begun.
struct Open<'i> {
    start: usize,
    /// The key in front of it.
    key: Option<Key<'i>>,
    inside: Inside<'i>,
}

enum Inside<'i> {
    List(Vec<Node<'i>>),
    Table(Vec<Entry<'i>>),
}

impl<'i> Reader<'i> {
    fn new(text: &'i str) -> Self {
        Self {
            text,
            is_plain: true,
            root: Entries::default(),
            tables: Vec::new(),
            lists: Vec::new(),
            header: None,
            in_header: false,
            entries: Vec::new(),
            key: None,
            open: Vec::new(),
        }
    }

    fn raw(&self, span: toml_parser::Span, encoding: Option<Encoding>) -> Raw<'i> {
        let text = self.text.get(span.start()..span.end()).unwrap_or_default();
        Raw::new_unchecked(text, encoding, span)
    }

    fn begin_header(&mut self, span: toml_parser::Span, is_list: bool) {
        self.end_table();
        self.header = Some(Header { start: span.start(), end: span.end(), is_list, path: Vec::new() });
        self.in_header = true;
    }

    fn end_header(&mut self, span: toml_parser::Span) {
        self.in_header = false;
        if let Some(header) = &mut self.header {
            header.end = span.end();
        }
    }

    /// The table that was being read is complete.
    fn end_table(&mut self) {
        let Some(entries) = Entries::sorted(std::mem::take(&mut self.entries)) else {
            self.is_plain = false;
            return;
        };
        match self.header.take() {
            None => self.root = entries,
            Some(header) => self.is_plain &= self.attach(header, entries).is_some(),
        }
    }

    /// Puts a table where its header says; `None` if that is not plainly the first of its name, or the next of its list.
    fn attach(&mut self, header: Header<'i>, entries: Entries<'i>) -> Option<()> {
        let Header { start, end, is_list, mut path } = header;
        let (key, key_span) = path.pop()?;
        let above = path.pop().map(|(name, _)| name);
        if !path.is_empty() {
            return None;
        }
        let parent = match &above {
            None => &mut self.root,
            Some(name) if self.tables.contains(name) => match &mut self.root.get_mut(name)?.kind {
                Kind::Table(entries) => entries,
                _ => return None,
            },
            Some(_) => return None,
        };
        let span = Span { start, end };
        let table = Node { span, kind: Kind::Table(entries) };
        let known_list = || self.lists.iter().any(|(table, name)| *table == above && *name == key);
        let is_full = parent.len() >= MANY_ENTRIES;
        match parent.get_mut(&key).map(|node| &mut node.kind) {
            Some(Kind::Array(items)) if is_list && known_list() => items.push(table),
            Some(_) => return None,
            None if is_full => return None,
            None if is_list => {
                let node = Node { span, kind: Kind::Array(vec![table]) };
                parent.add(Entry { key: key.clone(), key_span, node });
                self.lists.push((above, key));
            }
            None => {
                parent.add(Entry { key: key.clone(), key_span, node: table });
                if above.is_none() {
                    self.tables.push(key);
                }
            }
        }
        Some(())
    }

    fn value(&mut self, key: Option<Key<'i>>, node: Node<'i>) {
        let entry = |(key, key_span), node| Entry { key, key_span, node };
        match (self.open.last_mut().map(|open| &mut open.inside), key) {
            (Some(Inside::List(items)), None) => items.push(node),
            (Some(Inside::Table(entries)), Some(key)) => entries.push(entry(key, node)),
            (None, Some(key)) => self.entries.push(entry(key, node)),
            _ => self.is_plain = false,
        }
    }

    fn begin(&mut self, span: toml_parser::Span, inside: Inside<'i>) -> bool {
        let key = self.key.take();
        self.open.push(Open { start: span.start(), key, inside });
        self.is_plain &= self.open.len() <= MANY_LEVELS;
        self.is_plain
    }

    fn end(&mut self, span: toml_parser::Span) {
        let Some(Open { start, key, inside }) = self.open.pop() else {
            self.is_plain = false;
            return;
        };
        let kind = match inside {
            Inside::List(items) => Some(Kind::Array(items)),
            Inside::Table(entries) => Entries::sorted(entries).map(Kind::Table),
        };
        match kind {
            Some(kind) => self.value(key, Node { span: Span { start, end: span.end() }, kind }),
            None => self.is_plain = false,
        }
    }
}

impl EventReceiver for Reader<'_> {
    fn std_table_open(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.begin_header(span, false);
    }

    fn std_table_close(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.end_header(span);
    }

    fn array_table_open(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.begin_header(span, true);
    }

    fn array_table_close(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.end_header(span);
    }

    fn inline_table_open(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) -> bool {
        self.begin(span, Inside::Table(Vec::new()))
    }

    fn inline_table_close(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.end(span);
    }

    fn array_open(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) -> bool {
        self.begin(span, Inside::List(Vec::new()))
    }

    fn array_close(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.end(span);
    }

    fn simple_key(&mut self, span: toml_parser::Span, encoding: Option<Encoding>, faults: &mut dyn ErrorSink) {
        let mut key = Cow::Borrowed("");
        self.raw(span, encoding).decode_key(&mut key, faults);
        let key = (key, Span { start: span.start(), end: span.end() });
        match &mut self.header {
            Some(header) if self.in_header => header.path.push(key),
            _ => self.is_plain &= self.key.replace(key).is_none(),
        }
    }

    fn key_sep(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.is_plain &= self.in_header;
    }

    fn scalar(&mut self, span: toml_parser::Span, encoding: Option<Encoding>, faults: &mut dyn ErrorSink) {
        let mut text = Cow::Borrowed("");
        let kind = match self.raw(span, encoding).decode_scalar(&mut text, faults) {
            ScalarKind::String => Kind::String(text),
            ScalarKind::Boolean(value) => Kind::Boolean(value),
            ScalarKind::Float => Kind::Float(text),
            ScalarKind::Integer(radix) => Kind::Integer(text, radix.value()),
            ScalarKind::DateTime => {
                self.is_plain = false;
                Kind::Date
            }
        };
        let key = self.key.take();
        self.value(key, Node { span: Span { start: span.start(), end: span.end() }, kind });
    }

    fn comment(&mut self, span: toml_parser::Span, faults: &mut dyn ErrorSink) {
        self.raw(span, None).decode_comment(faults);
    }

    fn newline(&mut self, span: toml_parser::Span, faults: &mut dyn ErrorSink) {
        self.raw(span, None).decode_newline(faults);
    }

    fn error(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.is_plain = false;
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
