//! The events that a follower takes, and the actions that it asks for.

use std::time::Duration;

use rototo_api::UpdatedAt;
use rototo_api::fleet::ReportResponse;
use rototo_engine::Fingerprint;

use crate::follower::fault::Fault;
use crate::follower::reported_state::ReportedState;
use crate::{Marked, Publish};

/// The marker of this workspace, as the doorbell shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedMarker {
    /// The namespace has no marker map.
    NoMap,
    /// The map has no key for this workspace.
    NoMarker,
    /// The workspace was removed at that time.
    Removed(UpdatedAt),
    /// The marker names a publish, and may announce another.
    Published(Marked),
    /// The workspace has a marker that this process can't read.
    Unreadable(Fault),
}

/// An event that the follower reacts to.
#[derive(Clone, Debug, PartialEq)]
pub enum FollowerEvent {
    /// The marker map was listed, and shows this.
    Hydrated(ObservedMarker),
    /// The map changed within one watch, and now shows this.
    Changed(ObservedMarker),
    /// The watch is interrupted: the API server can't be reached, or refuses.
    WatchLost(Fault),
    /// The watch runs again.
    WatchRestored,
    /// This content was loaded from this place, verified, and compiled.
    Loaded(Fingerprint, ContentSource),
    /// This publish was found in the disk cache, and compiled.
    Recalled(Publish),
    /// The fetch that was under way failed.
    FetchFailed(Fault),
    /// This process refuses to run this content. It tries again later.
    Refused(Fingerprint, Fault),
    /// The content of the last [`FollowerAction::Swap`] or [`FollowerAction::Rename`] was not there, and the handle
    /// still resolves from this publish. Only an error of the caller causes that. It is reported, and the content is
    /// fetched again.
    NotSwapped(Option<Publish>),
    /// The operator took the report, and sent this response.
    Answered(ReportResponse),
    /// The operator did not take the report.
    ReportFailed(Fault),
    /// The application says that it is degraded, with this code, or that it is well.
    HealthReported(Option<String>),
    /// The application requests a refresh.
    RefreshRequested,
    /// The time of [`FollowerState::wake_at`](super::FollowerState::wake_at) has come.
    Timer,
}

/// The place from which content was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentSource {
    /// A source that knows what is published now.
    Current,
    /// The disk cache, as an earlier process left it.
    Disk,
}

/// An action for the caller to carry out.
#[derive(Clone, Debug, PartialEq)]
pub enum FollowerAction {
    /// Fetch, verify, and compile this content, in place of any fetch that is under way.
    Fetch {
        /// The content.
        fingerprint: Fingerprint,
        /// The content that runs, if the fetch may omit documents that are equal in it.
        base: Option<Fingerprint>,
    },
    /// Cancel the fetch that is under way.
    CancelFetch,
    /// Resolve from the content that was just loaded, or that is held. What ran before is held now if
    /// [`FollowerState::held`](super::FollowerState::held) names it.
    Swap(Publish),
    /// Hold the content that was just loaded beside what runs, for as long as
    /// [`FollowerState::held`](super::FollowerState::held) names it.
    Hold(Fingerprint),
    /// Keep the running content, which now is this publish and of this revision.
    Rename {
        /// The publish.
        publish: Publish,
        /// The revision, where the operator has named it.
        revision: Option<String>,
    },
    /// Report this to the operator.
    Report(ReportedState),
    /// List the marker map again, because the watch has missed a change.
    RestartWatch,
    /// Look for the last publish in the disk cache.
    Recall,
}

/// The time of a step, and a random number for it.
#[derive(Clone, Copy, Debug)]
pub struct StepTime {
    /// The time since the process began to follow.
    pub now: Duration,
    /// A random number in `0.0..1.0`.
    pub chance: f64,
}
