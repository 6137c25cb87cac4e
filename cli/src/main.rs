//! The `rototo` command: checks and resolves workspaces with the engine of the operators and applications.
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "kubernetes")]
mod cluster;
mod commands;
mod diff;
mod explain;
mod fixtures;
mod global;
mod inspection;
mod reports;
mod terminal;
#[cfg(feature = "kubernetes")]
mod ui;
mod workspace;

use std::process::ExitCode;

use crate::commands::CommandLine;

fn main() -> ExitCode {
    let CommandLine { global, command } = CommandLine::of_this_process();
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(command.run(&global)));
    outcome.unwrap_or_else(|error| {
        let code = exit_code(&error);
        terminal::print_error(&error);
        code
    })
}

/// Returns 2 for a command line that is wrong in a way that its parser does not see, and 1 for any other error.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<global::UsageError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}
