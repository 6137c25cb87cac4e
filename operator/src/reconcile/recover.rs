//! Brings back published content that the disk has lost.
//!
//! A pod that was replaced while lint refuses the newest commit has nothing to serve, and new processes would wait
//! until somebody mends that commit. Status remembers the commit of the published content, and content that is read
//! there counts only if it has the fingerprint that the marker names.

use std::sync::Arc;
use std::time::Instant;

use rototo_api::workspace::{PublishedStatus, RototoWorkspace, RototoWorkspaceSpec};
use rototo_engine::Fingerprint;
use rototo_protocol::Publish;
use tracing::{info, warn};

use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::{SharedRecord, WorkspaceRecord};
use crate::source::poll_error::PollError;
use crate::workspace_key::WorkspaceKey;

/// Reads the content that the marker names from git again, in the background, if the disk does not have it. Until then,
/// status shows it: a process that asks for that content gets a 404.
pub(crate) fn recover_if_lost(
    workspace: &RototoWorkspace,
    shared: &SharedRecord,
    context: &Arc<OperatorContext>,
    publish: &Publish,
) {
    let key = WorkspaceKey::of(workspace);
    if context.sources().snapshots().has(&key, &publish.fingerprint) {
        return;
    }
    let mut record = shared.lock();
    let Some(revisions) = revisions_to_read(workspace, &mut record, publish) else { return };
    let (spec, shared, context, fingerprint) =
        (workspace.spec.clone(), shared.clone(), context.clone(), publish.fingerprint);
    let task = async move {
        recover(&spec, revisions, fingerprint, &key, &context).await;
        shared.lock().recovery_ended(Instant::now());
        context.cluster().requeue(&key);
    };
    record.recovery.replace(tokio::spawn(task));
}

/// Reads one revision after the other until one has the content. A source that can't be asked now is not asked for the next
/// one.
async fn recover(
    spec: &RototoWorkspaceSpec,
    revisions: Vec<String>,
    fingerprint: Fingerprint,
    key: &WorkspaceKey,
    context: &OperatorContext,
) {
    let WorkspaceKey { namespace, name } = key;
    for revision in revisions {
        match context.sources().recover(spec, &revision, fingerprint, key).await {
            Ok(true) => {
                info!(namespace, name, revision, %fingerprint, "read the published content from git again");
                return;
            }
            Ok(false) => {
                warn!(namespace, name, revision, %fingerprint, "the published commit does not have its content");
            }
            Err(error) => {
                warn!(namespace, name, revision, %error, "the published content could not be read from git again");
                if asks_to_wait(&error) {
                    return;
                }
            }
        }
    }
}

/// Returns whether the next revision would fail in the same way: the host is away, or others wait for it.
fn asks_to_wait(error: &PollError) -> bool {
    let hangs = matches!(error, PollError::TimedOut(_) | PollError::Displaced(_) | PollError::Crowded(_));
    hangs || error.retry_after().is_some()
}

/// Notes that the content of `publish` is lost. Returns the revisions that have it, if they are to be read now.
fn revisions_to_read(
    workspace: &RototoWorkspace,
    record: &mut WorkspaceRecord,
    publish: &Publish,
) -> Option<Vec<String>> {
    let now = Instant::now();
    record.marker.content_lost();
    if record.source.candidate_of(publish.fingerprint).is_some() {
        // The next poll brings it.
        record.source.content_lost(now);
        return None;
    }
    let published = record.status.published(workspace)?;
    if published.fingerprint != publish.fingerprint.to_string() {
        return None;
    }
    let revisions = revisions(published);
    record.begin_recovery(now).then_some(revisions)
}

/// Returns the revisions of a publish, each once. The newest commit that has the content may have left its ref; an older one
/// may still be there.
fn revisions(published: &PublishedStatus) -> Vec<String> {
    let others = published.revisions.iter().filter(|revision| published.revision.as_ref() != Some(*revision));
    published.revision.iter().chain(others).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_revision_is_read_once_and_the_newest_first() {
        let read = |revision: Option<&str>, others: &[&str]| {
            let fingerprint = format!("sha256:{}", "a".repeat(64));
            let published = json!({
                "fingerprint": fingerprint, "updatedAt": "2026-11-20T18:40:00.000000Z",
                "revision": revision, "revisions": others,
            });
            revisions(&serde_json::from_value(published).unwrap())
        };
        assert_eq!(read(Some("b"), &["b", "a"]), ["b", "a"]);
        assert_eq!(read(Some("c"), &["b", "a"]), ["c", "b", "a"]);
        assert_eq!(read(None, &["b", "a"]), ["b", "a"]);
    }
}
