//! `cargo xtask deny`: checks what the dependencies are: their licences, sources, known vulnerabilities, and the crates that
//! must not be among them. `deny.toml` has the rules. It also lists the crates with `unsafe` code, as this project has none.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::cargo::{self, cargo};
use crate::{cargo_tool, command};

/// The version of cargo-deny.
const CARGO_DENY: &str = "0.20.2";

/// The arguments of `cargo xtask deny`.
#[derive(Args)]
pub struct DenyArguments {
    /// Leave out known vulnerabilities, whose database is a git repository on GitHub.
    #[arg(long)]
    without_advisories: bool,
    /// List the crates of the operator that have `unsafe` code, with the number of lines, and check nothing.
    #[arg(long)]
    list_unsafe: bool,
}

/// Runs the checks.
pub fn run(arguments: &DenyArguments) -> anyhow::Result<()> {
    if arguments.list_unsafe {
        for (name, lines) in unsafe_lines("rototo-operator")? {
            println!("{lines:>6}  {name}");
        }
        return Ok(());
    }
    let mut checks = vec!["bans", "licenses", "sources"];
    if !arguments.without_advisories {
        checks.push("advisories");
    }
    let program = cargo_tool::ensure("cargo-deny", CARGO_DENY)?;
    let mut deny = Command::new(program);
    deny.args(["--locked", "check", "--hide-inclusion-graph"]).args(checks).current_dir(cargo::root());
    cargo::run(deny)
}

/// Returns the number of lines with `unsafe` code of each crate that `package` links.
fn unsafe_lines(package: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let metadata = cargo::metadata_with_dependencies()?;
    let tree = ["tree", "--locked", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let linked = command::output(&mut cargo(tree))?;
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let [name, version, manifest] =
            ["name", "version", "manifest_path"].map(|key| package[key].as_str().unwrap_or_default());
        if !linked.lines().any(|line| line.starts_with(&format!("{name} v{version}"))) {
            continue;
        }
        let source = Path::new(manifest).parent().unwrap_or(Path::new(".")).join("src");
        let lines = unsafe_lines_below(&source);
        if lines > 0 {
            found.insert(format!("{name} {version}"), lines);
        }
    }
    Ok(found)
}

fn unsafe_lines_below(folder: &Path) -> usize {
    let mut lines = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            lines += unsafe_lines_below(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            lines += text.lines().filter(|line| has_unsafe_code(line)).count();
        }
    }
    lines
}

fn has_unsafe_code(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"].iter().any(|word| code.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_distinguished_from_words() {
        assert!(has_unsafe_code("    let x = unsafe { *pointer };") && has_unsafe_code("pub unsafe fn f() {"));
        assert!(!has_unsafe_code("#![forbid(unsafe_code)]") && !has_unsafe_code("// unsafe { }"));
    }
}
