//! The paths of the programs of this cargo workspace.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, bail};

/// Returns the path of a binary of this cargo workspace. It is in `$ROTOTO_BIN_DIR`, which `cargo xtask` sets after it
/// has built all binaries, or else beside the running program.
pub fn ours(name: &str) -> anyhow::Result<PathBuf> {
    let directory = match env::var_os("ROTOTO_BIN_DIR").filter(|directory| !directory.is_empty()) {
        Some(directory) => PathBuf::from(directory),
        None => beside_this_program()?,
    };
    let path = directory.join(name);
    if !path.is_file() {
        bail!(
            "{} does not exist: `cargo xtask test` builds it, and so does `cargo build --workspace --bins`",
            path.display()
        );
    }
    Ok(path)
}

fn beside_this_program() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("find the path of this program")?;
    let directory = program.parent().context("this program is in no directory")?;
    // Tests are one folder below the binaries that they test.
    let directory = if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    Ok(directory.to_owned())
}
