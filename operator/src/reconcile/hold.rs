//! Holds accepted content that would remove more than half of the published variables, until a person allows it by an
//! annotation. [`rototo_protocol::hold`] decides; this module finds out what is published.

use rototo_api::names::ANNOTATION_ALLOW_SHRINK;
use rototo_api::workspace::RototoWorkspace;
use rototo_engine::{Fingerprint, Tree};
use rototo_protocol::hold::{Shrink, names_revision};
use rototo_protocol::plan::{MarkerEntry, MarkerMap};
use tracing::{info, warn};

use crate::reconcile::asked::Asked;
use crate::reconcile::context::OperatorContext;
use crate::reconcile::hold_record::{Held, Variables};
use crate::reconcile::workspace_record::{SharedRecord, WorkspaceRecord};
use crate::source::poll::Candidate;
use crate::workspace_key::WorkspaceKey;

/// Decides whether the newest accepted content is held, before anything is done to publish it.
pub(super) async fn hold_if_shrunk(workspace: &RototoWorkspace, shared: &SharedRecord, context: &OperatorContext) {
    let key = WorkspaceKey::of(workspace);
    let (published, is_known, unread) = {
        let mut record = shared.lock();
        let accepted = record.source.accepted().map(|candidate| candidate.fingerprint);
        match published(workspace, &record, context).filter(|_| accepted.is_some()) {
            Some(published) if Some(published) != accepted => {
                let compared = |newest| record.hold.compared(published, newest).is_some();
                let is_compared = accepted.is_some_and(compared);
                let unread = accepted.filter(|_| !is_compared && record.source.tree().is_none());
                (published, is_compared || record.hold.variables_of(published).is_some(), unread)
            }
            _ => {
                record.hold.judge(accepted, None);
                return;
            }
        }
    };
    // If the disk has lost it, the numbers in status have to do.
    if !is_known && let Some(tree) = read(context, &key, published).await {
        shared.lock().hold.published(published, &tree);
    }
    // Content for which there was no memory is on the disk since lint accepted it.
    let accepted = match unread {
        Some(fingerprint) => read(context, &key, fingerprint).await.map(|tree| (fingerprint, tree)),
        None => None,
    };
    let mut record = shared.lock();
    let held = hold(workspace, &mut record, published, accepted.as_ref());
    let judged = record.source.accepted().map(|candidate| candidate.fingerprint);
    let before = record.hold.judge(judged, held);
    match held {
        Some(Held { fingerprint, shrink: Shrink { removed, published } }) if before != held => {
            let (namespace, name) = (key.namespace, key.name);
            warn!(namespace, name, %fingerprint, removed, published, "held: it would remove most variables");
        }
        None if before.is_some() => info!(namespace = key.namespace, name = key.name, "nothing is held any more"),
        _ => {}
    }
}

/// Returns the content that processes run now, by the marker, or else by status.
fn published(workspace: &RototoWorkspace, record: &WorkspaceRecord, context: &OperatorContext) -> Option<Fingerprint> {
    let known = record.marker.publisher().published().map(|publish| publish.fingerprint);
    let by_marker = || {
        let WorkspaceKey { namespace, name } = WorkspaceKey::of(workspace);
        match context.markers().read(&namespace, &name) {
            MarkerMap::Ours { marker: MarkerEntry::Published(marked), .. } => Some(Some(marked.publish.fingerprint)),
            MarkerMap::Ours { marker: MarkerEntry::Removed(_), .. } => Some(None),
            _ => None,
        }
    };
    let by_status = || workspace.status.as_ref()?.published.as_ref()?.fingerprint.parse().ok();
    known.or_else(|| by_marker().unwrap_or_else(by_status))
}

/// Reads content from the disk, which may have lost it.
async fn read(context: &OperatorContext, key: &WorkspaceKey, fingerprint: Fingerprint) -> Option<Tree> {
    let store = context.sources().snapshots().store(key);
    match tokio::task::spawn_blocking(move || store?.get(&fingerprint)).await {
        Ok(Ok(tree)) => tree,
        Ok(Err(error)) => {
            warn!(namespace = key.namespace, name = key.name, %fingerprint, %error, "content could not be read");
            None
        }
        Err(_) => None,
    }
}

/// Compares the newest accepted content with what is published. `read` is accepted content that was read from the disk.
fn hold(
    workspace: &RototoWorkspace,
    record: &mut WorkspaceRecord,
    published: Fingerprint,
    read: Option<&(Fingerprint, Tree)>,
) -> Option<Held> {
    let candidate = record.source.accepted()?;
    let newest = candidate.fingerprint;
    let read = read.filter(|(fingerprint, _)| *fingerprint == candidate.fingerprint).map(|(_, tree)| tree);
    let revision = candidate.revision.as_ref().map(ToString::to_string);
    let fingerprint = candidate.fingerprint.to_string();
    let allowed = Asked::in_annotation(workspace, ANNOTATION_ALLOW_SHRINK);
    let is_allowed = allowed.is_some_and(|asked| names_revision(asked.text, revision.as_deref(), &fingerprint));
    let between = |(variables, tree): (Variables, &Tree)| {
        Shrink::between(variables.iter().map(|path| &**path), |path| tree.get(path).is_some())
    };
    let read = || record.hold.variables_of(published).zip(record.source.tree().or(read)).map(between);
    let compared = record.hold.compared(published, newest).or_else(read);
    let shrink = compared.or_else(|| by_status(workspace, candidate, published));
    if let Some(compared) = compared {
        record.hold.note_compared(published, newest, compared);
    }
    if is_allowed {
        return None;
    }
    shrink.filter(|shrink| shrink.is_held()).map(|shrink| Held { fingerprint: newest, shrink })
}

/// Compares the numbers that status has of the published content.
fn by_status(workspace: &RototoWorkspace, candidate: &Candidate, published: Fingerprint) -> Option<Shrink> {
    let status = workspace.status.as_ref()?;
    let same = status.published.as_ref().is_some_and(|status| status.fingerprint == published.to_string());
    let before = status.workspace.filter(|_| same)?;
    Some(Shrink::of_counts(before.variables as usize, candidate.contents.variables as usize))
}
