//! The input that a status is derived from.

use std::time::Duration;

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_api::analysis::AnalysisStatus;
use rototo_api::condition::reason;
use rototo_api::marker::{Gate, Stage};
use rototo_api::rollout::RequestStatus;
use rototo_api::workspace::{RototoWorkspaceSpec, RototoWorkspaceStatus, Straggler};
use rototo_protocol::Publish;
use rototo_protocol::fleet::{FleetView, RehearsalView, StageCounts};
use rototo_protocol::hold::Shrink;

use crate::marker::problem::PublishProblem;
use crate::source::candidate::Candidate;
use crate::source::seen_revisions::SeenRevisions;
use crate::status::command::AnnotateCommand;

/// Everything about a workspace at one moment that its status is derived from.
#[derive(Debug)]
pub struct StatusInput<'a> {
    /// The spec of the workspace.
    pub spec: &'a RototoWorkspaceSpec,
    /// The generation of `spec`.
    pub generation: Option<i64>,
    /// The time by the operator's clock.
    pub now: Timestamp,
    /// The state of the source.
    pub source: SourceInput<'a>,
    /// The publish that the API server has accepted.
    pub published: Option<Publish>,
    /// False until this process has read the marker. Until then, what is published is known from the status alone.
    pub marker_is_known: bool,
    /// Why pods may run that the operator does not know, if they may.
    pub pods_missing: Option<String>,
    /// True if what is published was published before another replica had a copy of it, and none is known to have one
    /// now.
    pub alone: bool,
    /// The newest content, if it is held until a person allows it.
    pub held: Option<HeldInput>,
    /// The rollout of the newest content, while only a part of the fleet runs it.
    pub rollout: Option<RolloutInput>,
    /// The newest name that was announced, if any is known.
    pub newest_announced: Option<UpdatedAt>,
    /// The rehearsal of the announced publish.
    pub rehearsal: Option<&'a RehearsalView>,
    /// The requests of people.
    pub steering: SteeringInput,
    /// The reason why the marker is not what it should be.
    pub problem: Option<&'a PublishProblem>,
    /// The fleet as it was counted.
    pub fleet: &'a FleetView,
    /// The time for which a process has been behind, if one is.
    pub behind_for: Option<Duration>,
    /// `spec.fleet.selector` is a valid selector.
    pub selector_usable: bool,
    /// The last request for a reconcile that was answered.
    pub handled_request: Option<&'a str>,
    /// The status that this process wrote last, or else the one that the object has.
    pub previous: &'a RototoWorkspaceStatus,
}

/// Content that is held until a person allows it.
#[derive(Clone, Debug)]
pub struct HeldInput {
    /// The revision; for a source without commits, the fingerprint of its content.
    pub revision: String,
    /// The fingerprint of its content.
    pub fingerprint: String,
    /// The reason for which it is held.
    pub reason: HeldReason,
    /// The command that releases it.
    pub release: String,
}

/// The requests of people, and the users behind them.
#[derive(Clone, Debug, Default)]
pub struct SteeringInput {
    /// The request about a rollout, and its effect.
    pub request: Option<RequestStatus>,
    /// The user who promoted what is published.
    pub promoted_by: Option<String>,
    /// The user who took back what is held, if the last request was that.
    pub aborted_by: Option<String>,
    /// The user who has the content published that is on its way, whatever processes report about it.
    pub anyway_by: Option<String>,
    /// The user who allows a revision to remove most variables.
    pub shrink_by: Option<String>,
}

/// The rollout of content that only a part of the fleet runs.
#[derive(Clone, Debug)]
pub struct RolloutInput {
    /// The revision; for a source without commits, the fingerprint of its content.
    pub revision: String,
    /// The announced publish.
    pub next: Publish,
    /// The revision that waits for the end of the rollout.
    pub queued: Option<String>,
    /// Where the marker stands.
    pub stage: Stage,
    /// The number of steps.
    pub steps: usize,
    /// The counts of both sides.
    pub counts: StageCounts,
    /// The measurements of this step.
    pub analysis: Vec<AnalysisStatus>,
    /// The command that sets an annotation.
    pub(crate) command: AnnotateCommand,
}

/// The reason for which content is held.
#[derive(Clone, Debug)]
pub enum HeldReason {
    /// Its publish would remove most variables.
    Shrinks(Shrink),
    /// These processes refuse it in its rehearsal.
    Refused {
        /// The first ten of them, by name.
        processes: Vec<Straggler>,
    },
    /// Too few processes have prepared it.
    Incomplete {
        /// The number of those that have.
        prepared: u32,
        /// The number of those that there should be.
        expected: u32,
        /// The first ten, by name, that have not.
        processes: Vec<Straggler>,
    },
    /// It was taken back during its rollout.
    TakenBack {
        /// The name under which it was announced.
        announced_as: UpdatedAt,
        /// The gate that it did not pass.
        gate: Gate,
        /// The analysis that failed, if that is known.
        analysis: Option<AnalysisStatus>,
        /// The first ten processes, by name, for which it was taken back, if they are known.
        processes: Vec<Straggler>,
    },
}

impl HeldReason {
    /// Returns the reason that `Ready` has.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shrinks(_) => reason::SHRINK_HELD,
            Self::Refused { .. } => reason::REFUSED_IN_REHEARSAL,
            Self::Incomplete { .. } => reason::REHEARSAL_INCOMPLETE,
            Self::TakenBack { .. } => reason::HELD_BACK,
        }
    }
}

/// The state of the source.
#[derive(Debug)]
pub struct SourceInput<'a> {
    /// The newest content, if it was read since the operator started.
    pub candidate: Option<&'a Candidate>,
    /// The revisions that were read since, by content.
    pub seen: &'a SeenRevisions,
    /// The time of the source's last answer.
    pub last_success: Option<Timestamp>,
    /// The age of that answer, by the monotonic clock.
    pub verified_ago: Option<Duration>,
    /// The number of failures since that answer.
    pub failures: u32,
    /// The last failure, if it has not answered since.
    pub error: Option<SourceProblem>,
    /// The spec as it is now has been read, or can't be.
    pub current: bool,
    /// Nothing has said since that the content may not be read any more. Otherwise nothing new is published.
    pub confirmed: bool,
    /// The time for which the spec has asked for something that was not read, if it does.
    pub unread_for: Option<Duration>,
}

/// The reason why the source could not be read.
#[derive(Debug)]
pub struct SourceProblem {
    /// The reason that `SourceReady` has.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
    /// The same poll may succeed later.
    pub transient: bool,
}
