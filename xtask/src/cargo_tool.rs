//! Supplies commands of cargo that are packages of their own. Each is built once, in one version, into the cache of the
//! project.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo;
use crate::control_plane::cache_directory;

/// Returns the program of the package `name`, and installs it if it is not there yet.
pub fn ensure(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let root = cache_directory()?.join(format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if !program.is_file() {
        eprintln!("Installing {name} {version} into {} (once).", root.display());
        let mut install = Command::new("cargo");
        install.args(["install", name, "--locked", "--version", version, "--root"]).arg(&root);
        cargo::run(install)?;
    }
    Ok(program)
}
