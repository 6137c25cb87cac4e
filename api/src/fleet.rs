//! The fleet report: a process reports what it applied, and the response names what it should run.
//!
//! A process sends a report by `POST` to [`crate::names::fleet_path`] at its start, after each applied or refused
//! publish, and as a heartbeat. The response also shows when a watch has died silently: that costs a process seconds,
//! and not the minutes of a watch's time-out.
//!
//! ```
//! use rototo_api::fleet::{ProcessState, Report, ReportResponse};
//!
//! let report = Report {
//!     process: "c0ffee00-0000-4000-8000-000000000000".to_owned(),
//!     sequence: Some(1),
//!     version: "0.1.0".to_owned(),
//!     engine_level: 1,
//!     fingerprint: Some("sha256:9f2c".to_owned()),
//!     updated_at: Some("2026-11-20T18:40:00.123456Z".parse()?),
//!     state: ProcessState::Applied,
//!     ..Report::default()
//! };
//! assert_eq!(serde_json::to_value(&report)?["state"], "applied");
//!
//! let body = r#"{ "fingerprint": "sha256:9f2c", "updated_at": "2026-11-20T18:40:00.123456Z", "revision": null,
//!     "verified_ms_ago": 400, "stale_after_ms": 300000, "next_report_in_ms": 15000 }"#;
//! let response: ReportResponse = serde_json::from_str(body)?;
//! assert_eq!(response.updated_at, report.updated_at);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::UpdatedAt;
use crate::marker::NextPublish;

/// The report of a process about itself. It does not name pod and node: the operator takes them from the verified
/// token.
///
/// A process that opened a workspace several times sends one report for all its handles: the oldest publish that any of
/// them resolves, and the worst state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// A UUID that the process generated when it started.
    pub process: String,
    /// A number that grows with each report of this process for this workspace. A report that arrives after a later one
    /// is ignored. Absent in reports of older clients, which count in the order of their arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The number of handles that this report covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handles: Option<u32>,
    /// The name of the container, from `ROTOTO_CONTAINER`. The end of this container is the end of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The age of the process in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_ms_ago: Option<u64>,
    /// The time since the process opened the workspace, in milliseconds. It has had the workspace open since then, or
    /// until it drained. From both times the operator computes whether the process followed the workspace at a publish.
    /// Absent in reports of older clients, for which the age of the process stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_ms_ago: Option<u64>,
    /// The time since the process closed its last handle, in milliseconds, in a report that it has drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_ms_ago: Option<u64>,
    /// The time at which the process started, by the clock of its node, which is also the clock of the kubelet's
    /// container times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The process in its PID namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<Pid>,
    /// The testimony that the operator asked for: about other processes of the same pod and PID namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<Testimony>,
    /// The version of the client library.
    pub version: String,
    /// The level of the engine in this process.
    pub engine_level: u64,
    /// The fingerprint of the content that the process runs, or refuses with the state `rejected`. Absent before
    /// anything was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The name of the publish of that content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<UpdatedAt>,
    /// The progress of the process on the way to that publish.
    pub state: ProcessState,
    /// The time since the process applied the publish that it names, in milliseconds; absent where it has not applied
    /// it. The operator asks a large fleet to spread its reports, so a report may be later than the swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_ms_ago: Option<u64>,
    /// A code that explains the state, such as `fetch_failed`. Never a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// True if this process prepares the publish that the marker announces. False for older clients, and where the
    /// application has turned it off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prepares: bool,
    /// The announced publish, once this process has prepared or refused it, or has trouble in getting it. Older
    /// operators ignore it, so it changes nothing about the state that they count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Preparation>,
    /// The verdict of the application that it is degraded. Older operators ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<Degradation>,
}

/// The verdict of an application about itself: it runs, and not as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Degradation {
    /// A code of the application, such as `error_rate`. Never a value.
    pub reason: String,
    /// The time since the application has been degraded, in milliseconds.
    pub ms_ago: u64,
}

/// The progress of a process with the publish that the marker announces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// The fingerprint of the announced content.
    pub fingerprint: String,
    /// The name of the announced publish.
    pub updated_at: UpdatedAt,
    /// The state of its preparation in this process.
    pub state: PreparationState,
    /// A code that explains the state, such as `check_failed`. Never a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The state of an announced publish in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PreparationState {
    /// The process holds it, compiled and checked, and can swap it in without a request.
    Prepared,
    /// The content can't run in this process.
    Refused,
    /// The process fetches or compiles it. A state of a newer client counts as this one.
    #[serde(other)]
    Pending,
}

/// A process in its PID namespace. PIDs are reused, so the start time is part of the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pid {
    /// The process ID within the namespace.
    pub pid: u32,
    /// The start time in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub started: u64,
    /// The inode number of `/proc/self/ns/pid`.
    pub namespace: u64,
}

/// The testimony of a process about another process of its own pod and PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testimony {
    /// The process that the operator asked about.
    pub pid: Pid,
    /// The state of the sibling.
    pub fate: SiblingState,
}

/// The state of a process, as a sibling observes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiblingState {
    /// A process with this PID and start time exists and is no zombie.
    Alive,
    /// No process has this PID, or another process has it now, or the process has ended and is a zombie.
    Gone,
}

/// The progress of a process on the way to what it should run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "String")]
pub enum ProcessState {
    /// The process runs, and has loaded nothing yet.
    #[default]
    Starting,
    /// It has seen a publish, and fetches or compiles it.
    Pending,
    /// It resolves from the publish that the report names.
    Applied,
    /// It refuses the publish that the report names, and keeps the content that it had.
    Rejected,
    /// It could not verify for longer than `staleAfter` that its content is still the published one.
    Stale,
    /// Its marker is gone. It keeps the content that it had.
    Orphaned,
    /// It has drained: it is about to end, and nobody needs to wait for it.
    Draining,
    /// It has not reported for three times the time after which its next report was due. Only the operator says this.
    Silent,
    /// A state that this version does not know. The process counts, but as having applied nothing.
    Unknown,
}

impl ProcessState {
    /// Returns the state's name in reports and in the status.
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

/// The operator's response to a report: the publish that this process should run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResponse {
    /// The fingerprint of the published content; `null` where nothing is published yet.
    pub fingerprint: Option<String>,
    /// The name of the publish.
    pub updated_at: Option<UpdatedAt>,
    /// The commit that it came from, as `<ref>@sha1:<commit>`.
    pub revision: Option<String>,
    /// The time since the source last confirmed that this is the newest content, in milliseconds; `null` before the
    /// first confirmation.
    pub verified_ms_ago: Option<u64>,
    /// The age of a verification at which the configuration counts as stale, in milliseconds.
    pub stale_after_ms: u64,
    /// The time until the next report if nothing happens, in milliseconds.
    pub next_report_in_ms: u64,
    /// The time after applying a change within which to report it, in milliseconds. Each process picks a time in
    /// between, so that a large fleet first applies a change and then reports it.
    #[serde(default)]
    pub report_applied_within_ms: u64,
    /// Processes of the reporter's own pod and PID namespace that have fallen silent. The next report has testimony
    /// about each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<Pid>,
    /// The publish that the marker announces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextPublish>,
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
    fn a_preparation_of_a_newer_client_is_pending() {
        let text = r#"{"fingerprint":"f","updated_at":"2026-11-20T18:40:00.123456Z","state":"halfway"}"#;
        let preparation: Preparation = serde_json::from_str(text).unwrap();
        assert_eq!(preparation.state, PreparationState::Pending);
    }

    #[test]
    fn every_state_has_one_name_on_the_wire_and_in_status() {
        for state in [ProcessState::Starting, ProcessState::Applied, ProcessState::Orphaned, ProcessState::Draining] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
            assert_eq!(serde_json::from_value::<ProcessState>(state.name().into()).unwrap(), state);
        }
    }
}
