//! Reports the state of this process to the operator, and receives what the process should run.
//!
//! The entry point is [`send`]. To the operator, all handles of a process on one workspace are one process; [`handles`]
//! combines them.

pub(crate) mod drained;
pub(crate) mod handles;
mod kernel;
pub(crate) mod process;
pub(crate) mod siblings;

use std::time::Duration;

use http::Request;
use rototo_api::fleet::{Degradation, Report, ReportResponse, Testimony};
use rototo_api::names;
use rototo_protocol::follower::ReportedNext;
use rototo_protocol::follower::fault::Fault;
use rototo_protocol::windows::REPORT_TIMEOUT;
use tokio::time::Instant;

use crate::kubernetes::cluster::endpoint::Endpoint;
use crate::kubernetes::reporting::handles::CombinedState;
use crate::kubernetes::reporting::process::PROCESS;

/// Sends one report, and returns the operator's response.
///
/// # Errors
///
/// The operator can't be reached, refuses the report, or sends a response that can't be read.
pub(crate) async fn send(
    endpoint: &Endpoint,
    namespace: &str,
    workspace: &str,
    combined: CombinedState,
    siblings: Vec<Testimony>,
) -> Result<ReportResponse, Fault> {
    let unreadable = |error: serde_json::Error| {
        Fault::persistent(
            "answer_malformed",
            format!("reading the operator's answer to a report of workspace `{workspace}` failed: {error}"),
        )
    };
    let body = serde_json::to_vec(&report(combined, siblings)).map_err(unreadable)?;
    let what = format!("reporting what runs of workspace `{workspace}`");
    let answer =
        endpoint.send(&what, Request::post(names::fleet_path(namespace, workspace)), body, REPORT_TIMEOUT).await?;
    serde_json::from_slice(&answer).map_err(unreadable)
}

fn report(combined: CombinedState, siblings: Vec<Testimony>) -> Report {
    let CombinedState { process, reported, applied, degraded, opened, drained, handles, sequence } = combined;
    Report {
        process,
        sequence: Some(sequence),
        handles: Some(handles),
        container: PROCESS.container.clone(),
        started_ms_ago: Some(millis(PROCESS.age())),
        opened_ms_ago: opened.map(|at| millis(at.elapsed())),
        drained_ms_ago: drained.map(|at| millis(at.elapsed())),
        started_at: Some(PROCESS.started_at),
        pid: PROCESS.pid,
        siblings,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine_level: rototo_engine::ENGINE_LEVEL,
        fingerprint: reported.publish.map(|publish| publish.fingerprint.to_string()),
        updated_at: reported.publish.map(|publish| publish.updated_at),
        state: reported.state,
        applied_ms_ago: applied.map(|at| millis(at.elapsed())),
        reason: reported.reason.map(str::to_owned),
        prepares: reported.prepares,
        next: reported.next.map(ReportedNext::to_preparation),
        degraded: reported.degraded.zip(degraded).map(degradation),
    }
}

fn degradation((reason, since): (String, Instant)) -> Degradation {
    Degradation { reason, ms_ago: millis(since.elapsed()) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
