//! Well-known formats that are no document: what tools put into the place of a file.

/// Returns what `bytes` are instead of a document, and what to do about it.
pub(super) fn foreign_format(bytes: &[u8]) -> Option<&'static str> {
    const SIGNATURES: [(&[u8], &str); 6] = [
        (b"version https://git-lfs.github.com/spec/", LFS),
        (b"\0GITCRYPT\0", GIT_CRYPT),
        (b"\xff\xfe", UTF_16),
        (b"\xfe\xff", UTF_16),
        (b"<!DOCTYPE html", PAGE),
        (b"<html", PAGE),
    ];
    let is_wide =
        || matches!(bytes, [0, first, 0, second, ..] | [first, 0, second, 0, ..] if *first != 0 && *second != 0);
    let found = SIGNATURES.into_iter().find(|(signature, _)| bytes.starts_with(signature)).map(|(_, message)| message);
    found.or_else(|| is_wide().then_some(UTF_16))
}

/// What stands at `at`, where a document can't be parsed, if that is no slip of an author but of a tool: git, or a word
/// processor.
pub(super) fn foreign_text(text: &str, at: usize) -> Option<&'static str> {
    let (before, after) = text.split_at_checked(at)?;
    let line = text.get(before.rfind('\n').map_or(0, |end| end + 1)..)?;
    if ["<<<<<<< ", "=======", ">>>>>>> "].iter().any(|marker| line.starts_with(marker)) {
        return Some(CONFLICT);
    }
    if let Some(message) = foreign_value(text, before.len()) {
        return Some(message);
    }
    match after.chars().next()? {
        '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => Some(QUOTE),
        '\u{a0}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{3000}' | '\u{feff}' => Some(SPACE),
        _ => None,
    }
}

/// Returns what to write in place of the word at `at`, if it stands for a value in another language.
fn foreign_value(text: &str, at: usize) -> Option<&'static str> {
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric();
    let start = at - text.as_bytes()[..at].iter().rev().take_while(|byte| is_of_word(byte)).count();
    if !text[..start].trim_end().ends_with(['=', ',', '[', ':']) {
        return None;
    }
    let word = text[start..].split(|character: char| !character.is_ascii_alphanumeric()).next()?;
    match word.to_ascii_lowercase().as_str() {
        "null" | "nil" | "none" | "undefined" => Some(NULL),
        "true" | "false" | "yes" | "no" | "on" | "off" => Some(BOOLEAN),
        _ => None,
    }
}

const NULL: &str = "there is no value for nothing: leave the key out";
const BOOLEAN: &str = "a boolean is `true` or `false`, in lower case and without quotation marks";
const CONFLICT: &str =
    "the file has both sides of a merge, between `<<<<<<<` and `>>>>>>>`: choose one, and remove the markers";
const QUOTE: &str = "this is a typographic quotation mark: write `\"` or `'`";
const SPACE: &str = "this is a special space, which looks like a plain one: write a plain space";
const LFS: &str = "this is a pointer of Git LFS, not the file: keep the file out of LFS";
const GIT_CRYPT: &str = "the file is encrypted by git-crypt: keep it out of git-crypt, or unlock what is published";
const UTF_16: &str = "the file is UTF-16 text: save it as UTF-8";
const PAGE: &str = "the file is a web page, such as a page to log in";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_leave_in_a_text_is_named_where_it_stands() {
        let named = |text: &str, at: &str| foreign_text(text, text.find(at).unwrap());
        let conflict = "a = 1\n<<<<<<< HEAD\nb = 1\n=======\nb = 2\n>>>>>>> other\n";
        for at in ["<<<", "HEAD", "=======", "other"] {
            assert_eq!(named(conflict, at), Some(CONFLICT), "{at}");
        }
        assert_eq!(named("a = \u{201c}b\u{201d}", "\u{201c}"), Some(QUOTE));
        assert_eq!(named("a\u{a0}= 1", "\u{a0}"), Some(SPACE));
        for (text, at) in
            [("a = null", "null"), ("a = nil", "il"), ("a = [1, None]", "None"), ("{\"a\": undefined}", "und")]
        {
            assert_eq!(named(text, at), Some(NULL), "{text}");
        }
        for (text, at) in [("a = True", "True"), ("a = yes", "yes"), ("a = [true, Off]", "Off")] {
            assert_eq!(named(text, at), Some(BOOLEAN), "{text}");
        }
        for (text, at) in [(conflict, "b = 1"), ("a = b", "b"), ("a", "a"), ("none x", "none"), ("a = nullable", "nul")]
        {
            assert_eq!(named(text, at), None, "{text}");
        }
        assert_eq!(foreign_text("ä", 1), None);
        assert_eq!(foreign_text("a", 9), None);
    }

    #[test]
    fn signatures_are_known_by_their_first_bytes() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
        assert_eq!(foreign_format(pointer.as_bytes()), Some(LFS));
        assert_eq!(foreign_format(b"\0GITCRYPT\0\x01"), Some(GIT_CRYPT));
        for text in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a", b"a\0b\0", b"\0a\0b"] {
            assert_eq!(foreign_format(text), Some(UTF_16), "{text:?}");
        }
        for text in [&b""[..], b"a", b"schema_version = 1", b"{}", b"\xef\xbb\xbfa = 1", b"\0\0\0\0", b"a\0\0b"] {
            assert_eq!(foreign_format(text), None, "{text:?}");
        }
    }
}
