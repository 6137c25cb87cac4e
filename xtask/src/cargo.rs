//! Runs cargo for this cargo workspace, and reads its metadata.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::command;

/// Returns the root of this cargo workspace.
#[must_use]
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Returns the output of `cargo metadata` for the packages of this cargo workspace.
pub fn metadata() -> anyhow::Result<Value> {
    metadata_with(&["--no-deps"])
}

/// Returns the output of `cargo metadata` for these packages and for all that they depend on.
pub(crate) fn metadata_with_dependencies() -> anyhow::Result<Value> {
    metadata_with(&["--locked"])
}

fn metadata_with(arguments: &[&str]) -> anyhow::Result<Value> {
    let metadata = command::output(cargo(["metadata", "--format-version=1"]).args(arguments))?;
    serde_json::from_str(&metadata).context("read the output of `cargo metadata`")
}

/// Returns the directory in which cargo puts the binaries of a development build.
pub fn binaries() -> anyhow::Result<PathBuf> {
    let metadata = metadata()?;
    let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target directory")?;
    Ok(Path::new(target).join("debug"))
}

/// Returns a cargo command at the root of this cargo workspace, with the same cargo that runs this program.
pub fn cargo(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a command whose output goes to this program's own, and fails if the command fails.
pub fn run(mut command: Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}
