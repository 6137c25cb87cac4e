//! The evidence about a fleet, as the leader of the operator's replicas passes it on to the next leader.
//!
//! All times are ages at the moment of sending, because two processes have no common monotonic clock.

use serde::{Deserialize, Serialize};

use crate::UpdatedAt;
use crate::fleet::Report;

/// The evidence about the fleet of one workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetEvidence {
    /// The processes that the operator knows.
    pub processes: Vec<ProcessEvidence>,
    /// The time for which the operator has received reports without a gap, in milliseconds.
    pub listening_ms: u64,
    /// The number of processes that an earlier operator counted and that have not reported since.
    pub unaccounted: u32,
    /// The time since that earlier count, in milliseconds.
    pub counted_ms_ago: u64,
    /// The number of processes that were dropped since the last publish.
    pub dropped: u32,
    /// The publish that the fleet should reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishEvidence>,
    /// The pods that should follow the workspace, run or vanished while they ran, and of which no process counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreported: Vec<PodEvidence>,
    /// The newest name of a publish that an operator has announced. A process that is still in a stage of it, because its
    /// watch shows nothing, follows no marker of somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_announced: Option<UpdatedAt>,
}

/// The publish that a fleet should reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishEvidence {
    /// The fingerprint of its content.
    pub fingerprint: String,
    /// Its name.
    pub updated_at: UpdatedAt,
    /// The time since it was published, or since a leader learned of it, in milliseconds.
    pub published_ms_ago: u64,
}

/// The evidence about a pod of which no process has reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodEvidence {
    /// The pod.
    pub pod: PodReference,
    /// The time since its grace began, in milliseconds. `None` if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_ms_ago: Option<u64>,
    /// The time since a leader learned that its object is gone, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished_ms_ago: Option<u64>,
}

/// The evidence about one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEvidence {
    /// The pod of the process, by its verified token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodReference>,
    /// The last report of the process, without its ages and its testimony.
    pub report: Report,
    /// The age of that report in milliseconds.
    pub reported_ms_ago: u64,
    /// The time since the process opened the workspace, or since its first report where it does not say, in milliseconds.
    pub first_reported_ms_ago: u64,
    /// The time since its reports do not say that it runs what it should, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_ms_ago: Option<u64>,
    /// The time after the last report within which the next one was promised, in milliseconds.
    pub interval_ms: u64,
    /// The time since a sibling testified that the process is gone, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub testified_gone_ms_ago: Option<u64>,
    /// The time since a leader learned from the kubelet that the process has ended, in milliseconds. The pod may be gone
    /// from the Kubernetes API since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms_ago: Option<u64>,
}

/// A pod by name and UID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodReference {
    /// The pod's name.
    pub name: String,
    /// The pod's UID.
    pub uid: String,
}
