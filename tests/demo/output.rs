//! The output of the demo.

use std::fmt::Display;

use anyhow::Context;
use rototo_api::workspace::RototoWorkspaceStatus;

/// Prints the heading of a section.
pub(crate) fn title(text: &str) {
    println!("\n{text}\n{}", "-".repeat(text.chars().count()));
}

/// Prints one line.
pub(crate) fn say(text: impl Display) {
    println!("  {text}");
}

/// Prints a command and its output.
pub(crate) fn command(line: &str, output: &str) {
    println!("\n  $ {line}");
    for line in output.lines() {
        println!("  {line}");
    }
    println!();
}

/// Prints the stages of the newest publish with their times on the operator's clock.
pub(crate) fn timeline(status: &RototoWorkspaceStatus) -> anyhow::Result<()> {
    let fleet = status.fleet.as_ref().context("the status has no fleet")?;
    let millis = fleet.millis.context("the status has no times")?;
    let all = millis.all.context("the fleet has not converged")?;
    let revision = status.published.as_ref().and_then(|published| published.revision.as_deref()).unwrap_or_default();
    let stages = [
        ("detected", Some(0)),
        ("fetched", Some(millis.fetched)),
        ("linted, and stored as a snapshot", Some(millis.linted)),
        ("published: the marker is written", Some(millis.published)),
        ("first process applied it", millis.first),
        ("half of them", millis.p50),
        ("all of them", Some(all)),
    ];
    println!("  {revision}, by the operator's clock:");
    for (stage, at) in stages {
        if let Some(at) = at {
            println!("  {at:>6} ms  {stage}");
        }
    }
    let expected = fleet.expected.unwrap_or(fleet.processes);
    println!("  CONVERGED {}/{expected} in {all} ms", fleet.applied);
    Ok(())
}
