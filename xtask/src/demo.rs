//! `cargo xtask demo`: shows one configuration change from `git push` to a fleet that runs it, on a control plane of
//! its own.
//!
//! This module only prepares the programs of the control plane and ours. The demo itself is the binary `demo` of
//! `rototo-tests`, which has the harness that starts all processes.

use std::collections::BTreeSet;
use std::iter;
use std::process::Command;

use clap::Args;

use crate::cargo::{self, binaries, cargo};
use crate::command;
use crate::control_plane::Programs;
use crate::progress::{self, MeasuredBuild};

/// The arguments of `cargo xtask demo`.
#[derive(Args)]
pub struct DemoArguments {
    /// Arguments for the demo.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    demo: Vec<String>,
}

/// The programs of the demo, with their packages.
const PROGRAMS: [(&str, &str); 3] =
    [("rototo-operator", "rototo-operator"), ("degradation-service", "degradation-service"), ("demo", "rototo-tests")];
/// The time of one core for a usual crate, in milliseconds.
const CRATE_MS: u64 = 700;

/// Prepares and runs the demo.
pub fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    eprintln!("Building the operator, the example service, and the demo (only once: later runs start immediately).");
    match Programs::missing()? {
        // Beside each other they leave no core idle.
        Some(control_plane) => {
            progress::run(iter::once(ours()).chain(iter::once_with(|| control_plane.begin())))?;
            control_plane.finish()?;
        }
        None => cargo::run(build())?,
    }
    let directory = binaries()?;
    let mut program = Command::new(directory.join("demo"));
    program.args(&arguments.demo).env("ROTOTO_BIN_DIR", &directory);
    cargo::run(program)
}

fn build() -> Command {
    let mut build = cargo(["build"]);
    build.args(PROGRAMS.iter().flat_map(|(program, package)| ["--package", package, "--bin", program]));
    build
}

/// Returns the build of our programs, with a count of their crates.
fn ours() -> anyhow::Result<MeasuredBuild> {
    let mut tree = cargo(["tree", "--edges", "normal,build", "--prefix", "none"]);
    tree.args(PROGRAMS.iter().flat_map(|(_, package)| ["--package", package]));
    let crates = command::output(&mut tree)?;
    let crates: BTreeSet<_> = crates.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let advice = "run `cargo`".to_owned();
    Ok(MeasuredBuild {
        what: "crates",
        command: build(),
        total: crates.len(),
        step_ms: CRATE_MS,
        step: compiled,
        advice,
    })
}

/// Returns the crate that a line of cargo's output reports.
fn compiled(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("Compiling ")?.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_names_each_crate_that_it_compiles() {
        assert_eq!(compiled("   Compiling serde v1.0.228"), Some("serde"));
        assert_eq!(compiled("    Finished `dev` profile in 3.21s"), None);
    }
}
