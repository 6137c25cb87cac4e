//! `cargo xtask bench idle`: counts the requests to git and to the API server while nothing changes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;

use rototo_benches::environment::BenchEnvironment;
use rototo_benches::figures::resident_megabytes;
use rototo_benches::witnesses::{Noted, Witnesses};
use rototo_benches::writes::{Counts, print, requests};

/// Count the requests to git and to the API server while nothing changes.
#[derive(Parser)]
#[command(name = "cargo xtask bench idle")]
struct IdleOptions {
    /// The number of workspaces that follow one repository.
    #[arg(long, default_value_t = 50)]
    workspaces: usize,
    /// The poll interval of each of them.
    #[arg(long, default_value = "30s")]
    interval: String,
    /// The number of processes that follow one of the workspaces.
    #[arg(long, default_value_t = 12)]
    processes: usize,
    /// The number of seconds for which requests are counted.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// A file with a line for each run of git; `cargo xtask bench` sets it up.
    #[arg(long, env = "ROTOTO_GIT_LOG")]
    git_log: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = IdleOptions::parse();
    let environment = BenchEnvironment::prepare(&options.interval).await?;
    for number in 1..options.workspaces {
        environment.follow(&format!("workspace-{number}"), &options.interval).await?;
    }
    for number in 1..options.workspaces {
        environment.namespace.wait_for_condition(&format!("workspace-{number}"), "Published", "True").await?;
    }
    let _clients = Witnesses::follow(&environment, options.processes, Noted::Changes).await?;
    environment.converged(options.processes).await?;
    // The requests of the start are over by then.
    tokio::time::sleep(Duration::from_secs(10)).await;

    let (git, asked) = (runs_of_git(&options)?, requests(&environment.plane)?);
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let (git_after, asked_after) = (runs_of_git(&options)?, requests(&environment.plane)?);

    println!(
        "{} workspaces of one repository, polled every {}, and {} processes: in {} s",
        options.workspaces, options.interval, options.processes, options.seconds
    );
    println!("\nruns of git");
    print(&git, &git_after);
    println!("\nwrites to the API server");
    print(&asked, &asked_after);
    println!("\nmemory of the operator: {:.0} MB", resident_megabytes(environment.operator.process()?.id())?);
    Ok(())
}

/// Counts the runs of git by subcommand.
fn runs_of_git(options: &IdleOptions) -> anyhow::Result<Counts> {
    let log = std::fs::read_to_string(&options.git_log);
    let log = log.with_context(|| format!("read {}", options.git_log.display()))?;
    let mut counts = Counts::new();
    for line in log.lines() {
        let mut words = line.split(' ');
        let subcommand = loop {
            match words.next() {
                Some("-c" | "-C" | "--git-dir") => drop(words.next()),
                Some(option) if option.starts_with('-') => {}
                Some(subcommand) => break subcommand,
                None => break "without a subcommand",
            }
        };
        *counts.entry(subcommand.to_owned()).or_default() += 1;
    }
    Ok(counts)
}
