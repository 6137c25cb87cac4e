//! The claims of an operator: in its answers at once, and in the status of the object.

use std::time::Duration;

use jiff::Timestamp;
use rototo_api::UpdatedAt;
use rototo_protocol::fleet::{FleetView, Moment, RehearsalView, Verdict};
use rototo_protocol::publisher::PublishInput;
use rototo_protocol::rollout::RolloutDecision;

use super::INTERVAL;
use crate::contents::content;
use crate::state::claim::Claim;
use crate::state::event::Event;
use crate::state::received_report::ReceivedReport;
use crate::state::world::World;
use crate::violation::name;

/// The time within which a decision is carried out.
const DECIDED_AGAIN: Duration = Duration::from_millis(500);
/// Status remembers so many publishes.
const HISTORY: usize = 10;

impl World {
    pub fn report_status(&mut self, operator: usize) {
        let (now, wall, broken) = (self.now, self.wall_of(operator), self.is_selector_broken());
        let leader = &mut self.operators[operator];
        let (busy, observed) = (leader.turned_away, leader.observed(broken));
        let Some(record) = &mut leader.record else { return };
        record.fleet.turned_away(busy);
        record.fleet.observe(observed);
        let view = record.fleet.view(now);
        let rules = self.rules_of(self.target(operator));
        let Some(record) = &self.operators[operator].record else { return };
        let rehearsal = record.fleet.rehearsal(rules, now);
        let next = view.next_change.into_iter().chain(rehearsal.as_ref().and_then(|view| view.next_change));
        let next = next.chain(self.step_ends(operator, rehearsal.as_ref())).min();
        self.check_view(operator, &view);
        self.check_claimed_in_time(operator, &view);
        self.check_rehearsal_ends();
        self.check_rollout_goes_on();
        self.log(|| {
            let millis = view.millis.and_then(|millis| millis.all);
            format!(
                "operator {operator}: {:?}, {} of {} processes, {} unaccounted, took {millis:?}",
                view.verdict, view.applied, view.processes, view.unaccounted
            ) + &rehearsal.map_or_else(String::new, |view| {
                format!("; {} {:?}, prepared by {} of {}", name(view.next), view.verdict, view.prepared, view.expected)
            })
        });
        let Some(claim) = self.claim(operator, &view, wall) else { return };
        self.check_status_in_time(operator, &claim);
        let cut = self.is_cut();
        let leader = &mut self.operators[operator];
        let Some(record) = &mut leader.record else { return };
        let (version, known) = &record.status;
        let same = known.as_ref().is_some_and(|known| known.says_the_same(&claim));
        if !same && !record.writing_status && !cut {
            record.writing_status = true;
            let (record, version) = (record.number, *version);
            let late = self.faults.late_status.take().unwrap_or_default();
            let delay = self.delay() + late;
            self.disturb_status(self.now + late);
            self.after(delay, Event::StatusPatch { operator, record, version, claim: Box::new(claim) });
        }
        let wake = next.unwrap_or(now + INTERVAL).min(now + INTERVAL).max(now + Duration::from_millis(1));
        self.requeue(operator, wake.saturating_sub(now));
    }

    /// Returns when the step of a rollout ends, by itself or because that is decided already.
    fn step_ends(&self, operator: usize, rehearsal: Option<&RehearsalView>) -> Option<Moment> {
        let (now, wall) = (self.now, self.wall_of(operator));
        let record = self.operators[operator].record.as_ref()?;
        let steps = self.api.requests.steps.list();
        let (accepted, candidate_known, queues) = self.source_of(operator);
        let input = PublishInput {
            accepted: accepted.map(content),
            candidate_known,
            suspended: self.is_suspended(),
            rehearsal: self.rules_of(self.target(operator)),
            anyway: self.is_anyway(self.target(operator)),
            queues,
            steps: &steps,
            request: self.api.requests.asked,
            ..PublishInput::default()
        };
        match record.publisher.rollout(&record.fleet, rehearsal?, &input, now, wall)? {
            RolloutDecision::Stay { until } => {
                let left = Duration::try_from(until?.duration_since(wall)).unwrap_or_default();
                Some(now + left + Duration::from_millis(1))
            }
            RolloutDecision::TakeBack(_) => Some(now + DECIDED_AGAIN),
            _ => candidate_known.then_some(now + DECIDED_AGAIN),
        }
    }

    fn claim(&self, operator: usize, view: &FleetView, as_of: Timestamp) -> Option<Claim> {
        let record = self.operators[operator].record.as_ref()?;
        let published = record.publisher.published();
        let mut history = record.status.1.as_ref().map(|claim| claim.history.clone()).unwrap_or_default();
        if let Some(publish) = published {
            if history.first().is_none_or(|(name, _)| *name != publish.updated_at) {
                history.insert(0, (publish.updated_at, None));
                history.truncate(HISTORY);
            }
            if let (Some((_, figure)), Some(millis)) = (history.first_mut(), view.millis) {
                *figure = figure.or(millis.all);
            }
        }
        let counts = |(index, last_report): (&usize, &ReceivedReport)| {
            let gone = last_report.drained() || record.dropped.contains(index) || !self.processes[*index].alive;
            (!gone).then_some(*index)
        };
        let still_unaccounted = record
            .inherited
            .iter()
            .copied()
            .filter(|index| view.unaccounted > 0 && !record.received_reports.contains_key(index));
        let members = record.received_reports.iter().filter_map(counts).chain(still_unaccounted).collect();
        // A part of the fleet runs something else on purpose.
        let converged = view.verdict == Verdict::Converged && !record.fleet.is_staged();
        let counted = (view.processes + view.unaccounted) as usize;
        let marked = record.publisher.marked();
        let (held, rollout) =
            (marked.and_then(|marked| marked.held), marked.and_then(|marked| marked.next.zip(marked.stage)));
        let is_later = |announced: &UpdatedAt| published.is_none_or(|publish| *announced > publish.updated_at);
        let last_announced = record.fleet.newest_announced().filter(is_later);
        let counted_at = self.now;
        Some(Claim {
            published,
            converged,
            held,
            rollout,
            last_announced,
            history,
            counted,
            members,
            as_of,
            counted_at,
        })
    }

    pub fn status_arrives(&mut self, operator: usize, record: u64, version: u64, claim: Claim) {
        let accepted = version == self.api.status_version && self.api.workspace.is_some();
        if accepted {
            self.api.status_version += 1;
            self.api.status = Some(claim.clone());
            let of_another = self.record_of(operator, record).is_none();
            if let Some(leader) = self.lease.filter(|_| of_another) {
                // The watch brings what somebody else has written.
                self.show_status(leader, Duration::from_millis(50));
            }
        }
        let answer = accepted.then(|| Box::new((self.api.status_version, claim)));
        let delay = self.delay();
        self.after(delay, Event::StatusAnswer { operator, record, claim: answer });
    }

    pub fn status_answered(&mut self, operator: usize, record: u64, claim: Option<(u64, Claim)>) {
        let stored = (self.api.status_version, self.api.status.clone());
        let workspace = self.api.workspace;
        let Some(record) = self.record_of(operator, record) else { return };
        record.writing_status = false;
        if workspace != Some(record.uid) {
            // It is gone, or is another one.
            return;
        }
        let known = match claim {
            Some((version, claim)) if version == stored.0 => (version, Some(claim)),
            // The watch brings the object as it is.
            _ => stored,
        };
        record.status = known;
        self.requeue(operator, Duration::from_millis(20));
    }

    /// Shows the object as it is to the watch of the operator.
    pub fn show_status(&mut self, operator: usize, soon: Duration) {
        let stored = (self.api.status_version, self.api.status.clone());
        let workspace = self.api.workspace;
        if let Some(record) = self.operators[operator].record.as_mut().filter(|record| workspace == Some(record.uid)) {
            record.status = stored;
            self.requeue(operator, soon);
        }
    }

    pub fn forge_status(&mut self) {
        let Some(status) = &mut self.api.status else { return };
        status.converged = true;
        self.api.status_version += 1;
        if let Some(leader) = self.lease {
            self.show_status(leader, Duration::from_millis(20));
        }
    }
}
