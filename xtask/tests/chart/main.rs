//! Holds the chart without a cluster: what it renders, and what it brings for people who are on call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alerts;
mod dashboard;
mod installs;
mod pages;
mod rendering;
mod runbook;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use xtask::cargo;
use xtask::control_plane::Programs;

/// Returns the path of a file of the chart.
fn chart(name: &str) -> PathBuf {
    cargo::root().join("charts/rototo-operator").join(name)
}

/// Returns the text of a file of this repository.
fn read(path: &str) -> String {
    fs::read_to_string(cargo::root().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// Runs helm without a cluster. Returns what it printed, or the error that it printed.
fn helm(arguments: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(Programs::locate().unwrap().helm);
    command.args(arguments).stdin(Stdio::null()).env("KUBECONFIG", "/dev/null");
    for name in ["CACHE", "CONFIG", "DATA"] {
        command.env(format!("HELM_{name}_HOME"), home.path().join(name));
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Returns the objects that the release `rototo` in the namespace `rototo-system` has with these further arguments.
fn objects(arguments: &[&str]) -> Vec<Value> {
    let rendered = template(arguments).unwrap();
    let all: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap();
    all.into_iter().filter(|object| !object.is_null()).collect()
}

/// Renders the release `rototo` in the namespace `rototo-system`.
fn template(arguments: &[&str]) -> Result<String, String> {
    let chart = chart("").display().to_string();
    helm(&[&["template", "rototo", &chart, "--namespace", "rototo-system"], arguments].concat())
}
