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
    /// Decisions, beside the reference and a hand-written floor.
    Resolve,
    /// Loading and reloading workspaces, beside the reference.
    Load,
}

/// Builds with optimizations, and measures.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match arguments.bench {
        Bench::Stages => fleet("stages", &arguments.arguments),
        Bench::Resolve => engine("resolve", &arguments.arguments),
        Bench::Load => engine("load", &arguments.arguments),
    }
}

fn fleet(bench: &str, arguments: &[String]) -> anyhow::Result<()> {
    Programs::ensure()?;
    eprintln!("Building with optimizations (profile `measured`).");
    let packages = ["rototo-operator", "degradation-service", "rototo-benches"];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    cargo::run(cargo(["build", "--profile", "measured", "--bins"].into_iter().chain(packages)))?;
    let directory = cargo::binaries()?.with_file_name("measured");
    let mut program = std::process::Command::new(directory.join(bench));
    program.args(arguments).env("ROTOTO_BIN_DIR", &directory);
    cargo::run(program)
}

fn engine(bench: &str, arguments: &[String]) -> anyhow::Result<()> {
    let mut program = cargo(["run", "--release", "--package", "rototo-engine-benches", "--", bench]);
    program.args(arguments);
    cargo::run(program)
}
