//! A leader that ends in order passes its evidence on to the other operator, which leads next.

use std::time::Duration;

use crate::state::event::Event;
use crate::state::inheritance::Inheritance;
use crate::state::world::World;

impl World {
    /// Has the leader take no more reports, send its evidence, and give the lease up.
    pub fn hand_over(&mut self) {
        let Some(operator) = self.lease.filter(|operator| self.leads(*operator)) else { return };
        let (now, term, other) = (self.now, self.terms, 1 - operator);
        let sent = Duration::from_millis(self.rng.u64(1..300));
        let arrives = !self.is_lost();
        let record = self.operators[operator].record.as_mut();
        let inheritance = record.and_then(|record| record.pass_on(term, now, now + sent));
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
        self.operators[operator].inheritance.take().filter(|inheritance| inheritance.counts(uid, terms))
    }
}
