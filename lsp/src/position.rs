//! Converts between the protocol's positions and addresses and those of the engine: the protocol counts from 0, and
//! files have URIs.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use gen_lsp_types as lsp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use rototo_engine::text::{Lines, Span};
use rototo_engine::{Position, Range};

/// The bytes of a path that a URI holds as they are.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns the path of a `file:` URI of this machine, which some clients write without an authority; `None` for any other.
pub(crate) fn path_of(uri: &lsp::Uri) -> Option<PathBuf> {
    let rest = uri.0.strip_prefix("file:")?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let path = path.split(['?', '#']).next()?;
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    path.starts_with('/').then(|| PathBuf::from(OsString::from_vec(bytes)))
}

/// Returns the URI of a file.
pub(crate) fn uri_of(path: &Path) -> lsp::Uri {
    lsp::Uri(format!("file://{}", percent_encode(path.as_os_str().as_bytes(), ESCAPED)))
}

/// Converts a range to the protocol's form.
pub(crate) fn range(range: &Range) -> lsp::Range {
    lsp::Range { start: position(range.start), end: position(range.end) }
}

fn position(position: Position) -> lsp::Position {
    let from_zero = |number: usize| u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX);
    lsp::Position { line: from_zero(position.line), character: from_zero(position.column) }
}

/// Converts a span to the protocol's form.
pub(crate) fn range_of(bytes: &[u8], span: Span) -> lsp::Range {
    range(&Lines::of(bytes).range(span))
}

/// Returns the byte at a position of the protocol.
pub(crate) fn byte_at(bytes: &[u8], at: lsp::Position) -> usize {
    byte_in(&Lines::of(bytes), at)
}

/// Returns the bytes of a range of the protocol, whatever order its ends have.
pub(crate) fn span_at(bytes: &[u8], range: lsp::Range) -> Span {
    let lines = Lines::of(bytes);
    let (start, end) = (byte_in(&lines, range.start), byte_in(&lines, range.end));
    Span { start: start.min(end), end: start.max(end) }
}

fn byte_in(lines: &Lines<'_>, at: lsp::Position) -> usize {
    let from_one = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).saturating_add(1);
    lines.byte_of(Position { line: from_one(at.line), column: from_one(at.character) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_and_paths_lead_to_each_other() {
        let path = Path::new("/home/a b/größe/100%.toml");
        assert_eq!(uri_of(path).0, "file:///home/a%20b/gr%C3%B6%C3%9Fe/100%25.toml");
        assert_eq!(path_of(&uri_of(path)).as_deref(), Some(path));
        assert_eq!(path_of(&lsp::Uri("file:///a%3Ab".into())).as_deref(), Some(Path::new("/a:b")));
        for local in ["file:/a/b%20c", "file:///a/b%20c", "file://localhost/a/b%20c"] {
            assert_eq!(path_of(&lsp::Uri(local.into())).as_deref(), Some(Path::new("/a/b c")), "{local}");
        }
        for other in ["untitled:Untitled-1", "git:/a.toml", "file://host/a", "", "file:", "file:a", "file://"] {
            assert_eq!(path_of(&lsp::Uri(other.into())), None, "{other}");
        }
    }

    #[test]
    fn positions_outside_of_the_text_are_its_end() {
        let beyond = lsp::Position { line: u32::MAX, character: u32::MAX };
        assert_eq!(byte_at(b"ab", beyond), 2);
        let start = lsp::Position { line: 0, character: 1 };
        assert_eq!(span_at(b"ab", lsp::Range { start: beyond, end: start }), Span { start: 1, end: 2 });
    }
}
