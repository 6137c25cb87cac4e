//! `cargo xtask chaos`: runs seeded histories of faults against a real API server, operators, git, and processes, and
//! compares each claim that a change runs everywhere with the processes themselves.
//!
//! This module only prepares the programs, as `demo` does. The histories run in the binary `chaos` of `rototo-tests`,
//! which has the harness.

use clap::Args;

use crate::cargo::{self, binaries, cargo};
use crate::control_plane::Programs;

/// The arguments of `cargo xtask chaos`.
#[derive(Args)]
pub struct ChaosArguments {
    /// Arguments for the program, such as `--histories 100 --seed 1`; `--soak 30` changes one fleet for half an hour
    /// instead.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    chaos: Vec<String>,
}

/// The arguments of the histories that every `cargo xtask test` runs.
const SHARE: [&str; 4] = ["--histories", "20", "--minutes", "6"];

/// Builds the programs, and runs the histories.
pub fn run(arguments: &ChaosArguments) -> anyhow::Result<()> {
    Programs::ensure()?;
    let packages = ["rototo-operator", "degradation-service", "rototo-tests"];
    cargo::run(cargo(
        ["build", "--bins"].into_iter().chain(packages.iter().flat_map(|package| ["--package", package])),
    ))?;
    let directory = binaries()?;
    let mut chaos = std::process::Command::new(directory.join("chaos"));
    chaos.args(&arguments.chaos).env("ROTOTO_BIN_DIR", &directory);
    cargo::run(chaos)
}

/// Runs some histories from a new seed, for some minutes at most.
pub fn share() -> anyhow::Result<()> {
    run(&ChaosArguments { chaos: SHARE.map(str::to_owned).to_vec() })
}
