//! `cargo xtask fuzz`: feeds arbitrary bytes to every parser for a while, starting from valid seeds.
//!
//! The targets are in `fuzz/`, a workspace of its own: libFuzzer needs a nightly compiler, and the project does not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::Args;

use crate::cargo;
use crate::cargo_tool;

/// The version of cargo-fuzz.
const CARGO_FUZZ: &str = "0.13.2";

/// The arguments of `cargo xtask fuzz`.
#[derive(Args)]
pub struct FuzzArguments {
    /// The number of seconds for which each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Print the names of the targets, and run none.
    #[arg(long)]
    list: bool,
    /// The targets to run; all by default.
    targets: Vec<String>,
}

/// Runs the targets one after the other, and fails if one of them found something.
pub fn run(arguments: &FuzzArguments) -> anyhow::Result<()> {
    let all = targets()?;
    if arguments.list {
        all.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    if let Some(unknown) = arguments.targets.iter().find(|target| !all.contains(target)) {
        bail!("there is no fuzz target `{unknown}`; there are {}", all.join(", "));
    }
    let selected = if arguments.targets.is_empty() { &all } else { &arguments.targets };
    let fuzz = CargoFuzz::ensure()?;
    fuzz.build(selected)?;
    let mut found = Vec::new();
    for target in selected {
        if !fuzz.run(target, arguments.seconds)? {
            found.push(target.as_str());
        }
    }
    if !found.is_empty() {
        bail!(
            "the fuzzer found inputs that fail in {}: they are in fuzz/artifacts; write a test for each",
            found.join(", ")
        );
    }
    println!("{} targets ran for {} seconds each and found nothing", selected.len(), arguments.seconds);
    Ok(())
}

/// Returns the names of the files in `fuzz/targets`.
pub fn targets() -> anyhow::Result<Vec<String>> {
    let folder = cargo::root().join("fuzz/targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

struct CargoFuzz {
    program: PathBuf,
}

impl CargoFuzz {
    /// Installs cargo-fuzz if necessary, and fails with the command that helps if a compiler is missing.
    fn ensure() -> anyhow::Result<Self> {
        if !succeeds(Command::new("rustc").args(["+nightly", "--version"])) {
            bail!("fuzzing needs a nightly compiler: rustup toolchain install nightly --profile minimal");
        }
        if !succeeds(Command::new("c++").arg("--version")) {
            bail!("fuzzing needs a C++ compiler, which builds libFuzzer: install g++ or clang");
        }
        Ok(Self { program: cargo_tool::ensure("cargo-fuzz", CARGO_FUZZ)? })
    }

    /// Returns a command of cargo-fuzz without a sanitizer: our code has no unsafe block, and runs twice as fast
    /// without one.
    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["fuzz", verb, "--sanitizer", "none"]).current_dir(cargo::root());
        // The rustup proxies use this toolchain for cargo and for the compiler. `CARGO` and `RUSTC`, which the cargo of
        // this program sets, would bring back its own toolchain.
        command.env("RUSTUP_TOOLCHAIN", "nightly").env_remove("CARGO").env_remove("RUSTC");
        command
    }

    fn build(&self, targets: &[String]) -> anyhow::Result<()> {
        for target in targets {
            let mut build = self.command("build");
            build.arg(target);
            cargo::run(build)?;
        }
        Ok(())
    }

    /// Returns whether `target` found nothing.
    fn run(&self, target: &str, seconds: u32) -> anyhow::Result<bool> {
        let corpus = cargo::root().join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&corpus).with_context(|| format!("create {}", corpus.display()))?;
        let mut run = self.command("run");
        run.arg(target).arg(&corpus).arg("--").args(limits(seconds)).env("ROTOTO_FUZZ_SEEDS", &corpus);
        eprintln!("== {target}, {seconds} s");
        let status = run.status().with_context(|| format!("run {target}"))?;
        Ok(status.success())
    }
}

/// Returns the limits that count as findings besides a panic: an input that takes 10 seconds, or 1 GiB.
fn limits(seconds: u32) -> [String; 5] {
    [
        format!("-max_total_time={seconds}"),
        "-timeout=10".to_owned(),
        "-rss_limit_mb=1024".to_owned(),
        "-max_len=16384".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_a_program_of_the_fuzz_workspace() {
        let manifest = std::fs::read_to_string(cargo::root().join("fuzz/Cargo.toml")).unwrap();
        let declared: Vec<&str> = manifest.lines().filter_map(|line| line.strip_prefix("path = \"targets/")).collect();
        let declared: Vec<&str> = declared.into_iter().filter_map(|file| file.strip_suffix(".rs\"")).collect();
        let mut all = targets().unwrap();
        all.sort();
        let mut sorted = declared.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, all);
    }
}
