//! The reference: the command of the public crate `rototo`, whose format this project reads and with which tests
//! compare ours.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo;
use crate::control_plane::cache_directory;

/// The version of the reference.
const VERSION: &str = "0.1.0-alpha.4";

fn directory() -> anyhow::Result<PathBuf> {
    Ok(cache_directory()?.join(format!("reference-{VERSION}")))
}

/// Returns the path of the command. Installs it if necessary, which takes minutes.
pub fn ensure() -> anyhow::Result<PathBuf> {
    let program = directory()?.join("bin/rototo");
    if program.is_file() {
        return Ok(program);
    }
    eprintln!("Installing the reference, rototo {VERSION}, into {} (once).", directory()?.display());
    let mut install = Command::new("cargo");
    let version = format!("={VERSION}");
    install.args(["install", "rototo", "--locked", "--debug", "--version", &version, "--root"]).arg(directory()?);
    // The build has its own directory: the target directory of this project would keep its files for ever.
    install.env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
    cargo::run(install)?;
    Ok(program)
}
