//! One process of a fleet: its last report, and whether the process still counts.

use std::time::Duration;

use jiff::Timestamp;
use rototo_api::fleet::{Pid, ProcessState, Report};
use rototo_engine::Fingerprint;

use super::{Fleet, Moment, Pod, Pods, ReportedPreparation};
use crate::Publish;
use crate::windows::Windows;

/// The number of promised reports after whose absence a process is silent.
const MISSED_REPORTS: u32 = 3;
/// The precision of the times that the kubelet gives.
const KUBELET_SECOND: Duration = Duration::from_secs(1);

/// The identity of a process. The UUID alone is not enough: somebody who copies it from one pod to another must not
/// speak for the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId {
    /// The UID of the pod that its token is bound to; `None` where it is bound to none.
    pub pod: Option<String>,
    /// The UUID that it generated when it started.
    pub process: String,
}

/// The evidence about a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) pod_name: Option<String>,
    pub(super) sequence: Option<u64>,
    pub(super) last_report: LastReport,
    /// The time at which its last report arrived.
    pub(super) last_report_at: Moment,
    /// The latest time at which its next report is due.
    pub(super) promised: Moment,
    /// True if it had the workspace open when the goal was published; `None` where that is not known.
    pub(super) was_there: Option<bool>,
    /// The time at which it opened the workspace, as its first report says, or else at which that report arrived.
    pub(super) follows_since: Moment,
    pub(super) container: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) pid: Option<Pid>,
    /// The time at which it applied the goal; `None` while its last report does not say that it runs the goal.
    pub(super) applied: Option<Moment>,
    /// The time since which its reports do not say that it runs the goal.
    pub(super) behind_since: Moment,
    /// The time at which a sibling testified that it is gone.
    pub(super) testified_gone: Option<Moment>,
    /// The time at which an earlier leader learned from the kubelet that it has ended. It counts only where this
    /// operator sees no object of the pod, which may have been gone when it began to watch: an object says more.
    pub(super) ended_before: Option<Moment>,
    /// The time at which it drained, by the clock of its node; `None` while it has the workspace open, or where its report
    /// does not say.
    pub(super) drained_at: Option<Timestamp>,
}

/// Returns the time at which a process drained, by the clock of its node, as its report says.
pub(super) fn drained_at(report: &Report) -> Option<Timestamp> {
    let (started_at, age, drained_ago) = (report.started_at?, report.started_ms_ago?, report.drained_ms_ago?);
    started_at.checked_add(Duration::from_millis(age.saturating_sub(drained_ago))).ok()
}

/// The content of the last report of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LastReport {
    pub(super) state: ProcessState,
    pub(super) publish: Option<Publish>,
    pub(super) reason: Option<String>,
    /// True if the process prepares an announced publish.
    pub(super) prepares: bool,
    /// The preparation that it reports about the announced publish.
    pub(super) next: Option<ReportedPreparation>,
    /// The application's verdict that it is degraded.
    pub(super) degraded: Option<ReportedDegradation>,
}

/// The verdict of an application that it is degraded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReportedDegradation {
    /// A code of the application.
    pub(super) reason: String,
    /// True if it became degraded after it had applied what it runs. Both times are by the clock of the process.
    pub(super) since_applied: bool,
}

impl ReportedDegradation {
    pub(super) fn of(report: &Report) -> Option<Self> {
        let degraded = report.degraded.as_ref()?;
        let since_applied = report.applied_ms_ago.is_some_and(|applied| degraded.ms_ago <= applied);
        Some(Self { reason: degraded.reason.clone(), since_applied })
    }
}

impl LastReport {
    /// Returns this report with the refusal of the report before, if this one says nothing about an announcement, and does
    /// not say that the content runs. The marker may have announced nothing for a moment.
    pub(super) fn after(self, before: &Self) -> Self {
        let runs = self.publish.filter(|_| self.state != ProcessState::Rejected).map(|publish| publish.fingerprint);
        let refusal = before.next.as_ref().filter(|next| next.refuses() && self.prepares);
        let refusal = refusal.filter(|next| runs != Some(next.content()));
        Self { next: self.next.or_else(|| refusal.cloned()), ..self }
    }

    /// Returns whether another report says something else about what the process runs, or how it runs.
    pub(super) fn differs_from(&self, other: &Self) -> bool {
        let said = |report: &Self| (report.state, report.publish, report.reason.clone(), report.degraded.clone());
        said(self) != said(other)
    }
}

/// The state of a process with respect to the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// It reports in time.
    Live,
    /// It is silent, and its pod exists and may run it: the process may hang, or be cut off.
    Silent,
    /// It is silent, and nobody can see its end: it is bound to no pod, its pod vanished or runs no container of it, or it
    /// is of an older client and may be of the run of its container that ended, or of the next.
    Unprovable,
    /// It was [`Liveness::Unprovable`] for the whole *forget* window, and the operator no longer waits for it.
    Dropped,
    /// It has drained, or its end was seen.
    Left,
}

impl Liveness {
    /// Returns whether a publish has to reach the process.
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
        let is_own = process.testified_gone.is_some() || self.ends_with_container(id, process);
        // A report that came after the end was seen outweighs it while the process is not silent: a watch can lag
        // behind.
        if is_own && end.is_some_and(|seen| seen >= process.last_report_at || silent) {
            return Liveness::Left;
        }
        if !silent {
            return Liveness::Live;
        }
        let may_run = self.pod_of(id).is_some_and(|pod| pod.may_run(process.container.as_deref()));
        if end.is_none() && may_run {
            return Liveness::Silent;
        }
        if now < self.drops_at(process) { Liveness::Unprovable } else { Liveness::Dropped }
    }

    /// Returns whether an end that the kubelet reports is that of the process. An older client does not report which run of
    /// its container it belongs to: the end may be that of an earlier run.
    fn ends_with_container(&self, id: &ProcessId, process: &Process) -> bool {
        let ended = |pod: &Pod| pod.has_ended() || !pod.exists() && process.ended_before.is_some();
        process.started_at.is_some() || self.pod_of(id).map_or(process.ended_before.is_some(), ended)
    }

    /// Returns the time at which this operator, or an earlier leader, learned from the kubelet that a process has ended.
    pub(super) fn seen_to_end(&self, id: &ProcessId, process: &Process) -> Option<Moment> {
        process.seen_to_end(id, &self.pods).filter(|_| self.ends_with_container(id, process))
    }

    fn pod_of(&self, id: &ProcessId) -> Option<&Pod> {
        self.pods.get(id.pod.as_ref()?)
    }

    /// Returns the time at which the operator no longer waits for a process whose end can't be seen. Time in which the
    /// operator received no reports does not count.
    pub(super) fn drops_at(&self, process: &Process) -> Moment {
        process.last_report_at.max(self.listening_since).max(self.turned_away) + self.windows().forget
    }
}

impl Process {
    /// Returns the name that people know: that of its pod, or else its own UUID.
    pub(super) fn name<'a>(&'a self, id: &'a ProcessId) -> &'a str {
        self.pod_name.as_deref().unwrap_or(&id.process)
    }

    pub(super) fn of(report: &Report, pod_name: Option<String>, now: Moment) -> Self {
        Self {
            pod_name,
            sequence: None,
            last_report: LastReport {
                state: report.state,
                publish: None,
                reason: None,
                prepares: false,
                next: None,
                degraded: None,
            },
            last_report_at: now,
            promised: now,
            was_there: None,
            follows_since: now.saturating_sub(Duration::from_millis(report.opened_ms_ago.unwrap_or(0))),
            container: None,
            started_at: None,
            pid: None,
            applied: None,
            behind_since: now,
            testified_gone: None,
            ended_before: None,
            drained_at: drained_at(report),
        }
    }

    /// Returns whether it has drained, and no container of its pod has ended since: a process that follows is not expected
    /// there then. It repeats that it has drained, so the time of its last report says nothing.
    pub(super) fn excuses(&self, pod: &Pod) -> bool {
        let drained = self.last_report.state == ProcessState::Draining;
        drained
            && match self.drained_at {
                // The kubelet gives the time of an end in whole seconds.
                Some(drained_at) => {
                    let mut ends = pod.ends().map(|end| end.at.saturating_add(KUBELET_SECOND));
                    ends.all(|end| end.is_ok_and(|end| end <= drained_at))
                }
                None => pod.last_end().is_none_or(|end| end <= self.last_report_at),
            }
    }

    /// Returns the time at which it counts as silent, unless it reports before.
    pub(super) fn silent_at(&self) -> Moment {
        self.last_report_at + self.promised.saturating_sub(self.last_report_at) * MISSED_REPORTS
    }

    /// Returns the time at which the operator learned of its end, if it did.
    fn end(&self, id: &ProcessId, pods: &Pods) -> Option<Moment> {
        self.testified_gone.max(self.seen_to_end(id, pods))
    }

    fn seen_to_end(&self, id: &ProcessId, pods: &Pods) -> Option<Moment> {
        let pod = id.pod.as_ref().and_then(|uid| pods.get(uid));
        let seen = pod.and_then(|pod| pod.end_of(self.container.as_deref(), self.started_at, self.last_report_at));
        if pod.is_some_and(Pod::exists) { seen } else { seen.max(self.ended_before) }
    }

    /// Returns whether it runs `publish`. A process whose verification is old, or whose marker is gone, still runs the
    /// publish that it names.
    pub(super) fn runs(&self, publish: &Publish) -> bool {
        let resolves =
            matches!(self.last_report.state, ProcessState::Applied | ProcessState::Stale | ProcessState::Orphaned);
        resolves && self.last_report.publish.as_ref() == Some(publish)
    }

    /// Returns whether it resolves from this content, under whatever name.
    pub(super) fn resolves(&self, content: Fingerprint) -> bool {
        self.last_report.publish.is_some_and(|publish| publish.fingerprint == content && self.runs(&publish))
    }

    /// Returns the code for which it is degraded since it applied `publish`, if it runs that.
    pub(super) fn degraded_by(&self, publish: &Publish) -> Option<&str> {
        let degraded = self.last_report.degraded.as_ref().filter(|degraded| degraded.since_applied)?;
        self.runs(publish).then_some(&degraded.reason)
    }

    /// Returns whether it refuses `publish`. The refusal of an older publish does not count. A process that can't read
    /// the marker refuses without a name, and that counts.
    pub(super) fn refuses(&self, publish: &Publish) -> bool {
        self.last_report.state == ProcessState::Rejected
            && self.last_report.publish.is_none_or(|refused| refused == *publish)
    }

    /// Returns whether it opened the workspace after the publish, runs nothing yet, and is within its grace. Such a process
    /// contradicts nothing.
    pub(super) fn is_starting(&self, windows: &Windows, now: Moment) -> bool {
        let later = self.was_there == Some(false);
        let nothing = matches!(self.last_report.state, ProcessState::Starting | ProcessState::Pending);
        later && nothing && self.last_report.publish.is_none() && now < self.follows_since + windows.grace
    }

    /// Returns the state to show to people. A process that has applied an older publish is shown as pending, as it has
    /// not reported anything about this one yet.
    pub(super) fn state(&self, silent: bool) -> ProcessState {
        match self.last_report.state {
            _ if silent => ProcessState::Silent,
            ProcessState::Applied => ProcessState::Pending,
            other => other,
        }
    }
}
