//! `cargo xtask alerts`: checks the alerts of the chart with promtool, and tests them with series on which they fire and
//! series on which they do not.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::cargo;
use crate::prometheus;

/// Returns the folder with `alerts.yaml` and `alerts_test.yaml`.
#[must_use]
pub fn folder() -> PathBuf {
    cargo::root().join("charts/rototo-operator/rules")
}

/// Checks and tests the alerts, and prints what promtool says.
pub fn run() -> anyhow::Result<()> {
    print!("{}", check()?);
    Ok(())
}

/// Checks and tests the alerts. Returns what promtool printed.
pub fn check() -> anyhow::Result<String> {
    let promtool = prometheus::promtool()?;
    let mut printed = String::new();
    for [verb, file] in [["check", "alerts.yaml"], ["test", "alerts_test.yaml"]] {
        let mut command = Command::new(&promtool);
        let output = command.args([verb, "rules", file]).current_dir(folder()).output();
        let output = output.with_context(|| format!("run {command:?}"))?;
        printed += &String::from_utf8_lossy(&output.stdout);
        printed += &String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("`promtool {verb} rules {file}` failed in {}:\n{printed}", folder().display());
        }
    }
    Ok(printed)
}
