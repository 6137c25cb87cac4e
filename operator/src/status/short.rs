//! Short forms of long names, for columns and messages, and texts of others within limits.
//!
//! A status is below 64 KiB whatever git hosts, authors, and pods say: etcd keeps it, every watcher gets it, and the API
//! server refuses objects above some 1.5 MiB, so that the status of a workspace would stop for ever. Every text that
//! somebody else wrote passes [`bounded`], which also makes it one line without effects on a terminal.

use rototo_engine::text::readable;

/// The most bytes of a condition's message, and of `source.lastError`.
pub(super) const MESSAGE: usize = 600;
/// The most bytes of the source of a layer; there are at most 32 layers.
pub(super) const LAYER: usize = 110;
/// The most bytes of the rule and the path of a finding; there are at most ten findings.
pub(super) const FINDING: usize = 200;
/// The most bytes of the author, and of the subject, of a commit; there are at most twelve commits. A user in the
/// history has as many bytes as an author.
pub(super) const AUTHOR: usize = 60;
pub(super) const SUBJECT: usize = 110;
/// The most bytes of a revision that people read.
pub(super) const REVISION: usize = 140;
/// The most bytes of a request that is repeated in the status, and of its user.
pub(super) const REQUEST: usize = 253;

/// Returns a text of somebody else as one line of at most `most` bytes: its beginning and its end.
pub(super) fn bounded(text: &str, most: usize) -> String {
    const GAP: &str = " … ";
    let cut = |text: &str| {
        if text.len() <= most {
            return text.to_owned();
        }
        let half = most.saturating_sub(GAP.len()) / 2;
        let (start, end) = (text.floor_char_boundary(half), text.ceil_char_boundary(text.len() - half));
        format!("{}{GAP}{}", text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default())
    };
    // Codes of characters are longer than the characters.
    cut(&readable(&cut(text)))
}

/// Returns `main@sha1:` and eight digits of the commit.
pub(super) fn short_revision(revision: &str) -> String {
    match revision.rsplit_once(':') {
        Some((start, commit)) => format!("{start}:{}", commit.chars().take(8).collect::<String>()),
        None => revision.to_owned(),
    }
}

/// Returns eight digits of a fingerprint.
pub(super) fn short_fingerprint(fingerprint: &str) -> String {
    fingerprint.trim_start_matches("sha256:").chars().take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_are_one_short_line() {
        assert_eq!(bounded("the host said\nno\u{1b}[2J", 100), "the host said no\\u{1b}[2J");
        for long in ["x".repeat(1 << 20), "😀".repeat(1 << 18), "\u{202e}".repeat(1 << 18)] {
            let shown = bounded(&long, 101);
            assert!(shown.len() <= 101 && shown.contains(" … "), "{shown}");
        }
    }
}
