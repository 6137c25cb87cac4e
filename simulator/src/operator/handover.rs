//! A leader that ends in order passes its evidence on to the other operator, which leads next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rototo_api::evidence::FleetEvidence;
use rototo_protocol::fleet::{Fleet, Moment, passed_directly};

use super::record::{ReceivedReport, Record};
use crate::event::Event;
use crate::world::World;

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
    inherited: BTreeSet<usize>,
    dropped: BTreeSet<usize>,
    began: Moment,
    listening_since: Moment,
}

impl World {
    /// The leader takes no more reports, sends its evidence, and gives the lease up.
    pub fn hand_over(&mut self) {
        let Some(operator) = self.lease.filter(|operator| self.leads(*operator)) else { return };
        let (now, term, other) = (self.now, self.terms, 1 - operator);
        let sent = Duration::from_millis(self.rng.u64(1..300));
        let arrives = !self.is_lost();
        let record = self.operators[operator].record.as_mut();
        let inheritance = record.and_then(|record| {
            let evidence = record.fleet.evidence(now)?;
            Some(Inheritance {
                term,
                uid: record.uid,
                evidence,
                received: now + sent,
                received_reports: record.received_reports.clone(),
                inherited: record.inherited.clone(),
                dropped: record.dropped.clone(),
                began: record.began,
                listening_since: record.listening_since,
            })
        });
        self.stop_operator(operator);
        self.after(Duration::from_secs(1), Event::Start { operator });
        if arrives && self.operators[other].alive {
            self.operators[other].inheritance = inheritance;
        }
        // Sometimes the sender itself is back before, and what the other one has received is of an earlier term.
        let (next, gap) = if self.rng.u8(0..4) == 0 { (operator, 1_001..3_000) } else { (other, 1..1_500) };
        let gap = sent + Duration::from_millis(self.rng.u64(gap));
        self.after(gap, Event::GiveLease { operator: next });
    }

    /// Returns the evidence about a workspace, if its sender led directly before this operator.
    pub(super) fn inheritance(&mut self, operator: usize, uid: u64) -> Option<Inheritance> {
        let terms = self.terms;
        let inheritance = self.operators[operator].inheritance.take()?;
        let term = |terms: u64| i32::try_from(terms).ok();
        let counts = inheritance.uid == uid && passed_directly(term(inheritance.term), term(terms));
        counts.then_some(inheritance)
    }
}

impl Record {
    /// Continues where another operator has ended.
    pub(super) fn inherit(&mut self, inheritance: Inheritance, heartbeat: Duration, now: Moment) {
        self.fleet = Fleet::inherited(&inheritance.evidence, heartbeat, inheritance.received);
        self.fleet.turned_away(now);
        self.received_reports = inheritance.received_reports;
        self.inherited = inheritance.inherited;
        self.dropped = inheritance.dropped;
        self.began = inheritance.began;
        self.listening_since = inheritance.listening_since;
        self.recounts = false;
    }
}
