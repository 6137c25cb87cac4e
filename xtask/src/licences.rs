//! The licences that every image and archive has.

use std::fs;

use anyhow::Context;

use crate::cargo;
use crate::image::files::Files;

/// Their files, at the root of this cargo workspace.
pub(crate) const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];

/// Adds the licences to `files`, at paths that begin with `prefix`.
pub(crate) fn insert(files: &mut Files, prefix: &str) -> anyhow::Result<()> {
    for licence in LICENCES {
        let path = cargo::root().join(licence);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        files.insert_text(&format!("{prefix}{licence}"), text);
    }
    Ok(())
}
