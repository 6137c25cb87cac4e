//! The `rototo` command: looks at workspaces with the same engine that operators and applications run.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod advice;
mod arguments;
#[cfg(feature = "kubernetes")]
mod cluster;
mod commands;
mod context;
mod diff;
mod documents;
mod fixtures;
mod inspection;
mod output;
mod render;
mod selection;
mod site;
mod text;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use arguments::CommandLine;

fn main() -> ExitCode {
    let CommandLine { global, command } = CommandLine::parse();
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(commands::run(command, &global)));
    outcome.unwrap_or_else(|error| {
        output::print_error(&error);
        ExitCode::FAILURE
    })
}
