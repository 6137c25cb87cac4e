//! `rototo wait`: blocks until a fleet runs a change, or it is clear that it will not. For pipelines.

pub(super) mod several;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use k8s_openapi::jiff::Timestamp;
use rototo_api::rollout::RolloutStatus;
use rototo_api::workspace::{RejectedStatus, RototoWorkspaceStatus, Straggler};
use rototo_engine::Fingerprint;
use rototo_source::{Commit, Revision};
use serde::Serialize;
use tokio::time::Instant;

use crate::cluster::claim::{Claim, as_of};
use crate::cluster::freshness::Freshness;
use crate::cluster::verdict::{Pending, WaitTarget, WaitVerdict};
use crate::cluster::wait_state::{Channel, StageGoal, WaitState};
use crate::cluster::{
    Clusters, ClustersOptions, FinishedWait, NamespaceClient, OperatorOptions, Progress, faults, findings, follow,
    held_in_words, short_fingerprint, short_revision, straggler,
};
use crate::global::{GlobalArguments, UsageError};
use crate::terminal;
use crate::terminal::style::GOOD;
use crate::terminal::wording::plain;

const EXAMPLES: &str = "\
Examples:
  git push && rototo wait degradation --revision \"$(git rev-parse HEAD)\" --timeout 2m
  rototo wait degradation --fingerprint sha256:9f2c…   this content, by all 64 digits
  rototo wait degradation --revision $COMMIT --stage 1   its rollout has begun step=1, the second
  rototo wait degradation --revision $COMMIT --context eu --context us   in both clusters
  rototo wait degradation                              the newest revision that the operator knows

The command accepts only a recent claim or refusal. If it has a token, it asks the operator. Otherwise, if it may patch the \
RototoWorkspace, it requests a reconcile by an annotation. Otherwise it waits until the operator writes the status. A \
commit that changes nothing in the workspace has arrived once it was verified.

With several contexts it waits in all clusters side by side, and prints a line for each. The exit code is 0 if it is 0 \
for each cluster, or else the first of 1, 3, 4, and 5 that one of them has.

Each minute it prints on standard error what it waits for, unless --quiet or --json is given.

Exit codes:
  0  every process runs it; with --stage, its rollout has reached that step, or is over
  1  something else failed: no status could be read within --timeout, for example, or the workspace is suspended and the
     target is not published
  2  the command line is wrong
  3  lint refuses it, or it is held until somebody allows it
  4  not every process ran it within --timeout; the message names those that are behind
  5  a status that may be old says that every process runs it, that its rollout has reached the step, or that it is refused
     or held";

const FAILED: u8 = 1;
const REFUSED: u8 = 3;
const TIMED_OUT: u8 = 4;
const UNCONFIRMED: u8 = 5;

/// Wait until every process of a workspace's fleet runs a change.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WaitArguments {
    /// The RototoWorkspace
    #[arg(value_name = "NAME")]
    name: String,

    /// The commit to wait for: all 40 digits, or REF@sha1:COMMIT
    #[arg(long, value_name = "REVISION", value_parser = revision, conflicts_with = "fingerprint")]
    revision: Option<WaitTarget>,

    /// The content to wait for: sha256: and 64 digits
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    fingerprint: Option<WaitTarget>,

    /// Wait until the rollout of the change has reached this step, from 0, or is over
    #[arg(long, value_name = "STEP")]
    stage: Option<u32>,

    /// Wait until every process runs the change, as without --stage
    #[arg(long, conflicts_with = "stage")]
    complete: bool,

    /// The longest time to wait, such as 90s, 5m, or 1h30m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,

    #[command(flatten)]
    clusters: ClustersOptions,

    #[command(flatten)]
    operator: OperatorOptions,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct WaitReport<'a> {
    namespace: &'a str,
    name: &'a str,
    /// `converged`, `staged`, `refused`, `held`, `suspended`, `timed_out`, or `unconfirmed`.
    outcome: &'static str,
    message: String,
    behind: &'a [Straggler],
    status: Option<&'a RototoWorkspaceStatus>,
    /// `operator` or `status`: the source of the confirmed claim that every process runs the target.
    confirmed_by: Option<&'static str>,
    /// The time of the claim, by the operator's clock.
    as_of: Option<String>,
}

pub(crate) async fn run(arguments: WaitArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    // Without a step, a wait is for all of the fleet.
    let WaitArguments { name, revision, fingerprint, stage, complete: _, timeout, clusters, operator } = arguments;
    let target = revision.or(fingerprint).unwrap_or(WaitTarget::Newest);
    let stage = stage.map(StageGoal::Reached);
    let goal = Goal { name, target, stage, timeout, deadline: Instant::now() + timeout };
    match clusters.clusters().map_err(UsageError)? {
        Clusters::One(cluster) => {
            let end = end(&cluster.connect().await?, &goal, &operator, (None, global)).await?;
            if global.json {
                terminal::json(&end.report())?;
            } else {
                end.print(None, global)?;
            }
            Ok(ExitCode::from(end.code()))
        }
        Clusters::Several(clusters) => several::run(clusters, &goal, operator, global).await,
    }
}

/// The target of a wait, and its time limit.
pub(super) struct Goal {
    pub(super) name: String,
    pub(super) target: WaitTarget,
    pub(super) stage: Option<StageGoal>,
    pub(super) timeout: Duration,
    pub(super) deadline: Instant,
}

/// The end of a wait in one cluster.
pub(super) struct WaitEnd {
    namespace: String,
    name: String,
    ended: FinishedWait,
    timeout: Duration,
}

/// The interval at which a wait prints its state: systems that run pipelines end a job that is silent for too long.
const PRINTED_EVERY: Duration = Duration::from_secs(60);

/// Waits in one cluster. Each minute it prints the state, with the context of the cluster where there are several.
pub(super) async fn end(
    cluster: &NamespaceClient,
    goal: &Goal,
    operator: &OperatorOptions,
    (context, global): (Option<&str>, &GlobalArguments),
) -> anyhow::Result<WaitEnd> {
    let Goal { name, target, stage, timeout, deadline } = goal;
    let begin = Instant::now();
    let report = |wait_state: &WaitState| {
        if global.quiet || global.json {
            return;
        }
        let start = context.map_or_else(String::new, |context| format!("{context}: "));
        let text = format!("{start}{}", present(wait_state, begin, Instant::now()));
        // A wait goes on without anybody who reads it.
        let _ = terminal::print_error_text(&format!("{}\n", plain(&text)));
    };
    let progress = Progress { every: PRINTED_EVERY, report: &report };
    let followed = Box::pin(follow(cluster, name, (target.clone(), *stage), operator, *deadline, progress)).await?;
    let Some(ended) = followed else { return Err(cluster.missing(name)) };
    Ok(WaitEnd { namespace: cluster.namespace.clone(), name: name.clone(), ended, timeout: *timeout })
}

impl WaitEnd {
    pub(super) fn verdict(&self) -> &WaitVerdict {
        &self.ended.verdict
    }

    /// Prints the end, with the context of its cluster where there are several.
    pub(super) fn print(&self, context: Option<&str>, global: &GlobalArguments) -> anyhow::Result<()> {
        let (start, text) = (context.map_or_else(String::new, |context| format!("{}: ", plain(context))), self.text());
        match self.verdict() {
            WaitVerdict::Converged(_) | WaitVerdict::Staged(_, Freshness::Fresh) if global.quiet => {}
            WaitVerdict::Converged(_) => terminal::text(&format!("{start}{GOOD}converged{GOOD:#}: {text}\n"))?,
            WaitVerdict::Staged(_, Freshness::Fresh) => {
                terminal::text(&format!("{start}{GOOD}staged{GOOD:#}: {text}\n"))?
            }
            _ => terminal::print_error(&anyhow!("{start}{text}")),
        }
        if let WaitVerdict::Refused(rejected, _) = self.verdict() {
            let findings = findings(rejected).into_iter().map(|finding| format!("  {finding}\n"));
            terminal::print_error_text(&findings.collect::<String>())?;
        }
        Ok(())
    }

    fn code(&self) -> u8 {
        match self.verdict() {
            WaitVerdict::Converged(_) | WaitVerdict::Staged(_, Freshness::Fresh) => 0,
            WaitVerdict::Suspended(_) => FAILED,
            WaitVerdict::Unconfirmed(_) | WaitVerdict::Staged(_, Freshness::Unknown) => UNCONFIRMED,
            WaitVerdict::Refused(..) | WaitVerdict::Held(..) if self.nobody_was_asked() => UNCONFIRMED,
            WaitVerdict::Refused(..) | WaitVerdict::Held(..) => REFUSED,
            WaitVerdict::Pending(_) => TIMED_OUT,
        }
    }

    /// Returns whether the end is that of a status that may be old, and nobody could be asked for a recent one. An
    /// operator that was asked, and has not answered until the deadline, has released nothing.
    fn nobody_was_asked(&self) -> bool {
        self.verdict().is_unconfirmed() && self.ended.wait_state.asks_nobody()
    }

    fn outcome(&self) -> &'static str {
        match self.verdict() {
            WaitVerdict::Converged(_) => "converged",
            WaitVerdict::Unconfirmed(_) | WaitVerdict::Staged(_, Freshness::Unknown) => "unconfirmed",
            WaitVerdict::Staged(_, Freshness::Fresh) => "staged",
            WaitVerdict::Refused(..) | WaitVerdict::Held(..) if self.nobody_was_asked() => "unconfirmed",
            WaitVerdict::Refused(..) => "refused",
            WaitVerdict::Held(..) => "held",
            WaitVerdict::Suspended(_) => "suspended",
            WaitVerdict::Pending(_) => "timed_out",
        }
    }

    fn report(&self) -> WaitReport<'_> {
        let (confirmed, claim) = match self.verdict() {
            WaitVerdict::Converged(claim) => (Some(claim), Some(claim)),
            WaitVerdict::Unconfirmed(claim) => (None, Some(claim)),
            _ => (None, None),
        };
        let behind = match self.verdict() {
            WaitVerdict::Pending(Pending::Moving { behind, .. } | Pending::Unknown { behind, .. }) => behind,
            _ => &[][..],
        };
        WaitReport {
            namespace: &self.namespace,
            name: &self.name,
            outcome: self.outcome(),
            message: self.text(),
            behind,
            status: self.ended.wait_state.status(),
            confirmed_by: confirmed.map(|claim| claim.by.name()),
            as_of: claim.and_then(|claim| claim.as_of).map(|time| time.to_string()),
        }
    }

    fn text(&self) -> String {
        let (wait_state, seconds) = (&self.ended.wait_state, self.timeout.as_secs_f64());
        match self.verdict() {
            WaitVerdict::Converged(claim) => {
                let suspended = wait_state.workspace().is_some_and(|workspace| workspace.spec.suspend);
                let note =
                    if suspended { "; the workspace is suspended, so nothing newer will be published" } else { "" };
                format!("{}, as of {}{note}", published(claim, wait_state.target()), date(claim.as_of))
            }
            WaitVerdict::Unconfirmed(claim) => format!(
                "not confirmed within {seconds} s: {}, says a status as of {}, and nothing confirms that this still \
                    holds: {}",
                published(claim, wait_state.target()),
                date(claim.as_of),
                unconfirmed_because(wait_state)
            ),
            WaitVerdict::Staged(rollout, freshness) => self.dated(staged_in_words(rollout), *freshness),
            WaitVerdict::Held(held, freshness) => self.dated(held_in_words(held), *freshness),
            WaitVerdict::Refused(rejected, freshness) => self.dated(refused_in_words(rejected), *freshness),
            WaitVerdict::Suspended(what_to_do) => (*what_to_do).to_owned(),
            WaitVerdict::Pending(pending) => {
                let problem = wait_state.problem().map(|problem| format!("{problem:#}"));
                format!("not converged within {seconds} s: {}", problem.unwrap_or_else(|| missing(pending)))
            }
        }
    }

    /// Returns what the status says of the target, with the date of a status that may be old.
    fn dated(&self, says: String, freshness: Freshness) -> String {
        let wait_state = &self.ended.wait_state;
        // Where nobody can be asked, the wait for what is refused or held does not last until its deadline.
        let refuses = matches!(self.verdict(), WaitVerdict::Refused(..) | WaitVerdict::Held(..));
        let waited =
            if refuses && self.nobody_was_asked() { self.timeout.min(wait_state.good_for()) } else { self.timeout };
        match freshness {
            Freshness::Fresh => says,
            Freshness::Unknown => format!(
                "a status as of {} says this, and nothing confirmed within {} s that it still holds ({}): {says}",
                date(wait_state.status().and_then(as_of)),
                waited.as_secs_f64(),
                unconfirmed_because(wait_state)
            ),
        }
    }
}

/// Returns the sentence for a rollout that has reached its step.
fn staged_in_words(rollout: &RolloutStatus) -> String {
    let RolloutStatus { revision, step, steps, next, stable, .. } = rollout;
    let (revision, step) = (short_revision(Some(revision)), u64::from(*step) + 1);
    format!("step {step} of {steps}: {next} processes run {revision}, {stable} what is published")
}

/// Returns the sentence for a target that lint refuses.
fn refused_in_words(rejected: &RejectedStatus) -> String {
    format!("lint refuses {}: {}", short_revision(rejected.revision.as_deref()), faults(rejected))
}

/// Returns the published content, by the name that the target of the wait has.
fn published(claim: &Claim, target: &WaitTarget) -> String {
    let (meant, newest) = (target.revision_in(claim), claim.revisions.first().map(String::as_str));
    let content = short_fingerprint(claim.fingerprint.as_deref().unwrap_or_default());
    let same = if meant == newest { String::new() } else { format!(" like the newer {}", short_revision(newest)) };
    format!("{} is {content}{same}, fleet {}", short_revision(meant), claim.fleet.summary())
}

/// Returns a time of the operator's clock, which may differ from this machine's.
fn date(as_of: Option<Timestamp>) -> String {
    as_of.map_or_else(|| "an unknown time".to_owned(), |time| time.strftime("%FT%TZ").to_string())
}

/// Returns the reasons why no way led to a recent claim, each with its remedy.
fn unconfirmed_because(wait_state: &WaitState) -> String {
    let operator = match wait_state.operator() {
        Channel::Closed(why) => format!("the operator can't be asked: {}", plain(why)),
        Channel::Untried | Channel::Open => "the operator has not answered for this workspace".to_owned(),
    };
    let requests = match wait_state.requests() {
        Channel::Closed(why) => why.clone(),
        Channel::Open => "it has not handled the request to write the status: does it run?".to_owned(),
        Channel::Untried => "no request could be made".to_owned(),
    };
    let problem = wait_state.problem().map(|problem| format!("; {problem:#}")).unwrap_or_default();
    format!("{operator}; {requests}{problem}")
}

/// Returns the state of a wait that goes on although a status that may be old says what would end it.
fn unconfirmed(wait_state: &WaitState, says: &str) -> String {
    format!("not confirmed ({}): {says}", unconfirmed_because(wait_state))
}

/// Returns the state of a wait that goes on.
fn present(wait_state: &WaitState, begin: Instant, now: Instant) -> String {
    let problem = wait_state.problem().map(|problem| format!("{problem:#}"));
    let state = match wait_state.verdict(now) {
        Some(WaitVerdict::Unconfirmed(_)) => format!("not confirmed: {}", unconfirmed_because(wait_state)),
        Some(WaitVerdict::Refused(rejected, _)) => unconfirmed(wait_state, &refused_in_words(&rejected)),
        Some(WaitVerdict::Staged(rollout, _)) => unconfirmed(wait_state, &staged_in_words(&rollout)),
        Some(WaitVerdict::Held(held, _)) => unconfirmed(wait_state, &held_in_words(&held)),
        Some(WaitVerdict::Pending(pending)) => problem.unwrap_or_else(|| missing(&pending)),
        _ => problem.unwrap_or_else(|| "the API server has not answered".to_owned()),
    };
    format!("waiting for {} s: {state}", now.saturating_duration_since(begin).as_secs())
}

/// Returns the sentence for a pending wait.
fn missing(pending: &Pending) -> String {
    match pending {
        Pending::Unseen(why) => why.clone(),
        Pending::Unpublished(why) => format!("it is not published: {why}"),
        Pending::Moving { applied, total, behind, says } if behind.is_empty() => {
            format!("{applied} of {total} run it: {says}")
        }
        Pending::Moving { applied, total, behind, .. } => {
            let names: Vec<_> = behind.iter().map(straggler).collect();
            format!("{applied} of {total} run it; behind: {}", names.join(", "))
        }
        Pending::Unknown { says, .. } => format!("it is unknown whether every process runs it: {says}"),
    }
}

pub(super) fn revision(text: &str) -> Result<WaitTarget, String> {
    match (text.parse::<Revision>(), text.parse::<Commit>()) {
        (Ok(revision), _) => Ok(WaitTarget::Revision(revision)),
        (_, Ok(commit)) => Ok(WaitTarget::Commit(commit)),
        _ => Err("write all 40 digits of a commit, as `git rev-parse HEAD` prints them, or REF@sha1:COMMIT".to_owned()),
    }
}

fn fingerprint(text: &str) -> Result<WaitTarget, String> {
    text.parse::<Fingerprint>().map(WaitTarget::Fingerprint).map_err(|error| error.to_string())
}

/// Parses a duration: `500ms`, `90s`, `5m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    loop {
        let (part, after) = leading_part(rest).ok_or("write a number and one of ms, s, m, h, such as 90s or 1h30m")?;
        (total, rest) = (total.saturating_add(part), after);
        if rest.is_empty() {
            return Ok(total.min(LONGEST));
        }
    }
}

/// The longest time to wait, which can be added to any time of the clock.
const LONGEST: Duration = Duration::from_secs(3_600_000_000);

/// Splits off the first number of a duration, with its unit.
fn leading_part(text: &str) -> Option<(Duration, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (unit, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let number = number.parse::<u64>().ok().filter(|number| *number <= 1_000_000)?;
    Some((Duration::from_millis(number * millis), after))
}

#[cfg(test)]
mod tests;
