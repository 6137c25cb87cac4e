//! The demo of `cargo xtask demo`, on a real control plane, a real operator, and real processes. It shows one change
//! from `git push` to a fleet that runs it, one change that lint refuses, the revert of that, which notifies nobody, and
//! one change that only the types of the application refuse.

mod environment;
mod output;
mod stages;

use std::io::IsTerminal;

use anyhow::ensure;
use clap::Parser;

use crate::environment::{DemoEnvironment, TRIAL};
use crate::output::{say, timeline, title};

/// One configuration change, from `git push` to a fleet that runs it.
#[derive(Parser)]
#[command(name = "cargo xtask demo")]
struct DemoOptions {
    /// Keep everything running at the end, and show commands to try.
    #[arg(long)]
    keep: bool,
    /// Show also a rollout in steps that a query to Prometheus rolls back. It downloads Debian's package once (19 MB).
    #[arg(long)]
    stages: bool,
    /// The number of processes in the fleet.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=200))]
    processes: u16,
}

/// An account in bucket 2329 of the trial: outside of 10 %, inside of 30 %.
const WIDENED: &str = "acct-006";
/// An account in bucket 5274: outside of both.
const OUTSIDE: &str = "acct-0001";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = DemoOptions::parse();
    title("rototo: is this configuration change applied yet?");
    let environment = DemoEnvironment::set(usize::from(options.processes)).await?;
    environment.show_table()?;

    widen_the_trial(&environment).await?;
    break_the_policy(&environment).await?;
    revert(&environment).await?;
    refuse_in_rehearsal(&environment).await?;
    if options.stages {
        stages::take_back_by_a_query(&environment).await?;
    }

    if options.keep {
        environment.keep()?;
        if std::io::stdin().is_terminal() {
            say("Press Ctrl-C to end the demo.");
        }
        tokio::signal::ctrl_c().await?;
    }
    Ok(())
}

async fn widen_the_trial(environment: &DemoEnvironment) -> anyhow::Result<()> {
    title("1. Widen the trial of the severe policy to 30 %");
    let before = [environment.policy(WIDENED)?, environment.policy(OUTSIDE)?];
    environment.repository.edit(TRIAL, "range = [0, 1000]", "range = [0, 3000]")?;
    environment.push(&format!("{TRIAL}: range = [0, 1000] -> [0, 3000]")).await?;
    let status = environment.converged().await?;
    timeline(&status)?;

    let published = status.published.as_ref().map(|published| published.updated_at.to_string());
    for app in &environment.fleet.apps {
        let state = app.state()?;
        ensure!(state["updated_at"].as_str() == published.as_deref(), "{} disagrees: {state}", app.pod().name());
    }
    say(format_args!("Each of the {} processes reports that it runs this publish.", environment.fleet.apps.len()));
    let after = [environment.policy(WIDENED)?, environment.policy(OUTSIDE)?];
    for ((account, before), after) in [WIDENED, OUTSIDE].iter().zip(before).zip(after) {
        say(format_args!("Under high pressure, {account:<9} follows  {before:<8} -> {after}"));
    }
    environment.show_table()
}

async fn break_the_policy(environment: &DemoEnvironment) -> anyhow::Result<()> {
    title("2. Somebody sets max_concurrency = 0");
    let (map, fingerprints) = (environment.map_version().await?, environment.fingerprints()?);
    environment.repository.edit(environment::POLICY, "max_concurrency = 10", "max_concurrency = 0")?;
    let status = environment.push(&format!("{}: max_concurrency = 10 -> 0", environment::POLICY)).await?;
    let rejected = status.rejected.as_ref();
    for finding in rejected.iter().flat_map(|rejected| &rejected.diagnostics) {
        let place = format!("{}:{}", finding.path.as_deref().unwrap_or(""), finding.line.unwrap_or(1));
        say(format_args!("REFUSED  {place}\n           {} [{}]", finding.message, finding.rule));
    }
    ensure!(rejected.is_some(), "the commit should have been refused: {status:#?}");
    ensure!(environment.map_version().await? == map, "a refused commit must not change the marker map");
    ensure!(environment.fingerprints()? == fingerprints, "a refused commit must change no process");
    say("The marker did not change, and every process keeps what it runs.");
    environment.show_table()
}

async fn revert(environment: &DemoEnvironment) -> anyhow::Result<()> {
    title("3. The revert");
    let map = environment.map_version().await?;
    environment.repository.revert("HEAD")?;
    let status = environment.push("git revert HEAD").await?;
    ensure!(status.rejected.is_none(), "the revert should pass: {status:#?}");
    ensure!(environment.map_version().await? == map, "content that already runs must not change the marker map");
    say("Lint passes again. No process was notified, because the fleet already runs this content.");
    environment.show_table()
}

async fn refuse_in_rehearsal(environment: &DemoEnvironment) -> anyhow::Result<()> {
    title("4. Somebody allows fractions, which the service does not");
    let fingerprints = environment.fingerprints()?;
    let integer = r#""max_concurrency": { "type": "integer""#;
    environment.repository.edit(environment::SCHEMA, integer, &integer.replace("integer", "number"))?;
    environment.repository.edit(environment::POLICY, "max_concurrency = 10", "max_concurrency = 10.5")?;
    environment.push(&format!("{}: max_concurrency = 10 -> 10.5", environment::POLICY)).await?;
    let held = environment.held().await?;
    let first = held.processes.first().map_or("", |process| process.name.as_str());
    say(format_args!("HELD  {}: lint accepts it,", held.revision));
    say(format_args!("      and processes refuse it before it is published, {first} among them."));
    say(format_args!("      To publish it anyway: {}", held.release));
    ensure!(environment.fingerprints()? == fingerprints, "a revision that is held must change no process");
    say("It was announced and never published, so it ran nowhere.");
    environment.repository.revert("HEAD")?;
    environment.repository.revert("HEAD~2")?;
    let status = environment.push("git revert HEAD HEAD~1").await?;
    ensure!(status.held.is_none(), "the revert should not be held: {status:#?}");
    environment.show_table()
}
