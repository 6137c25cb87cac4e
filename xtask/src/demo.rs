//! `cargo xtask demo`: shows one configuration change from `git push` to a fleet that runs it, on a control plane of
//! its own.
//!
//! This module only prepares the programs of the control plane and ours. The demo itself is the binary `demo` of
//! `rototo-tests`, which has the harness that starts all processes.

use clap::Args;

use crate::cargo::{self, binaries, cargo};
use crate::control_plane::Programs;

/// The arguments of `cargo xtask demo`.
#[derive(Args)]
pub struct DemoArguments {
    /// Arguments for the demo.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    demo: Vec<String>,
}

/// Prepares and runs the demo.
pub fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    Programs::ensure()?;
    eprintln!("Building the operator, the example service, and the demo (only once: later runs start immediately).");
    let packages = ["rototo-operator", "degradation-service", "rototo-tests"];
    cargo::run(cargo(
        ["build", "--bins"].into_iter().chain(packages.iter().flat_map(|package| ["--package", package])),
    ))?;
    let directory = binaries()?;
    let mut program = std::process::Command::new(directory.join("demo"));
    program.args(&arguments.demo).env("ROTOTO_BIN_DIR", &directory);
    cargo::run(program)
}
