//! One process of a fleet: its last word, and whether it still counts.

use jiff::Timestamp;
use rototo_api::fleet::{Pid, ProcessState, Report};

use super::{Fleet, Moment, Pods};
use crate::Publish;
use crate::windows::Windows;

/// A process misses so many promised reports before it is silent.
const MISSED_REPORTS: u32 = 3;

/// The identity of a process. A UUID alone is not enough: whoever copies it from one pod to another must not speak for
/// the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// The UID of the pod that its token is bound to.
    pub pod: Option<String>,
    /// The UUID that it drew when it started.
    pub process: String,
}

/// The evidence about a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) pod_name: Option<String>,
    pub(super) sequence: Option<u64>,
    pub(super) last_report: LastReport,
    /// When its last report came.
    pub(super) last_report_at: Moment,
    /// When it was told to report again, at the latest.
    pub(super) promised: Moment,
    /// True if it existed at the moment of the goal's publish: `None` where it does not report its age.
    pub(super) was_there: Option<bool>,
    /// When its first report came.
    pub(super) first_report_at: Moment,
    pub(super) container: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) pid: Option<Pid>,
    /// When it had applied the goal first. It may have lost it since.
    pub(super) applied: Option<Moment>,
    /// Since when its word is not that it runs the goal.
    pub(super) behind_since: Moment,
    /// When a sibling said that it is gone.
    pub(super) testified_gone: Option<Moment>,
}

/// The last word of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LastReport {
    pub(super) state: ProcessState,
    pub(super) publish: Option<Publish>,
    pub(super) reason: Option<String>,
}

/// The ways in which a process counts, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// It reports in time.
    Live,
    /// It does not report, and its pod exists: it may hang, or be cut off.
    Silent,
    /// It does not report, and nobody can see its end: it is bound to no pod, or its pod vanished.
    Unprovable,
    /// It was [`Liveness::Unprovable`] for the whole window, and is waited for no longer.
    Dropped,
    /// It has drained, or was seen to end.
    Left,
}

impl Liveness {
    pub(super) fn counts(self) -> bool {
        matches!(self, Self::Live | Self::Silent | Self::Unprovable)
    }
}

impl Fleet {
    pub(super) fn liveness(&self, id: &ProcessId, process: &Process, now: Moment) -> Liveness {
        if process.last_report.state == ProcessState::Draining {
            return Liveness::Left;
        }
        let silent = now >= process.silent_at();
        let end = process.end(id, &self.pods);
        // A report that came after the end was seen outweighs it, as long as it is fresh: a watch can lag behind.
        if end.is_some_and(|seen| seen >= process.last_report_at || silent) {
            return Liveness::Left;
        }
        if !silent {
            return Liveness::Live;
        }
        if id.pod.as_ref().is_some_and(|uid| self.pods.get(uid).is_some_and(super::Pod::runs)) {
            return Liveness::Silent;
        }
        if now < self.drops_at(process) { Liveness::Unprovable } else { Liveness::Dropped }
    }

    /// When a process whose end can't be seen is no longer waited for. Time in which the operator could not hear does not
    /// count.
    pub(super) fn drops_at(&self, process: &Process) -> Moment {
        process.last_report_at.max(self.listening_since).max(self.turned_away) + self.windows().forget
    }
}

impl Process {
    pub(super) fn of(report: &Report, pod_name: Option<String>, now: Moment) -> Self {
        Self {
            pod_name,
            sequence: None,
            last_report: LastReport { state: report.state, publish: None, reason: None },
            last_report_at: now,
            promised: now,
            was_there: None,
            first_report_at: now,
            container: None,
            started_at: None,
            pid: None,
            applied: None,
            behind_since: now,
            testified_gone: None,
        }
    }

    /// When it counts as silent, unless it reports before.
    pub(super) fn silent_at(&self) -> Moment {
        self.last_report_at + self.promised.saturating_sub(self.last_report_at) * MISSED_REPORTS
    }

    /// When its end was learned of, if it was.
    fn end(&self, id: &ProcessId, pods: &Pods) -> Option<Moment> {
        let pod = id.pod.as_ref().and_then(|uid| pods.get(uid));
        let kubelet = pod.and_then(|pod| pod.end_of(self.container.as_deref(), self.started_at, self.last_report_at));
        kubelet.into_iter().chain(self.testified_gone).max()
    }

    /// A process whose verification is old, or whose marker is gone, still runs what it names.
    pub(super) fn runs(&self, publish: &Publish) -> bool {
        let resolves =
            matches!(self.last_report.state, ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned);
        resolves && self.last_report.publish.as_ref() == Some(publish)
    }

    /// Refusing an older publish says nothing about this one. A marker that can't be read is refused without a name.
    pub(super) fn refuses(&self, publish: &Publish) -> bool {
        self.last_report.state == ProcessState::Rejected
            && self.last_report.publish.is_none_or(|refused| refused == *publish)
    }

    /// It has just started and runs nothing yet, which contradicts nothing.
    pub(super) fn is_starting(&self, windows: &Windows, now: Moment) -> bool {
        let later = self.was_there == Some(false);
        let nothing = matches!(self.last_report.state, ProcessState::Starting | ProcessState::Pending);
        later && nothing && self.last_report.publish.is_none() && now < self.first_report_at + windows.grace
    }

    /// The word for people: a process that has applied an older publish has not said anything about this one yet.
    pub(super) fn state(&self, silent: bool) -> ProcessState {
        match self.last_report.state {
            _ if silent => ProcessState::Silent,
            ProcessState::Applied => ProcessState::Pending,
            other => other,
        }
    }
}
