//! An operator's record of the workspace, with the facts that the world notes beside it for its checks.

use std::collections::{BTreeMap, BTreeSet};

use rototo_api::UpdatedAt;
use rototo_protocol::Marked;
use rototo_protocol::fleet::{Fleet, Moment};
use rototo_protocol::publisher::{Detection, Publisher};

use super::claim::Claim;
use super::received_report::ReceivedReport;
use super::source::SourceMemory;

/// The memory of an operator of the workspace, as long as it leads.
pub struct Record {
    /// The number of the record: answers to an earlier one are ignored.
    pub number: u64,
    /// The UID of the workspace.
    pub uid: u64,
    pub began: Moment,
    /// When this operator itself read the marker first: what it has inherited says nothing about it.
    pub reads_marker_since: Option<Moment>,
    pub fleet: Fleet,
    pub publisher: Publisher,
    /// The content that the source was seen to have last.
    pub candidate: Option<u8>,
    pub source: SourceMemory,
    pub polled_at: Option<Moment>,
    /// The source is not asked before.
    pub asks_at: Moment,
    pub polling: bool,
    pub poll_again: bool,
    pub named: Option<(u64, Moment)>,
    pub detection: Option<Detection>,
    /// A patch is under way.
    pub patching: Option<Marked>,
    /// The last answer to a patch.
    pub patched: Moment,
    pub writing_status: bool,
    /// Status as it knows it, and its version.
    pub status: (u64, Option<Claim>),
    pub listening_since: Moment,
    /// It may not know all processes when it begins to listen.
    pub recounts: bool,
    // Known to the world for its checks.
    /// Since when the stored status is another than the one that it claims.
    pub status_wrong_since: Option<Moment>,
    pub received_reports: BTreeMap<usize, ReceivedReport>,
    /// When the processes were counted that status counted when this record began.
    pub counted_at: Moment,
    /// The processes that status counted when this record began.
    pub inherited: BTreeSet<usize>,
    pub dropped: BTreeSet<usize>,
    pub figures: BTreeMap<UpdatedAt, u64>,
    pub landed: BTreeMap<UpdatedAt, Members>,
    /// The last announced name in the status when this record began.
    pub last_announced: Option<UpdatedAt>,
    /// A process has reported that it runs what a stage ran that is over, under a name that was not in the status when this
    /// record began. An operator that starts takes it for a process that follows somebody else's marker.
    pub received_a_stage_that_is_over: bool,
    /// The names under which this record has announced publishes.
    pub announcements: BTreeSet<UpdatedAt>,
}

/// The processes that an operator knew when it published.
#[derive(Clone, Debug)]
pub struct Members {
    pub members: Vec<usize>,
    pub detected: Moment,
    /// When the operator learned that the API server has accepted it.
    pub learned: Moment,
    /// A part of the fleet should have run something else since.
    pub staged: bool,
}
