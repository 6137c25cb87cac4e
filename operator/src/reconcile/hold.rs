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
use crate::source::candidate::Candidate;
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

/// Returns whether the commit of the source names its content. That of a source with other layers does not: it stays when a
/// base moves, so a person who names it would allow content that nobody has seen yet.
fn commit_names_content(workspace: &RototoWorkspace, record: &WorkspaceRecord) -> bool {
    let shown = || workspace.status.as_ref()?.source.as_ref().map(|source| source.layers.len());
    let layers = record.source.candidate().map(|candidate| candidate.layers.len());
    layers.or_else(shown).is_none_or(|layers| layers < 2)
}

/// Returns whether a person's text names content that has this revision and fingerprint.
pub(super) fn names_content(
    workspace: &RototoWorkspace,
    record: &WorkspaceRecord,
    text: &str,
    (revision, fingerprint): (Option<&str>, &str),
) -> bool {
    names_revision(text, revision.filter(|_| commit_names_content(workspace, record)), fingerprint)
}

/// Returns the name by which a person allows this content: its commit, or else its fingerprint.
pub(super) fn name_to_allow(workspace: &RototoWorkspace, record: &WorkspaceRecord, candidate: &Candidate) -> String {
    let revision = candidate.revision.as_ref().filter(|_| commit_names_content(workspace, record));
    revision.map_or_else(|| candidate.fingerprint.to_string(), |revision| revision.commit().to_string())
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
    let is_allowed =
        allowed.is_some_and(|asked| names_content(workspace, record, asked.text, (revision.as_deref(), &fingerprint)));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use rototo_api::names::ANNOTATION_PUBLISH_ANYWAY;
    use rototo_api::workspace::SourceLayer;
    use rototo_protocol::fleet::{Fleet, FleetStart};
    use rototo_protocol::windows::HEARTBEAT;
    use serde_json::json;

    use super::*;
    use crate::fleet::clock;
    use crate::reconcile::rehearsal::is_published_anyway;
    use crate::source::poll::PollResult;
    use crate::source::record::tests::{found, poll};

    const COMMIT: &str = "4d123d6100000000000000000000000000000000";

    fn fingerprint(digit: &str) -> Fingerprint {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    /// A workspace with ten variables that a person has annotated.
    fn workspace(annotation: &str, text: &str) -> RototoWorkspace {
        let (published, time) = (fingerprint("a").to_string(), "2026-11-20T18:40:00.000000Z");
        let counts = json!({ "variables": 10, "qualifiers": 0, "resources": 0, "documents": 1 });
        serde_json::from_value(json!({
            "metadata": { "namespace": "prod", "name": "policy", "uid": "1", "annotations": { annotation: text } },
            "spec": { "source": "git+https://example.com/config.git#main" },
            "status": { "published": { "fingerprint": published, "updatedAt": time }, "workspace": counts },
        }))
        .unwrap()
    }

    /// The record of a source of so many layers whose content without variables has this fingerprint.
    async fn emptied(workspace: &RototoWorkspace, layers: usize, content: &str) -> WorkspaceRecord {
        let fleet = Fleet::new(FleetStart::New, HEARTBEAT, clock::now());
        let mut record = WorkspaceRecord::new("1".to_owned(), &workspace.spec, fleet);
        let result = found(false).await;
        let layer = SourceLayer { source: "git+https://example.com/config.git#main".to_owned(), commit: None };
        let candidate = Candidate {
            revision: Some(format!("main@sha1:{COMMIT}").parse().unwrap()),
            layers: vec![layer; layers],
            fingerprint: fingerprint(content),
            ..(*result.candidate).clone()
        };
        let result = PollResult { candidate: Arc::new(candidate), ..result };
        poll(&mut record.source, (&workspace.spec, 1), Ok(result), Instant::now());
        record
    }

    #[tokio::test]
    async fn a_person_who_allows_content_of_several_layers_allows_no_other_content_of_the_same_commit() {
        let (seen, next) = (fingerprint("b").to_string(), fingerprint("c").to_string());
        for (layers, text, content, allowed) in [
            (1, COMMIT, "b", true),
            (2, COMMIT, "b", false),
            (2, seen.as_str(), "b", true),
            // A base has moved.
            (2, seen.as_str(), "c", false),
            (2, next.as_str(), "c", true),
        ] {
            let case = format!("{text} for {content} of {layers} layers");
            let shrinking = workspace(ANNOTATION_ALLOW_SHRINK, text);
            let mut record = emptied(&shrinking, layers, content).await;
            let held = hold(&shrinking, &mut record, fingerprint("a"), None);
            assert_eq!(held.is_none(), allowed, "{case}");
            let refused = workspace(ANNOTATION_PUBLISH_ANYWAY, text);
            let record = emptied(&refused, layers, content).await;
            assert_eq!(is_published_anyway(&refused, &record), allowed, "{case}");
        }
    }

    #[tokio::test]
    async fn the_printed_name_allows_the_content() {
        for layers in [1, 2] {
            let workspace = workspace(ANNOTATION_ALLOW_SHRINK, "");
            let record = emptied(&workspace, layers, "b").await;
            let printed = name_to_allow(&workspace, &record, record.source.accepted().unwrap());
            let expected = if layers == 1 { COMMIT.to_owned() } else { fingerprint("b").to_string() };
            assert_eq!(printed, expected);
            let shrinking = self::workspace(ANNOTATION_ALLOW_SHRINK, &printed);
            let mut record = emptied(&shrinking, layers, "b").await;
            assert!(hold(&shrinking, &mut record, fingerprint("a"), None).is_none(), "{printed}");
            let refused = self::workspace(ANNOTATION_PUBLISH_ANYWAY, &printed);
            assert!(is_published_anyway(&refused, &emptied(&refused, layers, "b").await), "{printed}");
        }
    }

    #[test]
    fn an_operator_that_was_restarted_knows_the_layers_from_the_status() {
        let mut workspace = workspace(ANNOTATION_ALLOW_SHRINK, "");
        let fleet = Fleet::new(FleetStart::New, HEARTBEAT, clock::now());
        let record = WorkspaceRecord::new("1".to_owned(), &workspace.spec, fleet);
        assert!(commit_names_content(&workspace, &record));
        let layer = json!({ "source": "git+https://example.com/base.git#main" });
        let source = json!({ "layers": [layer, layer] });
        workspace.status.as_mut().unwrap().source = Some(serde_json::from_value(source).unwrap());
        assert!(!commit_names_content(&workspace, &record));
    }
}
