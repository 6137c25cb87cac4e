//! Operators: the glue between the pure parts, as thin as the real one, in a world in which every step takes time.
//!
//! - here: the life of an operator process, its lease, and its reconciles.
//! - `record`: the beginning of what it remembers of the workspace.
//! - `handover`: the evidence that one leader passes on to the next.
//! - `publishing`: from the source to the marker.
//! - `reports`: what processes say, and what they are answered.
//! - `status`: what is claimed.
//! - `workspace`: the object comes and goes, and what it leaves is swept.

mod handover;
mod publishing;
mod record;
mod reports;
mod status;
mod workspace;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rototo_protocol::fleet::Moment;

use crate::state::event::Event;
use crate::state::operator::Operator;
use crate::state::times::QUIET_AT;
use crate::state::world::World;

/// The poll interval.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// The turn of the namespace comes within so many milliseconds.
const MOST_TURN: u64 = 200;
/// So long a lease is held without being renewed, by the holder's own clock.
const HELD: Duration = Duration::from_secs(8);

impl World {
    pub fn start_operator(&mut self, operator: usize) {
        if self.operators[operator].alive || self.now < self.faults.operators_down {
            return;
        }
        let before = &self.operators[operator];
        let fresh =
            Operator { life: before.life + 1, clock_offset: before.clock_offset, alive: true, ..Operator::new() };
        self.operators[operator] = fresh;
        self.operators[operator].last_pod_event = self.now;
        self.operators[operator].shown_workspace = self.api.workspace;
        for pod in 0..self.pods.len() {
            if self.pods[pod].exists {
                self.show_pod(operator, pod, true);
            }
        }
        self.show_map(operator);
    }

    pub fn stop_operator(&mut self, operator: usize) {
        self.operators[operator].alive = false;
        self.operators[operator].life += 1;
        if self.lease == Some(operator) {
            self.take_lease_away();
        }
    }

    pub fn take_lease_away(&mut self) {
        if let Some(operator) = self.lease.take() {
            let leader = &mut self.operators[operator];
            // Whoever leads next looks for itself.
            leader.record = None;
            leader.sweeps = None;
            leader.waits_for_turn = false;
        }
    }

    /// Gives the lease to an operator, if it is free: it knows what the API server says, and has no report.
    pub fn give_lease(&mut self, operator: usize) {
        if self.lease.is_some() || !self.operators[operator].alive {
            return;
        }
        self.lease = Some(operator);
        self.terms += 1;
        self.operators[operator].has_predecessor = self.terms > 1;
        self.operators[operator].turned_away = self.now;
        match self.operators[operator].shown_workspace {
            Some(uid) => self.begin_record(operator, uid),
            None => self.sweep_soon(operator),
        }
        self.requeue(operator, Duration::from_millis(1));
    }

    fn wall_of(&self, operator: usize) -> Timestamp {
        let offset = SignedDuration::from_millis(self.operators[operator].clock_offset);
        self.wall().checked_add(offset).unwrap_or_default()
    }

    /// Returns whether the operator holds the lease, fresh by its own clock.
    fn leads(&self, operator: usize) -> bool {
        self.lease == Some(operator) && self.operators[operator].alive && self.now >= self.lapsed_until()
    }

    /// Returns until when the lease has lapsed: an operator that can't reach the API server for long lets it.
    fn lapsed_until(&self) -> Moment {
        let cut = self.faults.operator_cut;
        if cut > self.now + HELD { cut } else { Moment::ZERO }
    }

    fn is_cut(&self) -> bool {
        self.now < self.faults.operator_cut
    }

    pub fn somebody_serves(&self) -> bool {
        self.operators.iter().any(|operator| operator.alive && operator.shown_workspace.is_some())
    }

    pub fn requeue_all_operators(&mut self) {
        for operator in 0..self.operators.len() {
            self.requeue(operator, Duration::from_millis(1));
        }
    }

    /// Asks for a reconcile, if none is due before.
    pub fn requeue(&mut self, operator: usize, delay: Duration) {
        let at = self.now + delay;
        let leader = &mut self.operators[operator];
        if leader.next_at.is_some_and(|next| next <= at && next >= self.now) {
            return;
        }
        leader.armed += 1;
        leader.next_at = Some(at);
        let (life, armed) = (leader.life, leader.armed);
        self.at(at, Event::Reconcile { operator, life, armed });
    }

    pub fn reconcile_due(&mut self, operator: usize, life: u64, armed: u64) {
        let leader = &mut self.operators[operator];
        if leader.life != life || leader.armed != armed {
            return;
        }
        leader.next_at = None;
        self.reconcile(operator);
    }

    fn reconcile(&mut self, operator: usize) {
        let leader = &self.operators[operator];
        let Some(uid) = leader.shown_workspace.filter(|_| self.lease == Some(operator)) else { return };
        // A new object gets a new record, also under an old name.
        if leader.record.as_ref().is_none_or(|record| record.uid != uid) {
            self.operators[operator].waits_for_turn = false;
            self.begin_record(operator, uid);
        }
        if !self.leads(operator) {
            return self.let_lease_lapse(operator);
        }
        if self.operators[operator].map.is_none() {
            // The first lists have not come.
            return;
        }
        if self.operators[operator].waits_for_turn {
            return;
        }
        self.poll_if_due(operator);
        let spec = self.api.requests.spec;
        if let Some(record) = &mut self.operators[operator].record {
            record.source.judge(spec, record.candidate);
        }
        // Others of the namespace may write the map now.
        if self.now < QUIET_AT && self.rng.u8(0..4) == 0 {
            let Some(record) = self.operators[operator].record.as_ref().map(|record| record.number) else { return };
            let wait = Duration::from_millis(self.rng.u64(1..MOST_TURN));
            self.operators[operator].waits_for_turn = true;
            return self.after(wait, Event::Turn { operator, record });
        }
        self.decide(operator);
    }

    /// The turn of the namespace has come: the newest content may be another one than was judged.
    pub fn turn_comes(&mut self, operator: usize, record: u64) {
        if self.record_of(operator, record).is_none() {
            return;
        }
        self.operators[operator].waits_for_turn = false;
        if self.leads(operator) {
            self.decide(operator);
        }
        self.requeue(operator, Duration::from_millis(1));
    }

    fn decide(&mut self, operator: usize) {
        if !self.is_cut() {
            self.publish(operator);
        }
        self.report_status(operator);
    }

    /// Lets the lease lapse. When it is renewed, nothing is known of the time between.
    fn let_lease_lapse(&mut self, operator: usize) {
        let until = self.faults.operator_cut;
        self.somebody_left = true;
        let leader = &mut self.operators[operator];
        // Nobody else led meanwhile.
        if leader.took_over_in == Some(self.terms) {
            leader.took_over_in = Some(self.terms + 1);
        }
        self.terms += 1;
        if let Some(record) = &mut leader.record {
            record.fleet.listening_interrupted(until);
            record.listening_since = until;
            record.recounts = true;
        }
        let (life, armed) = (leader.life, leader.armed);
        self.at(until + Duration::from_millis(5), Event::Reconcile { operator, life, armed });
    }
}
