//! A wait in several clusters, side by side.

use std::process::ExitCode;

use anyhow::anyhow;
use futures::future::join_all;
use serde::Serialize;

use crate::cluster::{ClusterOptions, OperatorOptions};
use crate::commands::wait::{FAILED, Goal, WaitEnd, WaitReport, end};
use crate::global::{GlobalArguments, UsageError};
use crate::terminal;
use crate::terminal::wording::plain;

/// The shape that scripts read.
#[derive(Serialize)]
struct SeveralReport<'a> {
    /// The exit code.
    code: u8,
    clusters: Vec<ClusterReport<'a>>,
}

#[derive(Serialize)]
struct ClusterReport<'a> {
    context: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    wait: Option<WaitReport<'a>>,
    /// The reason why nobody could wait in this cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The ends of the waits, each with the context of its cluster.
pub(in crate::commands) type Ends = Vec<(String, anyhow::Result<WaitEnd>)>;

/// Waits in each cluster until it has an answer. One that fails does not end the others.
pub(super) async fn run(
    clusters: Vec<(String, ClusterOptions)>,
    goal: &Goal,
    operator: OperatorOptions,
    global: &GlobalArguments,
) -> anyhow::Result<ExitCode> {
    let operator = &operator.for_several().map_err(UsageError)?;
    let waits = clusters.into_iter().map(async |(context, options)| {
        let wait = async { end(&options.connect().await?, goal, operator, (Some(&context), global)).await }.await;
        (context, wait)
    });
    let ends = Box::pin(join_all(waits)).await;
    if !global.json {
        for (context, end) in &ends {
            print(context, end, global)?;
        }
    }
    finish(&ends, global)
}

/// Prints the end of the wait in one cluster.
pub(in crate::commands) fn print(
    context: &str,
    end: &anyhow::Result<WaitEnd>,
    global: &GlobalArguments,
) -> anyhow::Result<()> {
    match end {
        Ok(end) => end.print(Some(context), global),
        Err(error) => {
            terminal::print_error(&anyhow!("{}: {error:#}", plain(context)));
            Ok(())
        }
    }
}

/// Prints the JSON of all clusters where it is asked for, and returns the exit code.
pub(in crate::commands) fn finish(ends: &Ends, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let code = code(ends);
    if global.json {
        terminal::json(&SeveralReport { code, clusters: ends.iter().map(report).collect() })?;
    }
    Ok(ExitCode::from(code))
}

/// Returns 0 if each cluster has it, or else the lowest code of a cluster that has not.
fn code(ends: &Ends) -> u8 {
    let code = |end: &anyhow::Result<WaitEnd>| end.as_ref().map_or(FAILED, WaitEnd::code);
    ends.iter().map(|(_, end)| code(end)).filter(|code| *code != 0).min().unwrap_or(0)
}

fn report((context, end): &(String, anyhow::Result<WaitEnd>)) -> ClusterReport<'_> {
    match end {
        Ok(end) => ClusterReport { context, wait: Some(end.report()), error: None },
        Err(error) => ClusterReport { context, wait: None, error: Some(format!("{error:#}")) },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rototo_api::workspace::RejectedStatus;
    use serde_json::json;

    use super::*;
    use crate::cluster::FinishedWait;
    use crate::cluster::freshness::Freshness;
    use crate::cluster::verdict::{Pending, WaitTarget, WaitVerdict};
    use crate::cluster::wait_state::WaitState;

    fn ended(context: &str, verdict: WaitVerdict) -> (String, anyhow::Result<WaitEnd>) {
        let wait_state = WaitState::new(WaitTarget::Newest, tokio::time::Instant::now());
        let (namespace, name) = ("shop".to_owned(), "policy".to_owned());
        let ended = FinishedWait { verdict, wait_state };
        (context.to_owned(), Ok(WaitEnd { namespace, name, ended, timeout: Duration::ZERO }))
    }

    #[test]
    fn several_clusters_have_the_lowest_code_of_those_that_fail() {
        let rejected = json!({ "time": "2026-11-20T18:40:00Z", "errors": 1, "warnings": 0 });
        let rejected: RejectedStatus = serde_json::from_value(rejected).unwrap();
        let late = || ended("eu", WaitVerdict::Pending(Pending::Unseen("nothing".to_owned())));
        let refused = || ended("us", WaitVerdict::Refused(rejected.clone(), Freshness::Fresh));
        let unread = || ("ap".to_owned(), Err(anyhow!("no route")));
        assert_eq!(code(&vec![]), 0);
        assert_eq!(code(&vec![late()]), 4);
        assert_eq!(code(&vec![late(), refused()]), 3);
        assert_eq!(code(&vec![late(), refused(), unread()]), 1);
        let shown = serde_json::to_value(report(&late())).unwrap();
        assert_eq!((&shown["context"], &shown["outcome"]), (&json!("eu"), &json!("timed_out")));
        let shown = serde_json::to_value(report(&unread())).unwrap();
        assert_eq!(shown, json!({ "context": "ap", "error": "no route" }));
    }
}
