//! Telling the operator where this process stands, and being told what it should run.

use std::sync::LazyLock;
use std::time::Duration;

use http::Request;
use rototo_api::fleet::{Answer, Report};
use rototo_api::names;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::fault::Fault;
use super::state::Standing;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Names this process for as long as it runs, whatever it follows.
static PROCESS: LazyLock<String> = LazyLock::new(|| Uuid::new_v4().to_string());

/// Sends one report.
pub(crate) async fn send(
    endpoint: &Endpoint,
    namespace: &str,
    workspace: &str,
    standing: Standing,
    applied_ago: Option<Duration>,
) -> Result<Answer, Fault> {
    let report = Report {
        process: PROCESS.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine_level: rototo_engine::ENGINE_LEVEL,
        fingerprint: standing.publish.map(|publish| publish.fingerprint.to_string()),
        updated_at: standing.publish.map(|publish| publish.updated_at),
        state: standing.state,
        applied_ms_ago: applied_ago.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        reason: standing.reason.map(str::to_owned),
    };
    let unreadable = |error: serde_json::Error| {
        Fault::persistent(
            "answer_malformed",
            format!("reading the operator's answer to a report of workspace `{workspace}` failed: {error}"),
        )
    };
    let body = serde_json::to_vec(&report).map_err(unreadable)?;
    let what = format!("reporting what runs of workspace `{workspace}`");
    let answer = endpoint.send(&what, Request::post(names::fleet_path(namespace, workspace)), body, LIMIT).await?;
    serde_json::from_slice(&answer).map_err(unreadable)
}
