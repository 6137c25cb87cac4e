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

const LFS: &str = "this is a pointer of Git LFS, not the file: keep the file out of LFS";
const GIT_CRYPT: &str = "the file is encrypted by git-crypt: keep it out of git-crypt, or unlock what is published";
const UTF_16: &str = "the file is UTF-16 text: save it as UTF-8";
const PAGE: &str = "the file is a web page, such as a page to log in";

#[cfg(test)]
mod tests {
    use super::*;

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
