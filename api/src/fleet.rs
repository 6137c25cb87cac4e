//! The fleet report: a process says what it applied, and is told what it should have.
//!
//! `POST` to [`crate::names::fleet_path`] at the start, after each apply or refusal, and as a heartbeat. The answer is
//! a second bell: a watch that died silently costs a process seconds, not the minutes of a watch's time-out.

use serde::{Deserialize, Serialize};

use crate::UpdatedAt;

/// What a process says of itself. Pod and node are not in it: the operator takes them from the verified token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// A UUID that the process drew when it started.
    pub process: String,
    /// The version of the client library.
    pub version: String,
    /// The level of the engine in this process.
    pub engine_level: u64,
    /// What runs in it, or, with state `rejected`, what it refused. Absent before anything was loaded.
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

/// Where a process is on its way to what it should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// It runs, and has nothing loaded yet.
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
}

/// What the operator answers: what this process should run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The published content; `null` where nothing is published yet.
    pub fingerprint: Option<String>,
    /// The publish.
    pub updated_at: Option<UpdatedAt>,
    /// The commit that it came from, as `<ref>@sha1:<commit>`.
    pub revision: Option<String>,
    /// How long ago the source last confirmed that this is the newest; `null` before that happened.
    pub verified_ms_ago: Option<u64>,
    /// How old a verification may get before the configuration counts as stale.
    pub stale_after_ms: u64,
    /// When to report again if nothing happens.
    pub next_report_in_ms: u64,
    /// Within how many milliseconds of applying a change to report it, anywhere in between: so that a large fleet first
    /// applies a change and then tells of it.
    #[serde(default)]
    pub report_applied_within_ms: u64,
}
