//! An image of the example service in Python, made of this machine's Python: a node reaches no registry.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::json;

use super::images::{self, Layer};
use super::machine::Machine;
use crate::cargo;
use crate::command::output;

/// The name of the image.
pub(crate) const NAME: &str = "python-service";
/// The program of a machine that has Python.
pub(crate) const PROGRAM: &str = "python3";

/// Prints the files of which Python consists.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/node/python/files.py");

/// Gives a node the image. Fails if this machine's Python can't fetch the packages.
pub(crate) fn import(machine: &Machine) -> anyhow::Result<()> {
    let example = cargo::root().join("examples/agent/python");
    let packages = machine.state.join("python-packages");
    let mut pip = Command::new(PROGRAM);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    output(pip.arg(example.join("requirements.txt")).arg("--upgrade").arg("--target").arg(&packages))
        .context("fetch the packages of the example service")?;
    let mut layer = Layer::default();
    for file in output(Command::new(PROGRAM).arg(FILES))?.lines() {
        layer.add(Path::new(file), Path::new(file.trim_start_matches('/')))?;
    }
    layer.add(&packages, Path::new("app/packages"))?;
    layer.add(&example.join("service.py"), Path::new("app/service.py"))?;
    let program = "import os, sys; print(os.path.realpath(sys.executable))";
    let program = output(Command::new(PROGRAM).args(["-c", program]))?;
    let configuration = json!({
        "Entrypoint": [program, "/app/service.py"],
        "Env": ["PYTHONPATH=/app/packages", "PYTHONDONTWRITEBYTECODE=1"],
        "User": "65532:65532",
    });
    let archive = layer.into_image(&images::reference(NAME), &configuration, &machine.state.join("python.tar"))?;
    machine.import(&archive)
}
