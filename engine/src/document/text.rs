//! Places in a text: byte spans during parsing, lines and columns for readers.
//!
//! A text shows positions from 1, and JSON from 0:
//!
//! ```
//! use rototo_engine::Position;
//!
//! let position = Position { line: 3, column: 20 };
//! assert_eq!(position.to_string(), "3:20");
//! assert_eq!(serde_json::to_value(position)?, serde_json::json!({ "line": 2, "character": 19 }));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

/// A span of bytes in a document, from `start` up to `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// A line and a column, both counted from 1; a column counts UTF-16 code units, as editors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// JSON counts from 0, as editors do.
impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ZeroBased {
            line: usize,
            character: usize,
        }
        ZeroBased { line: self.line.saturating_sub(1), character: self.column.saturating_sub(1) }.serialize(serializer)
    }
}

/// The range between two positions, also in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Range {
    /// Its first character.
    pub start: Position,
    /// The character after its last.
    pub end: Position,
    /// The range as bytes of the document.
    #[serde(skip)]
    pub bytes: Span,
}

/// The most characters of a message.
const MAX_MESSAGE: usize = 600;

/// Shortens a message that may quote a long text: its beginning stays, and its end, which states the fault.
pub(crate) fn shortened(message: &str) -> Cow<'_, str> {
    shortened_to(message, MAX_MESSAGE)
}

/// Shortens a text to about `most` characters: its beginning and its end stay.
///
/// ```
/// assert_eq!(rototo_engine::text::shortened_to("abcdefghij", 4), "ab … ij");
/// assert_eq!(rototo_engine::text::shortened_to("abcd", 4), "abcd");
/// ```
#[must_use]
pub fn shortened_to(text: &str, most: usize) -> Cow<'_, str> {
    let half = most / 2;
    if text.len() <= most || text.chars().nth(most).is_none() {
        return Cow::Borrowed(text);
    }
    let start = text.char_indices().nth(half).map_or(0, |(at, _)| at);
    let end = text.char_indices().nth_back(half.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    Cow::Owned(format!("{} … {}", text.get(..start).unwrap_or(""), text.get(end..).unwrap_or("")))
}

/// Returns whether a character does more to a terminal, a log, or a page than to stand there: control characters, line
/// separators, and characters that change the direction of text.
#[must_use]
pub fn is_disruptive(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns a text from a workspace as one line for a terminal, a log, or a status: line breaks and tabs become spaces,
/// and other [disruptive](is_disruptive) characters their codes.
///
/// ```
/// assert_eq!(rototo_engine::text::readable("a\u{1b}[2J\nb"), "a\\u{1b}[2J b");
/// ```
#[must_use]
pub fn readable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_disruptive) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => line.push(' '),
            _ if is_disruptive(letter) => line.extend(letter.escape_unicode()),
            _ => line.push(letter),
        }
    }
    Cow::Owned(line)
}

/// Returns whether two texts are equal. Most compared texts are short, and for those a call costs more than the
/// comparison.
#[inline(always)]
pub(crate) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        0 => true,
        1..=3 => one.iter().zip(other).all(|(one, other)| one == other),
        4..=7 => one.first_chunk::<4>() == other.first_chunk::<4>() && one.last_chunk::<4>() == other.last_chunk::<4>(),
        8..=16 => {
            one.first_chunk::<8>() == other.first_chunk::<8>() && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        _ => one == other,
    }
}

/// Returns the number of characters to add, remove, or replace to turn one word into the other; two exchanged
/// neighbours count as one.
pub(crate) fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, column) + usize::from(letter != other);
            let mut least = replaced.min(at(&last, column + 1) + 1).min(at(&next, column) + 1);
            let previous = |letters: &[char], place: usize| place.checked_sub(1).and_then(|p| letters.get(p).copied());
            if previous(&left, row) == Some(*other) && previous(&right, column) == Some(*letter) {
                least = least.min(at(&before_last, column - 1) + 1);
            }
            next.push(least);
        }
        before_last = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or_default()
}

/// The lines of a document, which convert between bytes and positions.
///
/// ```
/// use rototo_engine::text::{Lines, Span};
///
/// let lines = Lines::of("a\nb😀c".as_bytes());
/// let range = lines.range(Span { start: 7, end: 8 });
/// assert_eq!(range.start.to_string(), "2:4");
/// assert_eq!(lines.byte_of(range.start), 7);
/// ```
#[derive(Debug)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    /// The first byte of each line.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Returns the lines of these bytes, which need not be UTF-8.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        let breaks = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        Self { bytes, starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// Returns the range of a span; what is beyond the end is the end.
    #[must_use]
    pub fn range(&self, span: Span) -> Range {
        let start = span.start.min(self.bytes.len());
        let end = span.end.clamp(start, self.bytes.len());
        Range { start: self.position(start), end: self.position(end), bytes: Span { start, end } }
    }

    /// Returns the byte at a line and a column of bytes, both counted from 1.
    pub(crate) fn byte_at(&self, line: usize, column: usize) -> usize {
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied();
        start.map_or(self.bytes.len(), |start| start.saturating_add(column.saturating_sub(1)).min(self.bytes.len()))
    }

    /// Returns the byte at a position. A position beyond its line is the end of the line, before its line break, and one
    /// beyond the text is its end.
    #[must_use]
    pub fn byte_of(&self, position: Position) -> usize {
        let start_of = |line: usize| self.starts.get(line).copied();
        let Some(start) = position.line.checked_sub(1).and_then(start_of) else { return self.bytes.len() };
        let end = start_of(position.line).map_or(self.bytes.len(), |next| next - 1);
        let line = self.bytes.get(start..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").filter(|_| end < self.bytes.len()).unwrap_or(line);
        let mut units = position.column.saturating_sub(1);
        match std::str::from_utf8(line).ok().filter(|line| !line.is_ascii()) {
            None => start + units.min(line.len()),
            Some(text) => {
                let passed = text.chars().take_while(|letter| {
                    let width = letter.len_utf16();
                    let fits = width <= units;
                    units = units.saturating_sub(width);
                    fits
                });
                start + passed.map(char::len_utf8).sum::<usize>()
            }
        }
    }

    fn position(&self, byte: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = line.checked_sub(1).and_then(|line| self.starts.get(line)).copied().unwrap_or(0);
        let before = self.bytes.get(start..byte).unwrap_or_default();
        // Long lines are usually ASCII, and then need no decoding.
        let units =
            if before.is_ascii() { before.len() } else { String::from_utf8_lossy(before).encode_utf16().count() };
        Position { line, column: units + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_columns_in_utf16() {
        let lines = Lines::of("aé\nb😀c".as_bytes());
        let range = lines.range(Span { start: 1, end: 9 });
        assert_eq!((range.start.to_string(), range.end.to_string()), ("1:2".to_owned(), "2:4".to_owned()));
        let json = serde_json::to_string(&range).unwrap();
        assert_eq!(json, r#"{"start":{"line":0,"character":1},"end":{"line":1,"character":3}}"#);
    }

    #[test]
    fn long_messages_keep_their_beginning_and_their_end() {
        assert_eq!(shortened("short"), "short");
        let just = "é".repeat(MAX_MESSAGE);
        assert_eq!(shortened(&just), just);
        let long = shortened(&format!("a{just}z")).into_owned();
        assert!(long.starts_with("aé") && long.ends_with("éz") && long.contains(" … "), "{long}");
        assert_eq!(long.chars().count(), MAX_MESSAGE + 3);
    }

    #[test]
    fn texts_are_equal_if_all_bytes_are() {
        let text = "0123456789abcdefghij";
        for length in 0..text.len() {
            let one = &text[..length];
            assert!(same(one, one));
            assert!(!same(one, &text[..=length]));
            for place in 0..length {
                let mut other = one.to_owned();
                other.replace_range(place..=place, "x");
                assert!(!same(one, &other), "{one} {other}");
            }
        }
    }

    #[test]
    fn places_beyond_the_end_are_the_end() {
        let lines = Lines::of(b"");
        assert_eq!(lines.range(Span { start: 7, end: 3 }).end.to_string(), "1:1");
        assert_eq!(lines.byte_at(9, 9), 0);
        assert_eq!(lines.byte_of(Position { line: 9, column: 9 }), 0);
    }

    #[test]
    fn positions_lead_back_to_their_bytes() {
        let text = "aé\r\nb😀c\n\nend";
        let lines = Lines::of(text.as_bytes());
        // No position is between the two characters of a line break.
        let inside = text.find('\n');
        for byte in (0..=text.len()).filter(|byte| text.is_char_boundary(*byte) && Some(*byte) != inside) {
            let position = lines.range(Span { start: byte, end: byte }).start;
            assert_eq!(lines.byte_of(position), byte, "{position}");
        }
        let at = |line, column| lines.byte_of(Position { line, column });
        assert_eq!(at(1, 99), "aé".len());
        assert_eq!(at(2, 3), at(2, 2), "the middle of a surrogate pair is its start");
        assert_eq!(at(0, 1), text.len());
        assert_eq!(Lines::of(b"\xff\xfe").byte_of(Position { line: 1, column: 2 }), 1);
    }

    #[test]
    fn a_line_ends_before_its_line_break() {
        let at = |text: &str, line| Lines::of(text.as_bytes()).byte_of(Position { line, column: 99 });
        assert_eq!(at("a\r\nb", 1), 1);
        assert_eq!(at("a\nb", 1), 1);
        assert_eq!(at("\r\nb", 1), 0);
        assert_eq!(at("a\r\r\nb", 1), 2, "one of two belongs to the line");
        assert_eq!(at("a\r\nb\r", 2), 5, "a text may end in one");
    }

    #[test]
    fn exchanged_neighbours_are_one_slip() {
        assert_eq!(distance("resovle", "resolve"), 1);
        assert_eq!(distance("values", "value"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
