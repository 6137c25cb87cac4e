//! `rototo wait`: blocks until a fleet runs a change, or it is clear that it will not. For pipelines.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use futures::{Stream, StreamExt};
use rototo_api::workspace::{RejectedStatus, RototoWorkspace, RototoWorkspaceStatus, Straggler};
use rototo_engine::Fingerprint;
use rototo_source::{Commit, Revision};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::arguments::Global;
use crate::cluster::verdict::{Pending, Verdict, Wanted, verdict};
use crate::cluster::{ClusterOptions, WatchProblem, faults, findings, short_fingerprint, short_revision, straggler};
use crate::output::{self, GOOD};

const EXAMPLES: &str = "\
Examples:
  git push && rototo wait degradation --revision \"$(git rev-parse HEAD)\" --timeout 2m
  rototo wait degradation --fingerprint sha256:9f2c…   the content that `rototo lint` named
  rototo wait degradation                              whatever is the newest

Exit codes: 0 every process runs it, 1 something else failed, 2 the command line is wrong, 3 lint refuses it, 4 not
within --timeout, with who is behind. A commit that changes nothing in the workspace has arrived once it was verified.";

const REFUSED: u8 = 3;
const TIMED_OUT: u8 = 4;

/// Wait until every process of a workspace's fleet runs a change.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The RototoWorkspace
    #[arg(value_name = "NAME")]
    name: String,

    /// The commit to wait for: all 40 digits, or REF@sha1:COMMIT
    #[arg(long, value_name = "REVISION", value_parser = revision, conflicts_with = "fingerprint")]
    revision: Option<Wanted>,

    /// The content to wait for: sha256: and 64 digits
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    fingerprint: Option<Wanted>,

    /// How long, such as 90s, 5m, or 1h
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,

    #[command(flatten)]
    cluster: ClusterOptions,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct Report<'a> {
    namespace: &'a str,
    name: &'a str,
    /// `converged`, `refused`, or `timed_out`.
    outcome: &'static str,
    message: &'a str,
    behind: &'a [Straggler],
    status: Option<&'a RototoWorkspaceStatus>,
}

/// How the wait ended.
enum End {
    Converged(RototoWorkspaceStatus),
    Refused(RototoWorkspaceStatus, RejectedStatus),
    TimedOut(Last),
}

/// What was seen last.
#[derive(Default)]
struct Last {
    status: Option<RototoWorkspaceStatus>,
    pending: Option<Pending>,
    problem: Option<anyhow::Error>,
}

pub(crate) async fn run(arguments: Arguments, global: &Global) -> anyhow::Result<ExitCode> {
    let wanted = arguments.revision.or(arguments.fingerprint).unwrap_or(Wanted::Newest);
    let deadline = Instant::now() + arguments.timeout;
    let cluster = arguments.cluster.connect().await?;
    let changes = cluster.watch(&arguments.name);
    let Some(end) = follow(changes, &wanted, deadline).await? else { return Err(cluster.missing(&arguments.name)) };

    let text = end.text(arguments.timeout);
    if global.json {
        output::json(&end.report(&cluster.namespace, &arguments.name, &text))?;
    } else {
        match &end {
            End::Converged(_) if global.quiet => {}
            End::Converged(_) => output::text(&format!("{GOOD}converged{GOOD:#}: {text}\n"))?,
            End::Refused(..) | End::TimedOut(_) => output::complain(&anyhow!("{text}")),
        }
        if let End::Refused(_, rejected) = &end {
            let findings = findings(rejected).into_iter().map(|finding| format!("  {finding}\n"));
            output::complain_in_full(&findings.collect::<String>())?;
        }
    }
    Ok(match end {
        End::Converged(_) => ExitCode::SUCCESS,
        End::Refused(..) => ExitCode::from(REFUSED),
        End::TimedOut(_) => ExitCode::from(TIMED_OUT),
    })
}

/// Listens until the verdict is final, or `deadline`. `None` when there is no such workspace.
async fn follow(
    changes: impl Stream<Item = Result<Option<RototoWorkspace>, WatchProblem>>,
    wanted: &Wanted,
    deadline: Instant,
) -> anyhow::Result<Option<End>> {
    let (mut changes, mut last) = (pin!(changes), Last::default());
    loop {
        let Ok(change) = timeout_at(deadline, changes.next()).await else { return Ok(Some(End::TimedOut(last))) };
        match change {
            Some(Ok(Some(workspace))) => {
                let status = workspace.status.unwrap_or_default();
                let pending = match verdict(&status, workspace.metadata.generation, wanted) {
                    Verdict::Converged => return Ok(Some(End::Converged(status))),
                    Verdict::Refused(rejected) => return Ok(Some(End::Refused(status, rejected))),
                    Verdict::Pending(pending) => pending,
                };
                last = Last { status: Some(status), pending: Some(pending), problem: None };
            }
            Some(Ok(None)) => return Ok(None),
            Some(Err(WatchProblem::Passing(error))) => last.problem = Some(error),
            Some(Err(WatchProblem::Lasting(error))) => return Err(error),
            None => bail!("the watch of the workspace ended"),
        }
    }
}

impl End {
    fn status(&self) -> Option<&RototoWorkspaceStatus> {
        match self {
            Self::Converged(status) | Self::Refused(status, _) => Some(status),
            Self::TimedOut(last) => last.status.as_ref(),
        }
    }

    fn behind(&self) -> &[Straggler] {
        match self {
            Self::TimedOut(Last { pending: Some(Pending::Moving { behind, .. }), .. }) => behind,
            _ => &[],
        }
    }

    fn report<'a>(&'a self, namespace: &'a str, name: &'a str, message: &'a str) -> Report<'a> {
        let outcome = match self {
            Self::Converged(_) => "converged",
            Self::Refused(..) => "refused",
            Self::TimedOut(_) => "timed_out",
        };
        Report { namespace, name, outcome, message, behind: self.behind(), status: self.status() }
    }

    fn text(&self, patience: Duration) -> String {
        match self {
            Self::Converged(status) => {
                let published = status.published.as_ref();
                let fingerprint = published.map(|published| short_fingerprint(&published.fingerprint));
                let revision = short_revision(published.and_then(|published| published.revision.as_deref()));
                let fleet = status.summary.as_ref().and_then(|summary| summary.fleet.clone());
                format!("{revision} is {}, fleet {}", fingerprint.unwrap_or_default(), fleet.unwrap_or_default())
            }
            Self::Refused(_, rejected) => {
                format!("lint refuses {}: {}", short_revision(rejected.revision.as_deref()), faults(rejected))
            }
            Self::TimedOut(last) => {
                format!("not converged within {} s: {}", patience.as_secs_f64(), last.text())
            }
        }
    }
}

impl Last {
    fn text(&self) -> String {
        match (&self.problem, &self.pending) {
            (Some(problem), _) => format!("{problem:#}"),
            (None, Some(Pending::Unseen(why))) => why.clone(),
            (None, Some(Pending::Unpublished(why))) => format!("it is not published: {why}"),
            (None, Some(Pending::Moving { applied, total, behind, says })) if behind.is_empty() => {
                format!("{applied} of {total} run it: {says}")
            }
            (None, Some(Pending::Moving { applied, total, behind, .. })) => {
                let names: Vec<_> = behind.iter().map(straggler).collect();
                format!("{applied} of {total} run it; behind: {}", names.join(", "))
            }
            (None, None) => "the API server has not answered".to_owned(),
        }
    }
}

fn revision(text: &str) -> Result<Wanted, String> {
    match (text.parse::<Revision>(), text.parse::<Commit>()) {
        (Ok(revision), _) => Ok(Wanted::Revision(revision)),
        (_, Ok(commit)) => Ok(Wanted::Commit(commit)),
        _ => Err("write all 40 digits of a commit, as `git rev-parse HEAD` prints them, or REF@sha1:COMMIT".to_owned()),
    }
}

fn fingerprint(text: &str) -> Result<Wanted, String> {
    text.parse::<Fingerprint>().map(Wanted::Fingerprint).map_err(|error| error.to_string())
}

/// `90s`, `5m`, `1h`, `500ms`
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    let millis = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let number = number.parse::<u64>().ok().filter(|number| *number <= 1_000_000);
    match (number, millis) {
        (Some(number), Some(millis)) => Ok(Duration::from_millis(number * millis)),
        _ => Err("write a number and a unit, such as 90s, 5m, or 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "5", "s", "-5s", "5 s", "5d", "99999999999999999999s", "5µs"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_revision_is_a_whole_commit_with_or_without_its_ref() {
        let commit = "2f3c4d5e6f708192aabbccddeeff001122334455";
        assert!(matches!(revision(commit), Ok(Wanted::Commit(_))));
        assert!(matches!(revision(&format!("main@sha1:{commit}")), Ok(Wanted::Revision(_))));
        assert!(revision("main").is_err() && revision("2f3c4d5").is_err());
    }
}
