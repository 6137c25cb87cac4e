//! Derives Events from the difference between two statuses, so that each change is one Event, also after a restart.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use rototo_api::condition::{CONVERGED, LINT_PASSED, PUBLISHED, READY, SOURCE_READY, STALE, reason};
use rototo_api::workspace::{HeldStatus, RototoWorkspaceStatus};

use crate::status::short::bounded;

/// An Event for people who run `kubectl describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceEvent {
    /// The severity, which Kubernetes calls the Event's type.
    pub severity: EventSeverity,
    /// One of [`reason`].
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// The longest note of an Event, in bytes, that the API server takes.
const NOTE: usize = 1024;

/// The severity, which Kubernetes calls the Event's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSeverity {
    /// Nobody has to act.
    Normal,
    /// Somebody should read it.
    Warning,
}

impl WorkspaceEvent {
    /// Returns the Event of a marker that was put back. No status shows that change: afterwards all is as it was.
    #[must_use]
    pub fn marker_put_back(fingerprint: &str) -> Self {
        let message = format!("somebody else had changed the marker; it names {fingerprint} again, under a new time");
        warning(reason::MARKER_PUT_BACK, message)
    }

    /// Returns the Event of a call that was refused because the Secret of the webhook can't be used. No status shows
    /// it: polls go on.
    #[must_use]
    pub fn webhook_unusable(why: &str) -> Self {
        let message = format!("calls of the git host are refused, and changes wait for the next poll: {why}");
        warning(reason::WEBHOOK_UNUSABLE, bounded(&message, NOTE))
    }

    /// Returns the Event of the state of a commit that its git host does not have. No status shows it: what runs is not
    /// concerned.
    #[must_use]
    pub fn commit_status_failed(commit: &str, why: &str) -> Self {
        let message = format!("the git host does not show what became of the commit {commit}: {why}");
        warning(reason::COMMIT_STATUS_FAILED, bounded(&message, NOTE))
    }

    /// Names the trace of the change that the Event is about.
    #[must_use]
    pub fn in_trace(mut self, id: Option<String>) -> Self {
        if let Some(id) = id {
            self.message = format!("{}; trace {id}", self.message);
        }
        self
    }
}

/// Returns the Events of the changes between two statuses.
#[must_use]
pub fn events(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Vec<WorkspaceEvent> {
    [published(previous, next), lint_refused(previous, next), recovered(previous, next)]
        .into_iter()
        .chain([publish_failed(previous, next), snapshot_lost(previous, next)])
        .chain([deadline_exceeded(previous, next), held(previous, next)])
        .chain([source_failed(previous, next), became_stale(previous, next), source_recovered(previous, next)])
        .flatten()
        .collect()
}

fn published(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    let now = next.published.as_ref()?;
    let before = previous.published.as_ref();
    if before.is_some_and(|before| before.updated_at >= now.updated_at) {
        return None;
    }
    let revision = now.revision.as_deref().unwrap_or("the source");
    Some(normal(reason::PUBLISHED, format!("{revision} is published as {}", now.fingerprint)))
}

fn lint_refused(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    let now = next.rejected.as_ref()?;
    let same = |before: &_| before == &(&now.revision, &now.time);
    if previous.rejected.as_ref().map(|before| (&before.revision, &before.time)).as_ref().is_some_and(same) {
        return None;
    }
    Some(warning(reason::LINT_REFUSED, next.condition(LINT_PASSED)?.message.clone()))
}

fn recovered(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    let mended = |type_| holds(previous, type_) == Some(false) && holds(next, type_) == Some(true);
    let revision = next.source.as_ref().and_then(|source| source.revision.as_deref()).unwrap_or("the source");
    if previous.rejected.is_some() && next.rejected.is_none() && mended(LINT_PASSED) {
        Some(normal(reason::RECOVERED, format!("{revision} passes lint again")))
    } else if previous.published.is_some() && mended(PUBLISHED) {
        let was_lost = previous.condition(PUBLISHED).is_some_and(|before| before.reason == reason::SNAPSHOT_LOST);
        let message = match was_lost {
            true => "the operator can serve the published content again",
            false => "the marker can be written again",
        };
        Some(normal(reason::RECOVERED, message.to_owned()))
    } else {
        None
    }
}

fn publish_failed(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    became(previous, next, PUBLISHED, &[reason::PUBLISH_FAILED, reason::FOREIGN_MARKERS])
        .map(|condition| warning(reason::PUBLISH_FAILED, condition.message.clone()))
}

fn snapshot_lost(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    became(previous, next, PUBLISHED, &[reason::SNAPSHOT_LOST])
        .map(|condition| warning(reason::SNAPSHOT_LOST, condition.message.clone()))
}

fn held(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    let held = next.held.as_ref()?;
    let same = |before: &HeldStatus| before.revision == held.revision && before.reason == held.reason;
    if previous.held.as_ref().is_some_and(same) {
        return None;
    }
    let reason = reason::ALL.iter().find(|reason| **reason == held.reason)?;
    let message = next.condition(READY).filter(|ready| ready.reason == *reason)?.message.clone();
    Some(warning(reason, message))
}

fn deadline_exceeded(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    became(previous, next, CONVERGED, &[reason::DEADLINE_EXCEEDED])
        .map(|condition| warning(reason::CONVERGE_DEADLINE_EXCEEDED, condition.message.clone()))
}

/// The reasons of `SourceReady` that are more than a host that does not answer for a while.
const SOURCE_FAULTS: [&str; 4] =
    [reason::SOURCE_REFUSED, reason::SECRET_FORBIDDEN, reason::SIGNATURE_INVALID, reason::LIMIT_REACHED];

fn source_failed(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    let condition = became(previous, next, SOURCE_READY, &SOURCE_FAULTS)?;
    let reason = SOURCE_FAULTS.into_iter().find(|reason| *reason == condition.reason)?;
    Some(warning(reason, condition.message.clone()))
}

fn became_stale(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    became(previous, next, STALE, &[reason::SOURCE_NOT_CONFIRMED])
        .map(|condition| warning(reason::SOURCE_NOT_CONFIRMED, condition.message.clone()))
}

fn source_recovered(previous: &RototoWorkspaceStatus, next: &RototoWorkspaceStatus) -> Option<WorkspaceEvent> {
    let ready = next.condition(SOURCE_READY).filter(|ready| ready.status == "True")?;
    let before = previous.condition(SOURCE_READY);
    let failed = before.is_some_and(|before| SOURCE_FAULTS.contains(&before.reason.as_str()));
    let was_stale = previous.is(STALE, "True") && !next.is(STALE, "True");
    let message = &ready.message;
    match (failed, was_stale) {
        (_, true) => Some(normal(reason::RECOVERED, format!("the source is confirmed again: {message}"))),
        (true, false) => Some(normal(reason::RECOVERED, format!("the source can be read again: {message}"))),
        (false, false) => None,
    }
}

/// Returns the condition, if it has one of these reasons now and had another before.
fn became<'a>(
    previous: &RototoWorkspaceStatus,
    next: &'a RototoWorkspaceStatus,
    type_: &str,
    reasons: &[&str],
) -> Option<&'a Condition> {
    let now = next.condition(type_).filter(|now| reasons.contains(&now.reason.as_str()))?;
    previous.condition(type_).is_none_or(|before| before.reason != now.reason).then_some(now)
}

fn holds(status: &RototoWorkspaceStatus, type_: &str) -> Option<bool> {
    match status.condition(type_)?.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

fn normal(reason: &'static str, message: String) -> WorkspaceEvent {
    WorkspaceEvent { severity: EventSeverity::Normal, reason, message }
}

fn warning(reason: &'static str, message: String) -> WorkspaceEvent {
    WorkspaceEvent { severity: EventSeverity::Warning, reason, message }
}
