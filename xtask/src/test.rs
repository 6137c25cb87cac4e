//! `cargo xtask test`: builds every program once, makes sure that the programs of a control plane exist, and runs every
//! test.

use clap::Args;

use crate::cargo::{self, binaries, cargo};
use crate::chaos;
use crate::control_plane::Programs;
use crate::disk;

/// The arguments of `cargo xtask test`.
#[derive(Args)]
pub struct TestArguments {
    /// Arguments for `cargo test`, such as `-p rototo-tests --test e2e`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo_test: Vec<String>,
}

impl TestArguments {
    /// Returns whether all packages are tested.
    fn is_complete(&self) -> bool {
        self.cargo_test.is_empty() || self.cargo_test.iter().any(|argument| argument == "--workspace")
    }
}

/// Runs the tests, and after a complete run a share of the chaos histories.
pub fn run(arguments: &TestArguments) -> anyhow::Result<()> {
    disk::warn_if_short();
    Programs::ensure_with_controllers()?;
    // The tests start the operator, the example service, the agent, and the CLI as processes.
    let programs = ["rototo-operator", "degradation-service", "rototo-agent", "rototo-cli"];
    cargo::run(cargo(
        ["build", "--bins"].into_iter().chain(programs.iter().flat_map(|program| ["--package", program])),
    ))?;
    if arguments.is_complete() {
        // In the workspace, other packages turn the features of these on.
        cargo::run(cargo([
            "check",
            "--package",
            "rototo-source",
            "--package",
            "rototo-client",
            "--no-default-features",
        ]))?;
    }
    let mut tests = cargo(["test"]);
    if arguments.cargo_test.is_empty() {
        tests.arg("--workspace");
    }
    tests.args(&arguments.cargo_test).env("ROTOTO_BIN_DIR", binaries()?);
    cargo::run(tests)?;
    if arguments.cargo_test.is_empty() { chaos::share() } else { Ok(()) }
}
