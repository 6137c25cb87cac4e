//! Where this workspace's own programs are.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, bail};

/// The path of a binary of this workspace: from `$ROTOTO_BIN_DIR`, which `cargo xtask` sets after it has built them all,
/// else from beside the program that runs now.
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
    let program = env::current_exe().context("find the program that runs now")?;
    let directory = program.parent().context("the program that runs now stands in no directory")?;
    // Tests are a level below the binaries that they test.
    let directory = if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    Ok(directory.to_owned())
}
