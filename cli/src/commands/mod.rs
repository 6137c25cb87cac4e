//! The commands, one file each: a new one is a file and a line in each of the two lists below.

mod init;
mod lint;
mod resolve;

use std::process::ExitCode;

use clap::Subcommand;

use crate::arguments::Global;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Arguments),
    Lint(lint::Arguments),
    Resolve(resolve::Arguments),
}

/// Does it.
pub(crate) async fn run(command: Command, global: &Global) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(arguments) => init::run(arguments, global).await,
        Command::Lint(arguments) => lint::run(arguments, global).await,
        Command::Resolve(arguments) => resolve::run(arguments, global).await,
    }
}
