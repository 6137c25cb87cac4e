//! The record of an operator begins: with what the API server says, and with what an earlier leader has passed on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rototo_protocol::fleet::{Fleet, FleetStart, Moment};
use rototo_protocol::plan::MarkerEntry;
use rototo_protocol::publisher::Publisher;

use crate::state::record::Record;
use crate::state::source::SourceMemory;
use crate::state::times::MIN_HEARTBEAT;
use crate::state::world::World;

impl World {
    /// Begins the record of the operator that leads: it knows what the API server says, and has no report.
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
        let last_announced = status.as_ref().and_then(|claim| claim.last_announced);
        let mut record = Record {
            number: self.records,
            uid,
            began: now,
            reads_marker_since: None,
            fleet: Fleet::new(start, MIN_HEARTBEAT, now),
            publisher: Publisher::default(),
            candidate: None,
            source: SourceMemory::default(),
            polled_at: None,
            asks_at: Moment::ZERO,
            polling: false,
            poll_again: false,
            named: None,
            detection: None,
            patching: None,
            patched: now,
            last_announced,
            received_a_stage_that_is_over: false,
            announcements: BTreeSet::new(),
            writing_status: false,
            listening_since: now,
            recounts: start != FleetStart::New,
            status_wrong_since: None,
            received_reports: BTreeMap::new(),
            counted_at: status.as_ref().map_or(Moment::ZERO, |claim| claim.counted_at),
            inherited: status.iter().flat_map(|claim| claim.members.iter().copied()).collect(),
            dropped: BTreeSet::new(),
            figures,
            landed: BTreeMap::new(),
            status: (version, status),
        };
        if let Some(inheritance) = inheritance {
            record.inherit(inheritance, MIN_HEARTBEAT, now);
        }
        last_announced.into_iter().for_each(|name| record.fleet.know_name(name));
        self.operators[operator].record = Some(record);
        self.poll(operator);
    }

    /// Returns the record of an operator, if it is still the one of this number.
    pub fn record_of(&mut self, operator: usize, number: u64) -> Option<&mut Record> {
        self.operators[operator].record.as_mut().filter(|record| record.number == number)
    }
}
