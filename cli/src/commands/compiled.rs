//! Compiles a workspace for the commands that resolve.

use anyhow::bail;
use rototo_engine::{Compiled, Parsed};

use crate::terminal;
use crate::terminal::diagnostics;
use crate::workspace::Workspace;

/// Compiles a workspace. Prints its errors as `lint` shows them.
pub(crate) fn compiled(workspace: &Workspace, parsed: &Parsed) -> anyhow::Result<Compiled> {
    match rototo_engine::compile(parsed) {
        Ok(compiled) => Ok(compiled),
        Err(error) if error.diagnostics.is_empty() => Err(error.into()),
        Err(error) => {
            terminal::print_error_text(&diagnostics::diagnostics(&error.diagnostics, parsed, workspace.shown()))?;
            bail!("{} can't be resolved before its errors are mended", workspace.shown());
        }
    }
}
