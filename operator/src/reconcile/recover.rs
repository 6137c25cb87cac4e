//! Brings back what a marker names and this disk does not have: a pod that was replaced while the newest commit is
//! refused has nothing to serve, and new processes would wait for somebody to mend that commit.
//!
//! Status remembers the commit that the published content came from. What is read there counts only if its fingerprint
//! is the one that the marker names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rototo_api::workspace::RototoWorkspace;
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use rototo_source::{Access, Commit, Reader, Revision, SnapshotStore, Source};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::reconcile::context::OperatorContext;
use crate::reconcile::poll::access;
use crate::reconcile::record_store::{SharedRecord, WorkspaceKey};
use crate::source::poll::PollError;
use crate::status::PublishProblem;

/// How often it is tried to get lost content from git again.
const RECOVER_EVERY: Duration = Duration::from_secs(30);

/// Gets what the marker names from git again, in the background, when this disk does not have it. As long as it does not,
/// status says so: a process that asks for it gets a 404.
pub(crate) fn recover_if_lost(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    publish: &Publish,
) {
    let key = WorkspaceKey::of(workspace);
    if context.snapshots.has(&key, &publish.fingerprint) {
        return;
    }
    let now = Instant::now();
    let mut record = shared.lock();
    record.problem = Some(PublishProblem::Lost);
    if record.source.candidate.as_ref().is_some_and(|candidate| candidate.fingerprint == publish.fingerprint) {
        // The next look brings it.
        return record.source.lost(now);
    }
    if record.next_recovery.is_some_and(|next| now < next) {
        return;
    }
    record.next_recovery = Some(now + RECOVER_EVERY);
    let published = record.written.as_ref().and_then(|written| written.status.published.clone());
    drop(record);
    let published = published.or_else(|| workspace.status.as_ref()?.published.clone());
    let Some(published) = published.filter(|published| published.fingerprint == publish.fingerprint.to_string()) else {
        return;
    };
    // The newest commit that has the content may have left its ref; an older one may still be had.
    let revisions: Vec<String> = published.revision.into_iter().chain(published.revisions).collect();
    let (spec, context, fingerprint) = (workspace.spec.clone(), context.clone(), publish.fingerprint);
    tokio::spawn(async move {
        for revision in revisions {
            let recovered = async {
                let Some(source) = at_revision(&spec.source, &revision) else { return Ok(false) };
                let access = access(&spec, source, &context, &key).await?;
                recover(access, fingerprint, &context.reader, context.snapshots.store(&key)?).await
            };
            let recovered = match timeout(spec.timeout(), recovered).await {
                Ok(recovered) => recovered,
                Err(_) => Err(PollError::TimedOut(spec.timeout())),
            };
            match recovered {
                Ok(true) => {
                    info!(revision, %fingerprint, "got the published content from git again");
                    break;
                }
                Ok(false) => warn!(revision, %fingerprint, "the published commit does not have the published content"),
                Err(error) => warn!(revision, %error, "the published content could not be got from git again"),
            }
        }
        context.requeue(&key);
    });
}

/// Reads the published commit and keeps its content. Says whether that is what the marker names.
async fn recover(
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

/// The same source at the commit of `revision`; `None` where that is no revision of a git source.
fn at_revision(source: &str, revision: &str) -> Option<Source> {
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
