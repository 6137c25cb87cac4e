//! Checks of how long things take: when nothing is in the way, a claim is made and a status is right in time.

use std::time::Duration;

use rototo_protocol::fleet::{FleetView, Moment, Verdict};
use rototo_protocol::plan::MarkerEntry;

use crate::operator::INTERVAL;
use crate::state::claim::Claim;
use crate::state::record::Record;
use crate::state::times::QUIET_AT;
use crate::state::world::World;
use crate::violation::Invariant;

/// After the last fault, pods that are being deleted end, and containers that ended start again, within this time.
const PODS_REST_WITHIN: Duration = Duration::from_secs(15);
/// Messages of a calm network and the reconcile that they cause take so long at most.
const RECONCILES_WITHIN: Duration = Duration::from_secs(1);
/// Messages of a network that delays and loses some.
const RECONCILES_LATE: Duration = Duration::from_secs(12);

impl World {
    /// Checks that a publish which everybody runs is claimed within the recount window and one heartbeat, and from then on.
    pub fn check_claimed_in_time(&mut self, operator: usize, view: &FleetView) {
        let Some(record) = &self.operators[operator].record else { return };
        let Some(since) = self.everybody_runs_it_since(operator, record).filter(|_| view.verdict != Verdict::Converged)
        else {
            return;
        };
        // Nobody can see some ends, and the operator waits for what an earlier one counted.
        let unseen = (0..self.processes.len()).any(|process| self.ended_with_no_witness(operator, record, process));
        let waits = view.unaccounted > 0 || unseen;
        let window = if waits { view.windows.forget } else { view.windows.recount };
        if self.now > since + window + view.windows.heartbeat + RECONCILES_WITHIN {
            let what = format!("everybody runs it since {} ms, and it says {:?}", since.as_millis(), view.verdict);
            self.breaks(Invariant::ClaimedInTime, what);
        }
    }

    /// Returns since when every process that lives runs what is published, and the operator with this record could know that.
    /// `None` if one does not, or if the end of one can't be seen for as long as its pod runs.
    fn everybody_runs_it_since(&self, operator: usize, record: &Record) -> Option<Moment> {
        let MarkerEntry::Published(marked) = self.api.marker else { return None };
        if marked.stage.is_some() || record.publisher.marked() != Some(marked) {
            return None;
        }
        let mut since = (QUIET_AT + PODS_REST_WITHIN).max(record.listening_since).max(self.api.marker_since);
        // The watch of the pods may have lagged.
        since = since.max(self.operators[operator].last_pod_event);
        let mut lives = false;
        for (index, process) in self.processes.iter().enumerate() {
            if self.ends_unseen(index) {
                return None;
            }
            if !process.alive || process.handles.is_empty() {
                continue;
            }
            lives = true;
            since = since.max(process.started);
            for handle in &process.handles {
                since = since.max(handle.runs_since(marked.publish)?);
            }
        }
        lives.then_some(since)
    }

    /// Returns whether a process ended where no kubelet says so, or its last report arrived at an operator that has never seen
    /// its pod.
    fn ended_with_no_witness(&self, operator: usize, record: &Record, index: usize) -> bool {
        let process = &self.processes[index];
        let knows = |pod: usize| self.operators[operator].pods.contains_key(&self.pods[pod].uid);
        let late = |pod: usize| record.received_reports.contains_key(&index) && !knows(pod);
        !process.alive && process.pod.is_none_or(|pod| self.pods[pod].lost || late(pod))
    }

    /// Checks that the status which is stored is the one that the operator claims, or has been for no longer than a write of it
    /// takes, whoever wrote it.
    pub fn check_status_in_time(&mut self, operator: usize, claim: &Claim) {
        let stored = self.api.status.as_ref();
        let right = stored.is_some_and(|stored| stored.says_the_same(claim));
        let leader = &mut self.operators[operator];
        let Some(record) = &mut leader.record else { return };
        let since = if right { None } else { Some(record.status_wrong_since.unwrap_or(self.now)) };
        record.status_wrong_since = since;
        let late = if self.network_faults > 0 { RECONCILES_LATE } else { RECONCILES_WITHIN };
        // An operator that was cut off looks again at its next reconcile.
        let reaches = self.faults.operator_cut + INTERVAL;
        let Some(since) = since.map(|since| since.max(self.status_disturbed).max(reaches).max(self.acted)) else {
            return;
        };
        if self.now > since + late {
            let what = format!("the status is wrong since {} ms", since.as_millis());
            self.breaks(Invariant::StatusInTime, what);
        }
    }

    /// Notes that a write of the status may not arrive before that time.
    pub fn disturb_status(&mut self, until: Moment) {
        self.status_disturbed = self.status_disturbed.max(until);
    }
}
