//! The facts that a status is derived from.

use std::time::Duration;

use jiff::Timestamp;
use rototo_api::workspace::{RototoWorkspaceSpec, RototoWorkspaceStatus};
use rototo_protocol::Publish;
use rototo_protocol::fleet::FleetView;

use crate::marker::problem::PublishProblem;
use crate::source::poll::Candidate;

/// What is known of a workspace at one moment.
#[derive(Debug)]
pub struct StatusInput<'a> {
    /// What the user asks for.
    pub spec: &'a RototoWorkspaceSpec,
    /// The generation of `spec`.
    pub generation: Option<i64>,
    /// The operator's clock.
    pub now: Timestamp,
    /// What the source says.
    pub source: SourceInput<'a>,
    /// What the marker says, as the API server has accepted it.
    pub published: Option<Publish>,
    /// Why the marker could not be written.
    pub problem: Option<&'a PublishProblem>,
    /// Who runs what.
    pub fleet: &'a FleetView,
    /// The time since which somebody is behind, if somebody is.
    pub behind_for: Option<Duration>,
    /// Whether `spec.fleet.selector` can be understood.
    pub selector_usable: bool,
    /// The request for a reconcile that was answered last.
    pub handled_request: Option<&'a str>,
    /// The status as it stands in the API server.
    pub previous: &'a RototoWorkspaceStatus,
}

/// What the source says.
#[derive(Debug)]
pub struct SourceInput<'a> {
    /// The newest content, if it was read since the operator started.
    pub candidate: Option<&'a Candidate>,
    /// When the source last answered.
    pub last_success: Option<Timestamp>,
    /// How long ago that is, by the monotonic clock.
    pub verified_ago: Option<Duration>,
    /// How often it has failed since.
    pub failures: u32,
    /// The last failure, if it has not answered since.
    pub error: Option<SourceProblem>,
    /// Whether `poll` or `error` belongs to the spec as it is now.
    pub current: bool,
}

/// Why the source could not be read.
#[derive(Debug)]
pub struct SourceProblem {
    /// A sentence.
    pub message: String,
    /// Whether the same look may succeed later.
    pub transient: bool,
}
