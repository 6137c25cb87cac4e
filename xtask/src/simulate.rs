//! `cargo xtask simulate`: runs random histories against the decision code of operator and client.
//!
//! With `--mutants` it proves that the simulator finds mistakes: each of the faults in [`mutants`] is put into a copy
//! of the code, and a history has to find it.

mod mutants;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::Args;

use crate::cargo::{self, cargo};
use crate::folder;
use mutants::{Mutant, mutants};

/// The arguments of `cargo xtask simulate`.
#[derive(Args)]
pub struct SimulateArguments {
    /// Put faults into a copy of the code, and show which history finds each.
    #[arg(long)]
    mutants: bool,
    /// Only the faults with this number, or with this text in their name.
    #[arg(long, requires = "mutants")]
    only: Option<String>,
    /// Only the faults from this number on, to continue a run.
    #[arg(long, requires = "mutants", default_value_t = 1)]
    from: usize,
    /// Arguments for the simulator, such as `--histories 200000 --seed 1`; `--replay SEED` prints one history.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    simulator: Vec<String>,
}

/// The number of histories that may find a fault.
const HISTORIES: &str = "20000";
/// The packages of which the simulator consists.
const PACKAGES: [&str; 4] = ["api", "engine", "protocol", "simulator"];

/// Runs the simulator.
pub fn run(arguments: &SimulateArguments) -> anyhow::Result<()> {
    if arguments.mutants {
        return kill_mutants(arguments.only.as_deref(), arguments.from);
    }
    let mut simulate = cargo(["run", "--quiet", "--profile", "measured", "--package", "rototo-simulator", "--"]);
    simulate.args(&arguments.simulator);
    cargo::run(simulate)
}

fn kill_mutants(only: Option<&str>, from: usize) -> anyhow::Result<()> {
    let copy = Copy::make()?;
    copy.build()?;
    if let Some(failure) = copy.finds()? {
        bail!("the simulator finds a violation in the code without a planted fault:\n{failure}");
    }
    let mut survivors = Vec::new();
    let chosen = mutants().enumerate().map(|(index, mutant)| (index + 1, mutant));
    let chosen = chosen
        .filter(|(number, _)| *number >= from)
        .filter(|(number, mutant)| only.is_none_or(|only| number.to_string() == only || mutant.name.contains(only)));
    let mut killed = 0;
    for (number, mutant) in chosen {
        copy.plant(mutant)?;
        let failure = copy.build().and_then(|()| copy.finds());
        let by_tests = matches!(failure, Ok(None)) && !copy.passes_its_tests()?;
        copy.restore(mutant)?;
        let failure = match failure {
            Ok(failure) => failure,
            // Every fault that compiles is judged before this one fails the run.
            Err(error) => {
                println!("{number:>2}. {}: {error:#}\n", mutant.name);
                survivors.push(mutant.name);
                continue;
            }
        };
        match failure {
            Some(failure) => println!("{number:>2}. {}: killed by\n{failure}\n", mutant.name),
            None if by_tests => println!("{number:>2}. {}: survives the histories, killed by the tests\n", mutant.name),
            None => {
                println!("{number:>2}. {}: SURVIVES\n", mutant.name);
                survivors.push(mutant.name);
                continue;
            }
        }
        killed += 1;
    }
    println!("{killed} killed, {} survive", survivors.len());
    if !survivors.is_empty() {
        bail!("nothing finds these faults: {}", survivors.join("; "));
    }
    Ok(())
}

/// A copy of the simulator and of all its code, into which faults are put.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn make() -> anyhow::Result<Self> {
        let root = cargo::binaries()?.with_file_name("mutants").join("workspace");
        for package in PACKAGES {
            let (from, to) = (cargo::root().join(package), root.join(package));
            folder::remove(&to)?;
            folder::copy(&from, &to)?;
        }
        let manifest = fs::read_to_string(cargo::root().join("Cargo.toml")).context("read Cargo.toml")?;
        fs::write(root.join("Cargo.toml"), reduced(&manifest)).context("write the copy's Cargo.toml")?;
        for file in ["Cargo.lock", "rust-toolchain.toml"] {
            fs::copy(cargo::root().join(file), root.join(file)).with_context(|| format!("copy {file}"))?;
        }
        Ok(Self { root })
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(arguments);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", self.root.with_file_name("build"));
        command
    }

    fn build(&self) -> anyhow::Result<()> {
        let mut build = self.cargo(&["build", "--quiet", "--profile", "measured", "--package", "rototo-simulator"]);
        // A fault may leave a variable unused.
        let output = build.output().context("build the copy")?;
        if !output.status.success() {
            bail!("the copy does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Returns the first history that breaks an invariant, shortened.
    fn finds(&self) -> anyhow::Result<Option<String>> {
        let program = self.root.with_file_name("build").join("measured/rototo-simulator");
        let output =
            Command::new(program).args(["--first", "--histories", HISTORIES]).output().context("run the simulator")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let failure: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).collect();
        Ok((!output.status.success()).then(|| format!("    {}", failure.join("\n    "))))
    }

    fn passes_its_tests(&self) -> anyhow::Result<bool> {
        // Those of the simulator have the histories that have found a fault before.
        for package in [["rototo-protocol", "--lib"], ["rototo-simulator", "--tests"]] {
            let mut tests = self.cargo(&["test", "--quiet", "--package"]);
            let tests = tests.args(package).stdout(Stdio::null()).stderr(Stdio::null());
            if !tests.status().context("run the tests")?.success() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn plant(&self, mutant: &Mutant) -> anyhow::Result<()> {
        let path = self.root.join(mutant.file);
        let code = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        if code.matches(mutant.instead_of).count() != 1 {
            bail!("the text of the fault `{}` is not exactly once in {}: update it", mutant.name, mutant.file);
        }
        fs::write(&path, code.replace(mutant.instead_of, mutant.put))
            .with_context(|| format!("write {}", path.display()))
    }

    fn restore(&self, mutant: &Mutant) -> anyhow::Result<()> {
        let (from, to) = (cargo::root().join(mutant.file), self.root.join(mutant.file));
        let code = fs::read(&from).with_context(|| format!("read {}", from.display()))?;
        // The file is written and not copied, so that cargo sees a newer one.
        fs::write(&to, code).with_context(|| format!("write {}", to.display()))
    }
}

/// Returns the manifest of a cargo workspace with these packages alone.
fn reduced(manifest: &str) -> String {
    let members = PACKAGES.map(|package| format!("\"{package}\"")).join(", ");
    let line = |line: &str| match line.split_once(" = ").map(|(key, _)| key) {
        Some("members") => format!("members = [{members}]"),
        Some("exclude") => String::new(),
        _ => line.to_owned(),
    };
    manifest.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_one_place_in_the_code() {
        let places = |mutant: &Mutant| {
            let code = fs::read_to_string(cargo::root().join(mutant.file)).unwrap();
            code.matches(mutant.instead_of).count()
        };
        let misplaced: Vec<String> = mutants()
            .filter(|mutant| places(mutant) != 1)
            .map(|mutant| {
                format!(
                    "{}: {} has this text {} times:\n{}",
                    mutant.name,
                    mutant.file,
                    places(mutant),
                    mutant.instead_of
                )
            })
            .collect();
        assert!(misplaced.is_empty(), "{}", misplaced.join("\n\n"));
        assert!(mutants().count() >= 90);
    }

    #[test]
    fn the_copy_has_only_what_the_simulator_needs() {
        let manifest = "[workspace]\nmembers = [\"a\", \"b\"]\nexclude = [\"c\"]\nresolver = \"3\"";
        let members = "members = [\"api\", \"engine\", \"protocol\", \"simulator\"]";
        assert_eq!(reduced(manifest), format!("[workspace]\n{members}\n\nresolver = \"3\""));
    }
}
