//! A claim about a fleet: from a status, or from an answer of its operator. Pure.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rototo_api::condition::CONVERGED;
use rototo_api::convergence::{Convergence, Straggler};
use rototo_api::workspace::{FleetStatus, RototoWorkspaceStatus};

/// The validity of a claim where the status does not give it.
const GOOD_FOR: Duration = Duration::from_secs(45);
/// The difference of two clocks that is no fault: the time of a claim may be this far in the future.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(60);

/// The source of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimSource {
    /// The operator itself, which computes the answer on request.
    Operator,
    /// The status of the workspace, which may be old.
    Status,
}

impl ClaimSource {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Status => "status",
        }
    }
}

/// A claim about the fleet of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) by: ClaimSource,
    /// The time of the claim, by the operator's clock.
    pub(crate) as_of: Option<Timestamp>,
    pub(crate) observed_generation: Option<i64>,
    pub(crate) fingerprint: Option<String>,
    /// The revisions that have the published content, the newest first.
    pub(crate) revisions: Vec<String>,
    /// The newest revision of the source.
    pub(crate) newest: Option<String>,
    /// The newest content of the source, as a fingerprint.
    pub(crate) newest_content: Option<String>,
    pub(crate) converged: ConvergedCondition,
    pub(crate) fleet: FleetCounts,
}

/// The condition `Converged`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConvergedCondition {
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// The number of processes that run the publish, and the stragglers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FleetCounts {
    pub(crate) applied: u32,
    pub(crate) expected: Option<u32>,
    pub(crate) processes: u32,
    pub(crate) behind: Vec<Straggler>,
}

impl FleetCounts {
    pub(crate) fn total(&self) -> u32 {
        self.expected.unwrap_or(self.processes)
    }

    /// Returns `37/37`, or `37 of 37 that report` where the expected number is unknown.
    pub(crate) fn summary(&self) -> String {
        match self.expected {
            Some(expected) => format!("{}/{expected}", self.applied),
            None => format!("{} of {} that report", self.applied, self.processes),
        }
    }
}

impl Claim {
    /// Makes the claim of a status.
    pub(crate) fn of_status(status: &RototoWorkspaceStatus) -> Self {
        let condition = status.condition(CONVERGED);
        let FleetStatus { applied, expected, processes, behind, .. } = status.fleet.clone().unwrap_or_default();
        Self {
            by: ClaimSource::Status,
            as_of: as_of(status),
            observed_generation: status.observed_generation,
            fingerprint: status.published.as_ref().map(|published| published.fingerprint.clone()),
            revisions: revisions(status),
            newest: status.source.as_ref().and_then(|source| source.revision.clone()),
            newest_content: status.source.as_ref().and_then(|source| source.fingerprint.clone()),
            converged: condition.map_or_else(ConvergedCondition::default, |condition| ConvergedCondition {
                status: condition.status.clone(),
                reason: condition.reason.clone(),
                message: condition.message.clone(),
            }),
            fleet: FleetCounts { applied, expected, processes, behind },
        }
    }

    /// Makes the claim of an answer of the operator.
    pub(crate) fn of_operator(answer: &Convergence) -> Self {
        Self {
            by: ClaimSource::Operator,
            as_of: Some(answer.as_of),
            observed_generation: answer.observed_generation,
            fingerprint: answer.fingerprint.clone(),
            revisions: answer.revisions.clone(),
            newest: answer.source_revision.clone(),
            newest_content: answer.source_fingerprint.clone(),
            converged: ConvergedCondition {
                status: answer.status.clone(),
                reason: answer.reason.clone(),
                message: answer.message.clone(),
            },
            fleet: FleetCounts {
                applied: answer.applied,
                expected: answer.expected,
                processes: answer.processes,
                behind: answer.behind.clone(),
            },
        }
    }
}

/// Returns the published revisions, the newest first. An older operator wrote only the newest.
fn revisions(status: &RototoWorkspaceStatus) -> Vec<String> {
    let Some(published) = &status.published else { return Vec::new() };
    let newest = published.revision.iter().filter(|revision| !published.revisions.contains(revision));
    newest.chain(&published.revisions).cloned().collect()
}

/// Returns the time of a status.
pub(crate) fn as_of(status: &RototoWorkspaceStatus) -> Option<Timestamp> {
    status.fleet.as_ref()?.as_of.as_ref().map(|time| time.0)
}

/// Returns the validity of a claim about this fleet.
pub(crate) fn good_for(status: &RototoWorkspaceStatus) -> Duration {
    let seconds = status.fleet.as_ref().map_or(0, |fleet| fleet.claim_seconds);
    if seconds == 0 { GOOD_FOR } else { Duration::from_secs(u64::from(seconds)) }
}

/// Returns whether a time is too far in the future to come from a clock that is right, or one of the clocks is wrong.
pub(crate) fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > CLOCKS_DIFFER
}
