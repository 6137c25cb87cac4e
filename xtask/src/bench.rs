//! `cargo xtask bench NAME`: measures, and prints what it found. Nothing fails for being slow.

use clap::{Args, ValueEnum};

use crate::cargo::{self, cargo};
use crate::control_plane::Programs;

/// What `cargo xtask bench` takes.
#[derive(Args)]
pub struct Arguments {
    /// What to measure.
    bench: Bench,
    /// Passed on to the bench.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Where the time of a change goes, beside the raw watch.
    Stages,
}

impl Bench {
    fn program(self) -> &'static str {
        match self {
            Self::Stages => "stages",
        }
    }
}

/// Builds with optimizations, and measures.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    Programs::ensure()?;
    eprintln!("Building with optimizations (profile `measured`).");
    let packages = ["rototo-operator", "degradation-service", "rototo-benches"];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    cargo::run(cargo(["build", "--profile", "measured", "--bins"].into_iter().chain(packages)))?;
    let directory = cargo::binaries()?.with_file_name("measured");
    let mut bench = std::process::Command::new(directory.join(arguments.bench.program()));
    bench.args(&arguments.arguments).env("ROTOTO_BIN_DIR", &directory);
    cargo::run(bench)
}
