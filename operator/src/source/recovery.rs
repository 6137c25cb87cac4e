//! Reads published content again that the disk has lost, at the commit that status remembers.

use std::sync::Arc;

use rototo_engine::Fingerprint;
use rototo_source::{Access, Commit, Reader, Revision, SnapshotStore, Source};

use crate::source::poll_error::PollError;

/// Reads a source and keeps its content if that is the content of `fingerprint`. Returns whether it is.
pub(super) async fn recover(
    access: Access,
    fingerprint: Fingerprint,
    reader: &Reader,
    store: Arc<SnapshotStore>,
) -> Result<bool, PollError> {
    let (_, tree) = reader.read(access).await?;
    if tree.fingerprint() != fingerprint {
        return Ok(false);
    }
    let kept = tokio::task::spawn_blocking(move || store.put(&tree));
    kept.await.map_err(|_| PollError::Interrupted)??;
    Ok(true)
}

/// Returns the same source at the commit of `revision`; `None` where that is no revision of a git source.
pub(super) fn at_revision(source: &str, revision: &str) -> Option<Source> {
    let revision: Revision = revision.parse().ok()?;
    match source.parse() {
        Ok(Source::Git(_)) => at_commit(source, revision.commit()).parse().ok(),
        _ => None,
    }
}

fn at_commit(source: &str, commit: &Commit) -> String {
    let (address, fragment) = source.split_once('#').unwrap_or((source, ""));
    match fragment.split_once(':') {
        Some((_, subdirectory)) => format!("{address}#{commit}:{subdirectory}"),
        None => format!("{address}#{commit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    fn check(source: &str, expected: Option<&str>) {
        let found = at_revision(source, &format!("main@sha1:{COMMIT}"));
        assert_eq!(found, expected.map(|expected| expected.parse().unwrap()), "{source}");
    }

    #[test]
    fn the_ref_is_replaced_by_the_commit_and_the_rest_stays() {
        let at = |rest: &str| format!("git+https://example.com/config.git#{COMMIT}{rest}");
        check("git+https://example.com/config.git", Some(&at("")));
        check("git+https://example.com/config.git#main", Some(&at("")));
        check("git+https://example.com/config.git#main:prod/eu", Some(&at(":prod/eu")));
        check("git+https://example.com/config.git#:prod", Some(&at(":prod")));
    }

    #[test]
    fn what_has_no_commits_is_not_recovered() {
        check("https://example.com/config.tar.gz", None);
        assert_eq!(at_revision("git+https://example.com/config.git", "not a revision"), None);
    }
}
