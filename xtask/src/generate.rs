//! `cargo xtask generate`: writes the files that are made from code.
//!
//! They are made from types that need Kubernetes' own, so `rototo-tests` has the generator; this builds and runs it.

use clap::Args;

use crate::cargo::{self, cargo};

/// The arguments of `cargo xtask generate`.
#[derive(Args)]
pub struct GenerateArguments {
    /// Write nothing; fail if a file is not what it should be.
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
