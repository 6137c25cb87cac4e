//! The limits of a fleet, and of fleets together. A report is no proof that a process exists: anybody with permission to
//! report can invent processes. Such processes count against their own sender first, and never make the fleet, or its
//! heartbeat, as large as they like.
//!
//! A process for which there is no room may exist all the same, so the operator no longer claims that everybody runs
//! the publish while such a process reports.

use std::fmt;

use rototo_api::fleet::Report;

use super::process::{Liveness, Process};
use super::{Fleet, Moment, PodIdentity, ProcessId};

/// The largest number of processes of one pod that are counted. A pod has a few workers; more are a fault in that pod,
/// or an attack from it.
pub const PROCESSES_PER_POD: usize = 32;
/// The largest number of processes of one pod that are remembered, those that have left among them: a container may
/// restart while the last run of it is still remembered.
const REMEMBERED_PER_POD: usize = 2 * PROCESSES_PER_POD;
/// The largest number of processes whose tokens are bound to no pod of the namespace. Together they count as one
/// sender, because nothing distinguishes them.
pub const UNBOUND_PROCESSES: usize = 256;
/// The largest number of processes of a fleet. Their heartbeat is 50 seconds, and their evidence takes some 10 MB.
pub const PROCESSES: usize = 10_000;
/// The largest number of processes of all fleets of an operator. Their evidence takes some 100 MB.
pub const ALL_PROCESSES: usize = 100_000;
/// The largest number of processes of the fleets of one namespace: two full fleets, and some more.
pub const PROCESSES_OF_NAMESPACE: usize = ALL_PROCESSES / 4;

/// The reason why a process is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoRoom {
    /// Its pod has the largest number of processes.
    Pod,
    /// Its token is bound to no pod of the namespace, and there are too many of those.
    Unbound,
    /// The fleet has the largest number of processes.
    Fleet,
    /// The fleets of the namespace together have the largest number of processes.
    Namespace,
    /// All fleets together have the largest number of processes.
    All,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => write!(
                f,
                "this pod has reported {PROCESSES_PER_POD} processes of the workspace already, and more are not \
                 counted: run fewer processes in it"
            ),
            Self::Unbound => write!(
                f,
                "{UNBOUND_PROCESSES} processes have reported with tokens that are bound to no pod of the workspace's \
                 namespace, and more are not counted: use the projected token of the pod"
            ),
            Self::Fleet => {
                write!(f, "{PROCESSES} processes of the workspace have reported already, and more are not counted")
            }
            Self::Namespace => write!(
                f,
                "{PROCESSES_OF_NAMESPACE} processes of the namespace's workspaces have reported already, and more are not \
                 counted"
            ),
            Self::All => {
                write!(f, "{ALL_PROCESSES} processes of all workspaces have reported already, and more are not counted")
            }
        }
    }
}

impl std::error::Error for NoRoom {}

impl NoRoom {
    /// Returns a code for metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Pod => "processes_of_pod",
            Self::Unbound => "processes_without_pod",
            Self::Fleet => "processes_of_fleet",
            Self::Namespace => "processes_of_namespace",
            Self::All => "processes_of_all",
        }
    }
}

impl Fleet {
    /// Returns the number of processes that are remembered.
    #[must_use]
    pub fn size(&self) -> usize {
        self.processes.len()
    }

    /// Records a report of a process for which fleets together have no room, unless the process is known. Returns whether
    /// it is turned away.
    pub fn turns_away(&mut self, report: &Report, pod: Option<&PodIdentity>, full: NoRoom, now: Moment) -> bool {
        let id = ProcessId { pod: pod.map(|pod| pod.uid.clone()), process: report.process.clone() };
        let is_new = !self.processes.contains_key(&id);
        if is_new {
            self.note_no_room(full, now);
        }
        is_new
    }

    /// Returns an error if a process that is not known yet has no room.
    pub(super) fn room_for(&self, id: &ProcessId, now: Moment) -> Result<(), NoRoom> {
        let (mut remembered, mut counted) = (0, 0);
        for (id, process) in self.of_pod(id.pod.as_deref()) {
            remembered += 1;
            counted += usize::from(self.liveness(id, process, now).counts());
        }
        match id.pod {
            Some(_) if counted >= PROCESSES_PER_POD || remembered >= REMEMBERED_PER_POD => Err(NoRoom::Pod),
            None if remembered >= UNBOUND_PROCESSES => Err(NoRoom::Unbound),
            _ if self.processes.len() >= PROCESSES => Err(NoRoom::Fleet),
            _ => Ok(()),
        }
    }

    /// Forgets the process of a pod that left first, if the pod has as many as are remembered: one that has drained
    /// excuses its pod, and for that the last one is enough.
    pub(super) fn make_room(&mut self, pod: Option<&str>, now: Moment) {
        let Some(pod) = pod else { return };
        let has_left = |(id, process): &(&ProcessId, &Process)| self.liveness(id, process, now) == Liveness::Left;
        let (left, others): (Vec<_>, Vec<_>) = self.of_pod(Some(pod)).partition(has_left);
        if others.len() >= PROCESSES_PER_POD || left.len() + others.len() < REMEMBERED_PER_POD {
            return;
        }
        let first = left.into_iter().min_by_key(|(_, process)| process.last_report_at).map(|(id, _)| id.clone());
        if let Some(first) = first {
            self.processes.remove(&first);
        }
    }

    /// Notes that a process has reported for which there is no room.
    pub(super) fn note_no_room(&mut self, full: NoRoom, now: Moment) {
        self.no_room = Some((now, full));
        if let Some(cohort) = self.goal.as_mut().and_then(|goal| goal.cohort.as_mut()) {
            cohort.lose();
        }
    }

    /// Returns the time until which a process may exist for which there is no room, if that lies ahead, and the limit.
    pub(super) fn no_room_until(&self, now: Moment) -> Option<(Moment, NoRoom)> {
        let silence = self.windows().silence;
        self.no_room.map(|(then, full)| (then + silence, full)).filter(|(until, _)| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_a_code_and_says_what_to_do() {
        let all = [NoRoom::Pod, NoRoom::Unbound, NoRoom::Fleet, NoRoom::Namespace, NoRoom::All];
        let codes =
            ["of_pod", "without_pod", "of_fleet", "of_namespace", "of_all"].map(|code| format!("processes_{code}"));
        assert_eq!(all.map(NoRoom::code), codes.each_ref().map(String::as_str));
        let said = [
            "run fewer processes in it",
            "use the projected token of the pod",
            "10000 processes",
            "25000 processes of the namespace",
            "100000 processes of all",
        ];
        for (limit, said) in all.into_iter().zip(said) {
            assert!(limit.to_string().contains(said), "{limit}");
        }
    }
}
