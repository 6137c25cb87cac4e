//! One process of a fleet: what it said last, and whether it is still there.

use std::time::{Duration, Instant};

use rototo_api::fleet::ProcessState;
use rototo_api::workspace::Straggler;

use super::{Fleet, PodIdentity, Pods, Publish};

/// How often a process may miss its promised report before it is silent.
pub(super) const MISSED_REPORTS: u32 = 3;
/// How much later than promised a report may come when a newer process of the same pod has already reported: then the
/// older one most likely ended without a word.
const SUCCESSOR_GRACE: Duration = Duration::from_secs(2);
/// The watch on pods may be this much behind a process that reports.
const POD_WATCH_LAG: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Process {
    pub(super) pod: Option<PodIdentity>,
    pub(super) state: ProcessState,
    pub(super) reason: Option<String>,
    pub(super) runs: Option<Publish>,
    pub(super) first_report: Instant,
    pub(super) last_report: Instant,
    pub(super) next_report_within: Duration,
    /// When it first said that it had applied the goal.
    pub(super) applied_goal: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Live,
    Silent,
    Left,
}

impl Fleet {
    pub(super) fn presence(&self, process: &Process, pods: &Pods, now: Instant) -> Presence {
        if process.state == ProcessState::Draining || process.pod_is_gone(pods, now) {
            return Presence::Left;
        }
        let quiet = now.saturating_duration_since(process.last_report);
        if quiet < self.silent_after(process) {
            Presence::Live
        } else if self.has_successor(process) {
            Presence::Left
        } else {
            Presence::Silent
        }
    }

    pub(super) fn silent_after(&self, process: &Process) -> Duration {
        if self.has_successor(process) {
            process.next_report_within + SUCCESSOR_GRACE
        } else {
            process.next_report_within * MISSED_REPORTS
        }
    }

    /// Whether another process of the same pod started later: a container that was restarted, or one of several.
    pub(super) fn has_successor(&self, process: &Process) -> bool {
        let youngest = process.pod_uid().and_then(|uid| self.youngest.get(uid));
        youngest.is_some_and(|youngest| *youngest > process.first_report)
    }
}

impl Process {
    pub(super) fn pod_uid(&self) -> Option<&str> {
        self.pod.as_ref().map(|pod| pod.uid.as_str())
    }

    pub(super) fn pod_is_gone(&self, pods: &Pods, now: Instant) -> bool {
        let just_started = now.saturating_duration_since(self.first_report) < POD_WATCH_LAG;
        !just_started && self.pod_uid().is_some_and(|uid| !pods.running.contains(uid))
    }

    /// A process whose verification is old still runs what it names.
    pub(super) fn has_applied(&self, publish: &Publish) -> bool {
        matches!(self.state, ProcessState::Applied | ProcessState::Stale) && self.runs.as_ref() == Some(publish)
    }

    /// Refusing an older publish says nothing about this one.
    pub(super) fn refuses(&self, publish: &Publish) -> bool {
        self.state == ProcessState::Rejected && self.runs.as_ref() == Some(publish)
    }

    pub(super) fn straggler(&self, id: &str, silent: bool) -> Straggler {
        let name = self.pod.as_ref().map_or(id, |pod| &pod.name);
        let state = if silent { ProcessState::Silent } else { self.state };
        // One that has applied an older publish has not said a word about this one yet.
        let state = if state == ProcessState::Applied { ProcessState::Pending } else { state };
        straggler(name, state_name(state), self.reason.clone())
    }
}

pub(super) fn straggler(name: &str, state: &str, reason: Option<String>) -> Straggler {
    Straggler { name: name.to_owned(), state: state.to_owned(), reason }
}

/// The state as it stands in reports and in status.
#[must_use]
pub fn state_name(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Starting => "starting",
        ProcessState::Pending => "pending",
        ProcessState::Applied => "applied",
        ProcessState::Rejected => "rejected",
        ProcessState::Stale => "stale",
        ProcessState::Orphaned => "orphaned",
        ProcessState::Draining => "draining",
        ProcessState::Silent => "silent",
    }
}
