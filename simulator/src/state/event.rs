//! The events of a history, each at its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rototo_api::fleet::{Report, ReportResponse};
use rototo_engine::Fingerprint;
use rototo_protocol::Marked;
use rototo_protocol::fleet::Moment;
use rototo_protocol::follower::ContentSource;
use rototo_protocol::plan::MarkerEntry;

use super::claim::Claim;
use super::pod::PodObject;
use crate::script::Act;

/// The result of a request for content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Had {
    From(ContentSource),
    /// The operator gave nothing.
    Nothing,
    /// Neither the operator nor the source gave it.
    NotEvenDirectly,
}

/// Something that happens at its time. What is large is boxed, because the queue moves its events.
#[derive(Debug)]
pub enum Event {
    Act(Act),
    Quiet,
    /// A report arrives at the operators' Service.
    Report {
        process: usize,
        handle: u64,
        report: Box<Report>,
    },
    /// The answer arrives, or the time-out.
    Answer {
        process: usize,
        handle: u64,
        answer: Option<Box<ReportResponse>>,
    },
    /// A process says again that it has drained.
    Drained {
        process: usize,
        handle: u64,
    },
    /// The watch of a process shows what the map is.
    Watch {
        process: usize,
    },
    /// A list that a process asked for arrives.
    List {
        process: usize,
    },
    Fetched {
        process: usize,
        handle: u64,
        fingerprint: Fingerprint,
        work: u64,
        had: Had,
    },
    Timer {
        process: usize,
        handle: u64,
        armed: u64,
    },
    /// A process ends by itself, or by its kubelet.
    Die {
        process: usize,
    },
    /// A container starts anew.
    Restart {
        pod: usize,
    },
    /// The operator's watch brings a pod, or a list of all.
    PodSeen {
        operator: usize,
        life: u64,
        pod: usize,
        facts: Box<PodObject>,
    },
    MapSeen {
        operator: usize,
        life: u64,
    },
    Reconcile {
        operator: usize,
        life: u64,
        armed: u64,
    },
    PollEnded {
        operator: usize,
        record: u64,
        began: Moment,
        /// The commit and its content, unless the git host did not answer.
        found: Option<(u64, u8)>,
        /// The version of the spec that is read, and the content that its rules refuse.
        rules: (u64, Option<u8>),
    },
    /// The operator has the turn of the namespace, after it has judged the newest content.
    Turn {
        operator: usize,
        record: u64,
    },
    /// A patch of the marker arrives at the API server.
    Patch {
        operator: usize,
        record: u64,
        version: Option<u64>,
        marked: Box<Marked>,
        answered: bool,
    },
    PatchAnswer {
        operator: usize,
        record: u64,
        accepted: Option<bool>,
    },
    StatusPatch {
        operator: usize,
        record: u64,
        version: u64,
        claim: Box<Claim>,
    },
    StatusAnswer {
        operator: usize,
        record: u64,
        claim: Option<Box<(u64, Claim)>>,
    },
    /// The operator's watch brings the workspace, or its end.
    WorkspaceSeen {
        operator: usize,
        life: u64,
    },
    CreateWorkspace,
    /// The operator removes what a workspace that is gone has left, step by step.
    Sweep {
        operator: usize,
        life: u64,
    },
    SweepPatch {
        operator: usize,
        life: u64,
        version: u64,
        marker: Box<MarkerEntry>,
        decided: Moment,
    },
    /// The workspace is no longer suspended.
    Resume,
    /// The rules of this version of the spec end.
    RulesEnd {
        spec: u64,
    },
    /// The selector of the fleet is valid again.
    SelectorMended,
    /// Operators run again.
    OperatorsBack,
    Start {
        operator: usize,
    },
    GiveLease {
        operator: usize,
    },
}

/// The events to come, the next first; events of the same time in the order in which they were added.
#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Queued>>,
    count: u64,
}

struct Queued(Moment, u64, Event);

impl Queue {
    pub fn push(&mut self, at: Moment, event: Event) {
        self.count += 1;
        self.heap.push(Reverse(Queued(at, self.count, event)));
    }

    pub fn pop(&mut self) -> Option<(Moment, Event)> {
        self.heap.pop().map(|Reverse(Queued(at, _, event))| (at, event))
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}
