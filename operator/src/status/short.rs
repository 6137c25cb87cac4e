//! Short forms of long names, for columns and messages.

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
