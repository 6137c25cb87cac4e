//! `cargo xtask bench NAME`: measures, and prints the figures. No figure makes a bench fail.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::cargo::{self, cargo};
use crate::control_plane::{Programs, cache_directory};

/// The arguments of `cargo xtask bench`.
#[derive(Args)]
pub struct BenchArguments {
    /// The bench to run.
    bench: Bench,
    /// Arguments for the bench.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// The benches.
#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// The time of each step of a change, beside the raw watch.
    Stages,
    /// The time from a commit to every process of larger fleets, beside the raw watch.
    Propagation,
    /// Requests to git and to the API server while nothing changes.
    Idle,
    /// The load of an operator under the reports of a large fleet.
    Reports,
    /// The time until a change is published beside hostile neighbours.
    Neighbours,
    /// The load of an operator under the requests of hostile callers.
    Hostile,
    /// The answers of an operator to one process while pods flood it.
    Pods,
    /// Evaluations of the agent, beside another OFREP server and a bare HTTP server.
    Agent,
    /// The time from a keystroke in an editor to the findings of the language server.
    Keystrokes,
    /// The time of a decision, beside the reference and a hand-written minimum.
    Resolve,
    /// The time of loading and reloading workspaces, beside the reference.
    Load,
}

/// Builds with optimizations, and measures.
pub fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    match arguments.bench {
        Bench::Stages => fleet("stages", &arguments.arguments),
        Bench::Propagation => fleet("propagation", &arguments.arguments),
        Bench::Idle => fleet("idle", &arguments.arguments),
        Bench::Reports => fleet("reports", &arguments.arguments),
        Bench::Neighbours => fleet("neighbours", &arguments.arguments),
        Bench::Hostile => fleet("hostile", &arguments.arguments),
        Bench::Pods => fleet("pods", &arguments.arguments),
        Bench::Agent => agent(&arguments.arguments),
        Bench::Keystrokes => keystrokes(),
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
    let mut program = Command::new(directory.join(bench));
    program.args(arguments).env("ROTOTO_BIN_DIR", &directory);
    // In other benches the count would only cost time.
    if bench == "idle" {
        let counted = CountedGit::prepare(&directory)?;
        program.env("PATH", &counted.path).env("ROTOTO_GIT_LOG", &counted.log);
    }
    cargo::run(program)
}

fn agent(arguments: &[String]) -> anyhow::Result<()> {
    eprintln!("Building with optimizations (profile `measured`).");
    let packages = ["--package", "rototo-agent", "--package", "rototo-benches"];
    let bins = ["--bin", "rototo-agent", "--bin", "agent", "--bin", "bare-http"];
    cargo::run(cargo(["build", "--profile", "measured"].into_iter().chain(packages).chain(bins)))?;
    let mut program = Command::new(cargo::binaries()?.with_file_name("measured").join("agent"));
    program.args(arguments);
    match go_feature_flag() {
        Ok(peer) => drop(program.env("ROTOTO_PEER_GO_FEATURE_FLAG", peer)),
        Err(error) => eprintln!("The relay proxy of go-feature-flag can't be built: {error:#}"),
    }
    cargo::run(program)
}

fn keystrokes() -> anyhow::Result<()> {
    eprintln!("Building with optimizations (profile `measured`).");
    let package = ["--package", "rototo-cli", "--no-default-features", "--bench", "keystrokes"];
    cargo::run(cargo(["bench", "--profile", "measured"].into_iter().chain(package)))
}

/// Builds the relay proxy of go-feature-flag once, in the version that `benches/peers` pins.
fn go_feature_flag() -> anyhow::Result<PathBuf> {
    let program = cache_directory()?.join("peers/go-feature-flag-1.40.0");
    if !program.is_file() {
        eprintln!("Building the relay proxy of go-feature-flag into {} (once, minutes).", program.display());
        let mut go = Command::new("go");
        go.arg("build").arg("-o").arg(&program).arg("github.com/thomaspoignant/go-feature-flag/cmd/relayproxy");
        cargo::run({
            go.current_dir(cargo::root().join("benches/peers/go-feature-flag"));
            go
        })?;
    }
    Ok(program)
}

fn engine(bench: &str, arguments: &[String]) -> anyhow::Result<()> {
    let manifest = cargo::root().join("benches/engine/Cargo.toml");
    let target = cargo::binaries()?.with_file_name("engine-benches");
    let mut program = cargo(["run", "--release", "--locked"]);
    program.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(target).args(["--", bench]).args(arguments);
    cargo::run(program)
}

/// A `git` that appends a line to a file for each run, and then runs the real git.
struct CountedGit {
    /// A `PATH` that has it first.
    path: OsString,
    log: PathBuf,
}

impl CountedGit {
    fn prepare(directory: &Path) -> anyhow::Result<Self> {
        let before = env::var_os("PATH").unwrap_or_default();
        let folder = directory.join("counted-git");
        let real = env::split_paths(&before).map(|folder| folder.join("git")).find(|git| git.is_file());
        let real = real.context("there is no git in PATH")?;
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let (program, log) = (folder.join("git"), folder.join("log"));
        fs::write(&log, "").with_context(|| format!("empty {}", log.display()))?;
        let script = format!("#!/bin/sh\necho \"$*\" >>'{}'\nexec '{}' \"$@\"\n", log.display(), real.display());
        fs::write(&program, script).with_context(|| format!("write {}", program.display()))?;
        fs::set_permissions(&program, Permissions::from_mode(0o755)).context("make the counting git executable")?;
        let path = env::join_paths(std::iter::once(folder).chain(env::split_paths(&before)))?;
        Ok(Self { path, log })
    }
}
