//! Passes the evidence about a fleet on from one operator process to the next.
//!
//! The next process continues to count only if nobody else can have received a report in between. Its caller proves
//! that by the Lease; without that proof it begins with [`Fleet::new`], and recounts.

use std::time::Duration;

use rototo_api::evidence::{FleetEvidence, PodEvidence, PodReference, ProcessEvidence, PublishEvidence};
use rototo_api::fleet::{Degradation, Report};

use super::cohort::Cohort;
use super::process::{Process, ProcessId, drained_at};
use super::{Fleet, FleetStart, Goal, Moment, ReportedPreparation, last_report};
use crate::Publish;

/// Returns whether the lease passed directly from the process that led after `sender` changes of the holder to the one
/// that leads after `own` changes. Otherwise somebody else took reports in between, and the evidence does not count.
#[must_use]
pub fn passed_directly(sender: Option<i32>, own: Option<i32>) -> bool {
    sender.is_some_and(|sender| sender.checked_add(1) == own)
}

impl Fleet {
    /// Returns the evidence. `None` during a recount, and while a process may exist for which there is no room: the next
    /// process then has to count anew as well.
    pub fn evidence(&mut self, now: Moment) -> Option<FleetEvidence> {
        self.settle(now);
        if self.recounting || self.no_room_until(now).is_some() {
            return None;
        }
        let processes = self.processes.iter().map(|(id, process)| {
            let ended_ms_ago = self.seen_to_end(id, process).map(|then| age(then, now));
            ProcessEvidence { ended_ms_ago, ..evidence_of(id, process, now) }
        });
        Some(FleetEvidence {
            processes: processes.collect(),
            listening_ms: age(self.listening_since, now),
            unaccounted: u32::try_from(self.unaccounted()).unwrap_or(u32::MAX),
            counted_ms_ago: millis(now.saturating_sub(self.began) + self.counted_ago),
            dropped: self.dropped,
            publish: self.goal.as_ref().map(|goal| publish_evidence(goal, now)),
            unreported: self.unreported_evidence(now),
            newest_announced: self.newest_announced,
        })
    }

    /// Returns the fleet of which another process has sent this evidence at `sent`. Reports that were turned away since
    /// may be of any process, so the operator waits for silent processes anew.
    #[must_use]
    pub fn inherited(evidence: &FleetEvidence, min_heartbeat: Duration, sent: Moment) -> Self {
        let mut fleet = Self::new(FleetStart::New, min_heartbeat, sent);
        fleet.listening_since = before(sent, evidence.listening_ms);
        fleet.counted_before = usize::try_from(evidence.unaccounted).unwrap_or(usize::MAX);
        fleet.counted_ago = Duration::from_millis(evidence.counted_ms_ago);
        fleet.dropped = evidence.dropped;
        fleet.newest_announced = evidence.newest_announced;
        fleet.goal = evidence.publish.as_ref().and_then(|publish| goal_of(publish, sent));
        let goal = fleet.goal.as_ref();
        fleet.processes = evidence.processes.iter().map(|process| inherited(process, goal, sent)).collect();
        if fleet.counted_before > 0 {
            // None of them stands in for one that is missing, also after it was forgotten.
            fleet.recounted = fleet.processes.keys().cloned().collect();
            fleet.counted_before = fleet.counted_before.saturating_add(fleet.recounted.len());
        }
        fleet.inherited_pods = evidence.unreported.iter().map(|pod| InheritedPod::of(pod, sent)).collect();
        fleet
    }

    /// Returns the evidence about the pods that are missing, or vanished before a process of them reported.
    fn unreported_evidence(&self, now: Moment) -> Vec<PodEvidence> {
        let reference = |uid: &str, name: &str| PodReference { name: name.to_owned(), uid: uid.to_owned() };
        let missing = self.unreported(now).into_iter().map(|(uid, pod)| PodEvidence {
            pod: reference(uid, &pod.name),
            grace_ms_ago: self.grace_of(uid, pod).map(|from| age(from, now)),
            vanished_ms_ago: None,
        });
        let vanished = self.vanished_unreported(now).map(|vanished| PodEvidence {
            pod: reference(vanished.uid, vanished.name),
            grace_ms_ago: None,
            vanished_ms_ago: Some(age(vanished.seen, now)),
        });
        missing.chain(vanished).collect()
    }
}

/// What the last leader knew of a pod that should follow the workspace, and of which no process had reported.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct InheritedPod {
    pub(super) name: String,
    /// The time at which its grace begins, if it has one: this operator may not have seen the pod start.
    pub(super) grace_from: Option<Moment>,
    /// The time of the handover.
    pub(super) since: Moment,
    /// The time at which its object was gone, as far as this operator knows. `None` once it has seen the object itself.
    pub(super) vanished: Option<Moment>,
}

impl InheritedPod {
    fn of(evidence: &PodEvidence, sent: Moment) -> (String, Self) {
        let grace_from = evidence.grace_ms_ago.map(|ago| before(sent, ago));
        let vanished = Some(before(sent, evidence.vanished_ms_ago.unwrap_or(0)));
        let PodReference { name, uid } = evidence.pod.clone();
        (uid, Self { name, grace_from, since: sent, vanished })
    }
}

fn publish_evidence(goal: &Goal, now: Moment) -> PublishEvidence {
    let since = goal.cohort.as_ref().map_or(goal.since, Cohort::published);
    PublishEvidence {
        fingerprint: goal.publish.fingerprint.to_string(),
        updated_at: goal.publish.updated_at,
        published_ms_ago: age(since, now),
    }
}

fn goal_of(evidence: &PublishEvidence, sent: Moment) -> Option<Goal> {
    let publish = Publish { fingerprint: evidence.fingerprint.parse().ok()?, updated_at: evidence.updated_at };
    Some(Goal { publish, since: before(sent, evidence.published_ms_ago), cohort: None })
}

fn evidence_of(id: &ProcessId, process: &Process, now: Moment) -> ProcessEvidence {
    let publish = process.last_report.publish;
    let pod = id
        .pod
        .as_ref()
        .map(|uid| PodReference { name: process.pod_name.clone().unwrap_or_default(), uid: uid.clone() });
    let degraded = process.last_report.degraded.as_ref();
    // Only the time from its start to its draining counts.
    let drained_after = process.drained_at.zip(process.started_at);
    let drained_after = drained_after.and_then(|(drained, started)| drained.duration_since(started).try_into().ok());
    let drained_after = drained_after.map(millis);
    let report = Report {
        process: id.process.clone(),
        sequence: process.sequence,
        container: process.container.clone(),
        started_at: process.started_at,
        pid: process.pid,
        fingerprint: publish.map(|publish| publish.fingerprint.to_string()),
        updated_at: publish.map(|publish| publish.updated_at),
        state: process.last_report.state,
        reason: process.last_report.reason.clone(),
        prepares: process.last_report.prepares,
        next: process.last_report.next.as_ref().map(ReportedPreparation::to_report),
        // Only their order is known, and only it counts.
        degraded: degraded.map(|degraded| Degradation { reason: degraded.reason.clone(), ms_ago: 0 }),
        applied_ms_ago: degraded.filter(|degraded| degraded.since_applied).map(|_| 0),
        started_ms_ago: drained_after,
        drained_ms_ago: drained_after.map(|_| 0),
        ..Report::default()
    };
    ProcessEvidence {
        pod,
        report,
        reported_ms_ago: age(process.last_report_at, now),
        first_reported_ms_ago: age(process.follows_since, now),
        behind_ms_ago: process.applied.is_none().then(|| age(process.behind_since, now)),
        interval_ms: millis(process.promised.saturating_sub(process.last_report_at)),
        testified_gone_ms_ago: process.testified_gone.map(|then| age(then, now)),
        ended_ms_ago: None,
    }
}

fn inherited(evidence: &ProcessEvidence, goal: Option<&Goal>, sent: Moment) -> (ProcessId, Process) {
    let report = &evidence.report;
    let last_report_at = before(sent, evidence.reported_ms_ago);
    let process = Process {
        sequence: report.sequence,
        last_report: last_report(report),
        last_report_at,
        promised: last_report_at + Duration::from_millis(evidence.interval_ms),
        follows_since: before(sent, evidence.first_reported_ms_ago),
        container: report.container.clone(),
        started_at: report.started_at,
        pid: report.pid,
        testified_gone: evidence.testified_gone_ms_ago.map(|ago| before(sent, ago)),
        ended_before: evidence.ended_ms_ago.map(|ago| before(sent, ago)),
        drained_at: drained_at(report),
        ..Process::of(report, evidence.pod.as_ref().map(|pod| pod.name.clone()), sent)
    };
    let process = Process {
        applied: goal.filter(|goal| process.runs(&goal.publish)).map(|goal| goal.since),
        behind_since: before(sent, evidence.behind_ms_ago.unwrap_or(0)),
        was_there: goal.map(|goal| process.follows_since <= goal.since),
        ..process
    };
    let pod = evidence.pod.as_ref().map(|pod| pod.uid.clone());
    (ProcessId { pod, process: report.process.clone() }, process)
}

fn age(then: Moment, now: Moment) -> u64 {
    millis(now.saturating_sub(then))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn before(moment: Moment, millis: u64) -> Moment {
    moment.saturating_sub(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_counts_only_if_nobody_led_in_between() {
        assert!(passed_directly(Some(3), Some(4)));
        for (sender, own) in [
            (Some(3), Some(5)),
            (Some(3), Some(3)),
            (Some(4), Some(3)),
            (Some(i32::MAX), Some(i32::MIN)),
            (None, Some(1)),
            (Some(3), None),
            (None, None),
        ] {
            assert!(!passed_directly(sender, own), "{sender:?} {own:?}");
        }
    }
}
