//! Brings back published content that the disk has lost.
//!
//! A pod that was replaced while lint refuses the newest commit has nothing to serve, and new processes would wait
//! until somebody mends that commit. Status remembers the commit of the published content, and content that is read
//! there counts only if it has the fingerprint that the marker names.

use std::sync::Arc;
use std::time::Instant;

use rototo_api::workspace::RototoWorkspace;
use rototo_protocol::Publish;
use tracing::{info, warn};

use crate::reconcile::context::OperatorContext;
use crate::reconcile::workspace_record::SharedRecord;
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
    let Some(revisions) = revisions_to_read(workspace, shared, publish) else { return };
    let (spec, context, fingerprint) = (workspace.spec.clone(), context.clone(), publish.fingerprint);
    tokio::spawn(async move {
        let WorkspaceKey { namespace, name } = &key;
        for revision in revisions {
            match context.sources().recover(&spec, &revision, fingerprint, &key).await {
                Ok(true) => {
                    info!(namespace, name, revision, %fingerprint, "read the published content from git again");
                    break;
                }
                Ok(false) => {
                    warn!(namespace, name, revision, %fingerprint, "the published commit does not have its content");
                }
                Err(error) => {
                    warn!(namespace, name, revision, %error, "the published content could not be read from git again");
                }
            }
        }
        context.requeue(&key);
    });
}

/// Notes that the content of `publish` is lost. Returns the revisions that have it, if they are to be read now.
fn revisions_to_read(workspace: &RototoWorkspace, shared: &SharedRecord, publish: &Publish) -> Option<Vec<String>> {
    let now = Instant::now();
    let mut record = shared.lock();
    record.marker.content_lost();
    if record.source.candidate_of(publish.fingerprint).is_some() {
        // The next poll brings it.
        record.source.content_lost(now);
        return None;
    }
    if !record.marker.begin_recovery(now) {
        return None;
    }
    let published = record.status.published(workspace)?;
    if published.fingerprint != publish.fingerprint.to_string() {
        return None;
    }
    // The newest commit that has the content may have left its ref; an older one may still be there.
    Some(published.revision.iter().chain(&published.revisions).cloned().collect())
}
