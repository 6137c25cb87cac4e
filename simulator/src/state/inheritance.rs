//! The evidence that a leader which ends in order passes on, and the record that continues with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rototo_api::evidence::FleetEvidence;
use rototo_protocol::fleet::{Fleet, Moment, passed_directly};

use super::received_report::ReceivedReport;
use super::record::Record;

/// The evidence that an operator has received.
pub struct Inheritance {
    /// The term of the sender.
    term: u64,
    /// The UID of the workspace.
    uid: u64,
    evidence: FleetEvidence,
    received: Moment,
    // Known to the world for its checks.
    received_reports: BTreeMap<usize, ReceivedReport>,
    counted_at: Moment,
    inherited: BTreeSet<usize>,
    dropped: BTreeSet<usize>,
    began: Moment,
    listening_since: Moment,
}

impl Inheritance {
    /// Returns whether it is about the workspace with this UID, and its sender led directly before the holder of this term.
    pub fn counts(&self, uid: u64, term: u64) -> bool {
        let known = |term: u64| i32::try_from(term).ok();
        self.uid == uid && passed_directly(known(self.term), known(term))
    }
}

impl Record {
    /// Returns what the leader of this term passes on, if it knows the fleet. The other operator receives it at that time.
    pub fn pass_on(&mut self, term: u64, now: Moment, received: Moment) -> Option<Inheritance> {
        let evidence = self.fleet.evidence(now)?;
        Some(Inheritance {
            term,
            uid: self.uid,
            evidence,
            received,
            received_reports: self.received_reports.clone(),
            counted_at: self.counted_at,
            inherited: self.inherited.clone(),
            dropped: self.dropped.clone(),
            began: self.began,
            listening_since: self.listening_since,
        })
    }

    /// Continues where another operator has ended.
    pub fn inherit(&mut self, inheritance: Inheritance, heartbeat: Duration, now: Moment) {
        self.fleet = Fleet::inherited(&inheritance.evidence, heartbeat, inheritance.received);
        self.fleet.turned_away(now);
        self.received_reports = inheritance.received_reports;
        self.counted_at = inheritance.counted_at;
        self.inherited = inheritance.inherited;
        self.dropped = inheritance.dropped;
        self.began = inheritance.began;
        self.listening_since = inheritance.listening_since;
        self.recounts = false;
    }
}
