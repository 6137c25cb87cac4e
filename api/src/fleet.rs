//! The fleet report: a process says what it applied, and is told what it should have.
//!
//! `POST` to [`crate::names::fleet_path`] at the start, after each apply or refusal, and as a heartbeat. The answer is
//! a second bell: a watch that died silently costs a process seconds, not the minutes of a watch's time-out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::UpdatedAt;

/// A process speaks of itself. Pod and node are not in a report: the operator takes them from the verified token.
///
/// A process that opened a workspace several times sends one report for all its handles: the oldest publish that any of
/// them resolves, and the worst state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// A UUID that the process drew when it started.
    pub process: String,
    /// A number that grows with each report of this process for this workspace. A report that arrives after a later one
    /// is ignored. Absent in reports of older clients, which count in the order of their arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The number of handles that this report speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handles: Option<u32>,
    /// The name of the container, from `ROTOTO_CONTAINER`. It tells which container's end is the end of this process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The age of the process in milliseconds: whether it existed when something was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms_ago: Option<u64>,
    /// When the process started, by the clock of its node, which is also the clock of the kubelet's container times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The process as its PID namespace knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<Pid>,
    /// The answers to what the operator asked about other processes of the same pod and PID namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<Testimony>,
    /// The version of the client library.
    pub version: String,
    /// The level of the engine in this process.
    pub engine_level: u64,
    /// The fingerprint that runs in it, or, with state `rejected`, that it refused. Absent before anything was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The publish that the fingerprint came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<UpdatedAt>,
    /// Where the process is on its way to that publish.
    pub state: ProcessState,
    /// For how many milliseconds it has run what it names, where it does: a large fleet is asked to spread its reports, and
    /// what was applied is applied meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_ms_ago: Option<u64>,
    /// A code that explains the state, such as `fetch_failed`. Never a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A process as its PID namespace knows it. PIDs are used again, so the start time belongs to the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pid {
    /// The process ID within the namespace.
    pub pid: u32,
    /// The start time in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub started: u64,
    /// The inode number of `/proc/self/ns/pid`.
    pub namespace: u64,
}

/// A process's word on another process of its own pod and PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// The process that the operator asked about.
    pub pid: Pid,
    /// The state of the sibling.
    pub fate: SiblingState,
}

/// The fate of a process, as a sibling sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiblingState {
    /// A process with this PID and start time exists and is no zombie.
    Alive,
    /// No process has this PID, or another one has it now, or it has ended and was not reaped yet.
    Gone,
}

/// Where a process is on its way to what it should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "String")]
pub enum ProcessState {
    /// It runs, and has nothing loaded yet.
    #[default]
    Starting,
    /// It has seen a publish and works on it.
    Pending,
    /// It resolves from the publish that it names.
    Applied,
    /// It refuses the publish that it names, and runs on with what it had.
    Rejected,
    /// It could not verify for too long that what it runs is still right.
    Stale,
    /// Its marker is gone. It runs on with what it had.
    Orphaned,
    /// It is about to end, and nobody needs to wait for it.
    Draining,
    /// It has not reported for three times as long as it was told to. Only the operator says this.
    Silent,
    /// A state that this version does not know. Its reporter is heard, and not counted as having applied anything.
    Unknown,
}

impl ProcessState {
    /// The state as it stands in reports and in status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Stale => "stale",
            Self::Orphaned => "orphaned",
            Self::Draining => "draining",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }
}

impl From<String> for ProcessState {
    fn from(name: String) -> Self {
        let known = [
            Self::Starting,
            Self::Pending,
            Self::Applied,
            Self::Rejected,
            Self::Stale,
            Self::Orphaned,
            Self::Draining,
            Self::Silent,
        ];
        known.into_iter().find(|state| state.name() == name).unwrap_or(Self::Unknown)
    }
}

/// The operator's answer to a report: the publish that this process should run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResponse {
    /// The published content; `null` where nothing is published yet.
    pub fingerprint: Option<String>,
    /// The publish.
    pub updated_at: Option<UpdatedAt>,
    /// The commit that it came from, as `<ref>@sha1:<commit>`.
    pub revision: Option<String>,
    /// The time since the source last confirmed that this is the newest; `null` before that happened.
    pub verified_ms_ago: Option<u64>,
    /// The age of a verification at which the configuration counts as stale.
    pub stale_after_ms: u64,
    /// When to report again if nothing happens.
    pub next_report_in_ms: u64,
    /// Within how many milliseconds of applying a change to report it, anywhere in between: so that a large fleet first
    /// applies a change and then tells of it.
    #[serde(default)]
    pub report_applied_within_ms: u64,
    /// Processes of the reporter's own pod and PID namespace that have fallen silent: the next report says whether they
    /// still exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<Pid>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_a_newer_client_is_accepted() {
        let report: Report =
            serde_json::from_str(r#"{"process":"p","version":"9","engine_level":9,"state":"prepared"}"#).unwrap();
        assert_eq!(report.state, ProcessState::Unknown);
    }

    #[test]
    fn every_state_has_one_name_on_the_wire_and_in_status() {
        for state in [ProcessState::Starting, ProcessState::Applied, ProcessState::Orphaned, ProcessState::Draining] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
            assert_eq!(serde_json::from_value::<ProcessState>(state.name().into()).unwrap(), state);
        }
    }
}
