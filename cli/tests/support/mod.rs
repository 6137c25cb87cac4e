//! The `rototo` binary, and workspaces to run it on.
#![allow(dead_code)]

pub mod throttle;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const VARIABLE: &str = "service-degradation-policy";

pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/degradation-config").canonicalize().unwrap()
}

/// Copies the example, with `from` replaced by `to`.
pub fn changed(path: &str, from: &str, to: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&example(), directory.path());
    replace(&directory.path().join(path), from, to);
    directory
}

pub fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub fn rototo(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rototo"));
    command.current_dir(directory).env_remove("ROTOTO_WORKSPACE_TOKEN").args(arguments).output().unwrap()
}

/// Runs the command, which must succeed, and returns its output.
pub fn prints(directory: &Path, arguments: &[&str]) -> String {
    let output = rototo(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the command, which must fail, and returns the exit code and all output.
pub fn fails(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let output = rototo(directory, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code().unwrap(), text)
}

pub fn json(directory: &Path, arguments: &[&str]) -> serde_json::Value {
    let output = rototo(directory, &[arguments, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}
