//! Reports of processes, and the responses to them.

use std::time::Duration;

use rototo_api::fleet::{ProcessState, Report, ReportResponse};
use rototo_protocol::Publish;
use rototo_protocol::fleet::PodIdentity;

use crate::state::event::Event;
use crate::state::received_report::ReceivedReport;
use crate::state::world::World;

impl World {
    pub fn report_arrives(&mut self, process: usize, handle: u64, report: &Report) {
        let now = self.now;
        let delay = self.delay();
        let refused = Event::Answer { process, handle, answer: None };
        let Some(operator) = self.lease.filter(|operator| self.leads(*operator)) else {
            return self.after(delay, refused);
        };
        if now < self.faults.busy {
            self.operators[operator].turned_away = now;
            return self.after(delay, refused);
        }
        let pod = self.processes[process].pod.map(|pod| self.pods[pod].uid.clone());
        let pod = pod.map(|uid| PodIdentity { name: uid.clone(), uid });
        let jitter = self.rng.f64();
        let Some(record) = &mut self.operators[operator].record else { return self.after(delay, refused) };
        let marked = record.publisher.marked();
        let before = record.fleet.view(now).verdict;
        let Ok(taken) = record.fleet.report(report, pod, now, jitter) else { return self.after(delay, refused) };
        let after = record.fleet.view(now).verdict;
        let published = taken.intended.or(marked.map(|marked| marked.publish));
        let answer = ReportResponse {
            fingerprint: published.map(|publish| publish.fingerprint.to_string()),
            updated_at: published.map(|publish| publish.updated_at),
            revision: None,
            verified_ms_ago: Some(0),
            stale_after_ms: 300_000,
            next_report_in_ms: u64::try_from(taken.next.as_millis()).unwrap_or(0),
            report_applied_within_ms: u64::try_from(taken.applied_within.as_millis()).unwrap_or(0),
            siblings: taken.siblings,
            next: record.fleet.announced_publish().map(Publish::to_next),
        };
        let last_report = self.note_report(operator, process, report);
        self.log(|| {
            format!(
                "operator {operator} takes the report of process {process}: {:?} {:?}",
                report.state, report.updated_at
            )
        });
        if let (Some(last_report), Some(marked)) = (last_report, marked) {
            self.check_report(before, after, &last_report, self.should_run(process, &marked));
        }
        if taken.decides {
            self.requeue(operator, Duration::ZERO);
        } else if taken.news {
            self.requeue(operator, Duration::from_millis(20));
        }
        if self.is_lost() {
            return self.after(Duration::from_secs(2), Event::Answer { process, handle, answer: None });
        }
        self.after(delay, Event::Answer { process, handle, answer: Some(Box::new(answer)) });
    }

    fn note_report(&mut self, operator: usize, process: usize, report: &Report) -> Option<ReceivedReport> {
        let now = self.now;
        let publish = report.fingerprint.as_ref().and_then(|text| text.parse().ok()).zip(report.updated_at);
        let publish = publish.map(|(fingerprint, updated_at)| Publish { fingerprint, updated_at });
        let stays = publish.is_some_and(|publish| self.stays_in_a_stage(publish));
        let record = self.operators[operator].record.as_mut()?;
        let is_known = publish.is_some_and(|publish| record.last_announced >= Some(publish.updated_at));
        record.received_a_stage_that_is_over |= stays && !is_known;
        let sequence = report.sequence;
        let known = record.received_reports.get(&process);
        // Reports of an older client count in the order of their arrival.
        if known.is_some_and(|known| sequence.zip(known.sequence).is_some_and(|(this, last)| this <= last)) {
            return None;
        }
        let first = known.map_or(now, |known| known.first);
        let next = report.next.as_ref().and_then(|next| Some((next.fingerprint.parse().ok()?, next.state)));
        // Whoever runs what it had refused has changed its mind.
        let runs = publish.filter(|_| report.state != ProcessState::Rejected).map(|publish| publish.fingerprint);
        // A process that has drained has left, and with it what it had refused. When it opens the workspace again, it
        // prepares anew.
        let drains = report.state == ProcessState::Draining;
        let answered = |before: Option<&ReceivedReport>| {
            let before = before.filter(|_| !drains).and_then(|before| before.answered);
            next.or(before.filter(|(content, _)| runs != Some(*content)))
        };
        let (state, known) = (report.state, answered(known));
        let last_report = ReceivedReport { sequence, state, publish, answered: known, received: now, first };
        record.received_reports.insert(process, last_report.clone());
        record.dropped.remove(&process);
        let last_taken = &mut self.processes[process].last_taken;
        let late = last_taken
            .as_ref()
            .is_some_and(|last_taken| sequence.zip(last_taken.sequence).is_some_and(|(this, last)| this <= last));
        if !late {
            *last_taken = Some(ReceivedReport { answered: answered(last_taken.as_ref()), ..last_report.clone() });
        }
        Some(last_report)
    }
}
