//! An operator's record of the workspace, with the facts that the world notes beside it for its checks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rototo_api::UpdatedAt;
use rototo_api::fleet::{PreparationState, ProcessState};
use rototo_engine::Fingerprint;
use rototo_protocol::fleet::{Fleet, FleetStart, Moment};
use rototo_protocol::plan::MarkerEntry;
use rototo_protocol::publisher::{Detection, Publisher};
use rototo_protocol::{Marked, Publish};

use crate::world::{Claim, MIN_HEARTBEAT, World};

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
    /// The processes that status counted when this record began.
    pub inherited: BTreeSet<usize>,
    pub dropped: BTreeSet<usize>,
    pub figures: BTreeMap<UpdatedAt, u64>,
    pub landed: BTreeMap<UpdatedAt, Members>,
    /// A process has reported that it runs what a stage ran that is over. An operator that starts does not know under which names
    /// an earlier one announced content, and takes it for a process that follows somebody else's marker.
    pub heard_a_stage_that_is_over: bool,
    /// The names under which this record has announced publishes.
    pub announcements: BTreeSet<UpdatedAt>,
}

/// The last report of a process that an operator has taken.
#[derive(Clone, Debug)]
pub struct ReceivedReport {
    pub sequence: Option<u64>,
    pub state: ProcessState,
    pub publish: Option<Publish>,
    /// The last announced content that it spoke about, and what it said.
    pub answered: Option<(Fingerprint, PreparationState)>,
    pub received: Moment,
    pub first: Moment,
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

impl ReceivedReport {
    pub fn drained(&self) -> bool {
        self.state == ProcessState::Draining
    }

    pub fn runs_nothing(&self) -> bool {
        self.publish.is_none() && matches!(self.state, ProcessState::Starting | ProcessState::Pending)
    }

    /// Returns whether it says that the process resolves from this content, under whatever name.
    pub fn runs(&self, fingerprint: Fingerprint) -> bool {
        self.resolves() && self.publish.is_some_and(|publish| publish.fingerprint == fingerprint)
    }

    fn resolves(&self) -> bool {
        matches!(self.state, ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned)
    }

    /// Returns whether it says that the process does not run this.
    pub fn says_otherwise(&self, publish: Publish) -> bool {
        !(self.drained() || self.runs_nothing() || self.resolves() && self.publish == Some(publish))
    }
}

impl World {
    /// The operator that leads begins to remember a workspace: it knows what the API server says, and has no report.
    pub fn begin_record(&mut self, operator: usize, uid: u64) {
        let (now, wall) = (self.now, self.wall_of(operator));
        let status = self.api.status.clone().filter(|_| self.api.workspace == Some(uid));
        let version = self.api.status_version;
        let leader = &self.operators[operator];
        let marker = leader.map.map_or(self.api.marker, |(_, marker)| marker);
        let unmarked = status.is_none() && marker == MarkerEntry::Nothing;
        // Processes of a namesake that is gone may run on.
        let new = unmarked && leader.record.is_none() && !leader.swept && !leader.has_predecessor;
        let start = match &status {
            _ if new => FleetStart::New,
            Some(claim) => {
                let ago = wall.duration_since(claim.as_of);
                FleetStart::Known { processes: claim.counted, counted_ago: ago.try_into().unwrap_or_default() }
            }
            None => FleetStart::Known { processes: 0, counted_ago: Duration::ZERO },
        };
        // A figure that was shown before stays what it was.
        let figures = status.iter().flat_map(|claim| claim.history.iter());
        let figures = figures.filter_map(|(name, all)| Some((*name, (*all)?))).collect();
        self.records += 1;
        let inheritance = self.inheritance(operator, uid);
        let mut record = Record {
            number: self.records,
            uid,
            began: now,
            reads_marker_since: None,
            fleet: Fleet::new(start, MIN_HEARTBEAT, now),
            publisher: Publisher::default(),
            candidate: None,
            polled_at: None,
            asks_at: Moment::ZERO,
            polling: false,
            poll_again: false,
            named: None,
            detection: None,
            patching: None,
            patched: now,
            heard_a_stage_that_is_over: false,
            announcements: BTreeSet::new(),
            writing_status: false,
            listening_since: now,
            recounts: start != FleetStart::New,
            status_wrong_since: None,
            received_reports: BTreeMap::new(),
            inherited: status.iter().flat_map(|claim| claim.members.iter().copied()).collect(),
            dropped: BTreeSet::new(),
            figures,
            landed: BTreeMap::new(),
            status: (version, status),
        };
        if let Some(inheritance) = inheritance {
            record.inherit(inheritance, MIN_HEARTBEAT, now);
        }
        self.operators[operator].record = Some(record);
        self.poll(operator);
    }

    /// The record of an operator, if it is still the one of this number.
    pub fn record_of(&mut self, operator: usize, number: u64) -> Option<&mut Record> {
        self.operators[operator].record.as_mut().filter(|record| record.number == number)
    }
}
