//! `cargo xtask generate`: writes the files that are generated from code.
//!
//! The generator needs types of Kubernetes, so it is in `rototo-tests`; this module builds and runs it.

use clap::Args;

use crate::cargo::{self, cargo};

/// The arguments of `cargo xtask generate`.
#[derive(Args)]
pub struct GenerateArguments {
    /// Write nothing, and fail if a file does not match the code.
    #[arg(long)]
    check: bool,
}

/// Writes or checks the files.
pub fn run(arguments: &GenerateArguments) -> anyhow::Result<()> {
    let mut generator = cargo(["run", "--quiet", "--package", "rototo-tests", "--bin", "generate", "--"]);
    if arguments.check {
        generator.arg("--check");
    }
    cargo::run(generator)
}
