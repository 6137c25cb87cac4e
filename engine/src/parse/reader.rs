//! Reads a TOML document line by line if it is plain, as most configuration is: bare keys, headers without spaces, and
//! on one line after each key a text without escapes, a number, a boolean, or a list of these.
//!
//! The reader diagnoses no fault and decides no subtle question of the language: it leaves every other document to the
//! `toml` crate, which knows all of TOML and has a message for every fault. So it accepts only documents that both read
//! alike, at a fifth of the cost.

use std::borrow::Cow;

use crate::document::text::Span;
use crate::parse::node::{Node, TableEntries, TableEntry, ValueKind};

/// The most entries of a table; larger tables need another lookup than this reader has.
const MANY_ENTRIES: usize = 256;

/// The deepest nesting of lists in a plain document.
const MANY_LEVELS: usize = 8;

/// An integer of at most this many digits fits into 64 bits.
const MANY_DIGITS: usize = 18;

/// Returns the root table of a plain document; `None` if it is not plain.
pub(super) fn read(text: &str) -> Option<TableEntries<'_>> {
    let mut reader = TomlReader {
        text,
        at: 0,
        root: TableEntries::default(),
        tables: Vec::new(),
        lists: Vec::new(),
        header: None,
        entries: Vec::new(),
    };
    while reader.at < text.len() {
        reader.line()?;
    }
    reader.end_table()?;
    Some(reader.root)
}

/// A reader whose methods consume what they read, and return `None` if it is not plain.
struct TomlReader<'i> {
    text: &'i str,
    at: usize,
    root: TableEntries<'i>,
    /// The tables of the root that have their own header.
    tables: Vec<&'i str>,
    /// The lists of tables that headers have begun: the table that holds each, unless it is the root, and its name.
    lists: Vec<(Option<&'i str>, &'i str)>,
    /// The header of the table that is being read; `None` for the root.
    header: Option<TableHeader<'i>>,
    entries: Vec<TableEntry<'i>>,
}

/// `[name]`, `[[name]]`, `[above.name]`, or `[[above.name]]`
struct TableHeader<'i> {
    span: Span,
    is_list: bool,
    above: Option<&'i str>,
    name: &'i str,
    name_span: Span,
}

impl<'i> TomlReader<'i> {
    fn line(&mut self) -> Option<()> {
        self.spaces();
        match self.next() {
            None | Some(b'\n' | b'#') => {}
            Some(b'[') => {
                self.end_table()?;
                self.header = Some(self.header()?);
            }
            Some(_) => {
                let (key, key_span) = self.key()?;
                self.spaces();
                self.expect(b'=')?;
                self.spaces();
                let node = self.value(0)?;
                self.entries.push(TableEntry { key: Cow::Borrowed(key), key_span, node });
            }
        }
        self.end_of_line()
    }

    fn end_of_line(&mut self) -> Option<()> {
        self.spaces();
        if self.next() == Some(b'#') {
            self.skip(|byte| is_text(byte) || byte == b'\t');
        }
        if self.at == self.text.len() { Some(()) } else { self.expect(b'\n') }
    }

    fn header(&mut self) -> Option<TableHeader<'i>> {
        let start = self.at;
        self.expect(b'[')?;
        let is_list = self.expect(b'[').is_some();
        let (mut above, (mut name, mut name_span)) = (None, self.key()?);
        if self.expect(b'.').is_some() {
            above = Some(name);
            (name, name_span) = self.key()?;
        }
        self.expect(b']')?;
        if is_list {
            self.expect(b']')?;
        }
        Some(TableHeader { span: Span { start, end: self.at }, is_list, above, name, name_span })
    }

    fn key(&mut self) -> Option<(&'i str, Span)> {
        let span = self.skip(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        self.text.get(span.start..span.end).filter(|key| !key.is_empty()).map(|key| (key, span))
    }

    fn value(&mut self, level: usize) -> Option<Node<'i>> {
        let start = self.at;
        let kind = match self.next()? {
            b'"' => self.string()?,
            b'[' if level < MANY_LEVELS => self.list(level)?,
            b't' => self.word("true", ValueKind::Boolean(true))?,
            b'f' => self.word("false", ValueKind::Boolean(false))?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return None,
        };
        Some(Node { span: Span { start, end: self.at }, kind })
    }

    fn string(&mut self) -> Option<ValueKind<'i>> {
        self.expect(b'"')?;
        let inside = self.skip(|byte| is_text(byte) && byte != b'"' && byte != b'\\');
        self.expect(b'"')?;
        // Two quotes may be the beginning of a multi-line text.
        let text = self.text.get(inside.start..inside.end)?;
        (self.next() != Some(b'"')).then_some(ValueKind::String(Cow::Borrowed(text)))
    }

    fn number(&mut self) -> Option<ValueKind<'i>> {
        let start = self.at;
        let is_negative = self.expect(b'-').is_some();
        let whole = self.skip(|byte| byte.is_ascii_digit());
        let digits = self.text.get(whole.start..whole.end)?;
        let is_plain = !digits.is_empty() && digits.len() <= MANY_DIGITS && (!digits.starts_with('0') || digits == "0");
        let is_float = self.expect(b'.').is_some();
        let fraction = if is_float { self.skip(|byte| byte.is_ascii_digit()) } else { whole };
        let is_zero = digits == "0" && !is_float;
        if !is_plain || fraction.start == fraction.end || is_negative && is_zero || !self.at_end_of_value() {
            return None;
        }
        let text = Cow::Borrowed(self.text.get(start..self.at)?);
        Some(if is_float { ValueKind::Float(text) } else { ValueKind::Integer(text, 10) })
    }

    fn word(&mut self, word: &str, kind: ValueKind<'i>) -> Option<ValueKind<'i>> {
        let is_there = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += word.len();
        (is_there && self.at_end_of_value()).then_some(kind)
    }

    fn list(&mut self, level: usize) -> Option<ValueKind<'i>> {
        self.expect(b'[')?;
        let mut items = Vec::new();
        loop {
            self.spaces();
            if self.expect(b']').is_some() {
                return Some(ValueKind::Array(items));
            }
            items.push(self.value(level + 1)?);
            self.spaces();
            if self.expect(b',').is_none() && self.next() != Some(b']') {
                return None;
            }
        }
    }

    fn at_end_of_value(&self) -> bool {
        matches!(self.next(), None | Some(b' ' | b'\t' | b'\n' | b'#' | b',' | b']'))
    }

    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next() == Some(byte)).then(|| self.at += 1)
    }

    fn spaces(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
    }

    /// Consumes all bytes of a kind.
    fn skip(&mut self, of_kind: impl Fn(u8) -> bool) -> Span {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        self.at += rest.iter().position(|byte| !of_kind(*byte)).unwrap_or(rest.len());
        Span { start, end: self.at }
    }

    /// Completes the table that is being read.
    fn end_table(&mut self) -> Option<()> {
        let entries = TableEntries::sorted(std::mem::take(&mut self.entries))?;
        match self.header.take() {
            None => self.root = entries,
            Some(header) => self.attach(header, entries)?,
        }
        Some(())
    }

    /// Adds a table at the place that its header names; `None` if it is not clearly the first of its name or the next
    /// of its list.
    fn attach(&mut self, header: TableHeader<'i>, entries: TableEntries<'i>) -> Option<()> {
        let TableHeader { span, is_list, above, name, name_span } = header;
        let parent = match &above {
            None => &mut self.root,
            Some(table) if self.tables.contains(table) => match &mut self.root.get_mut(table)?.kind {
                ValueKind::Table(entries) => entries,
                _ => return None,
            },
            Some(_) => return None,
        };
        let table = Node { span, kind: ValueKind::Table(entries) };
        let is_known = self.lists.contains(&(above, name));
        let is_full = parent.len() >= MANY_ENTRIES;
        match parent.get_mut(name).map(|node| &mut node.kind) {
            Some(ValueKind::Array(items)) if is_list && is_known => items.push(table),
            Some(_) => return None,
            None if is_full => return None,
            None if is_list => {
                let node = Node { span, kind: ValueKind::Array(vec![table]) };
                parent.add(TableEntry { key: Cow::Borrowed(name), key_span: name_span, node });
                self.lists.push((above, name));
            }
            None => {
                parent.add(TableEntry { key: Cow::Borrowed(name), key_span: name_span, node: table });
                if above.is_none() {
                    self.tables.push(name);
                }
            }
        }
        Some(())
    }
}

/// Returns whether a text or a comment may contain the byte.
fn is_text(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
