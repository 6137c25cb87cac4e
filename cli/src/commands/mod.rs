//! The commands, one file each: a new one is a file and a line in each of the two lists below.

#[cfg(feature = "kubernetes")]
mod access;
mod completions;
mod diff;
mod docs;
mod fixtures;
#[cfg(feature = "kubernetes")]
mod history;
mod init;
mod inspect;
mod lint;
mod resolve;
mod show;
#[cfg(feature = "kubernetes")]
mod status;
#[cfg(feature = "kubernetes")]
mod wait;

use std::process::ExitCode;

use clap::Subcommand;

use crate::global::GlobalArguments;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::InitArguments),
    Lint(lint::LintArguments),
    Resolve(resolve::ResolveArguments),
    Show(show::ShowArguments),
    Inspect(inspect::InspectArguments),
    Diff(diff::DiffArguments),
    Fixtures(fixtures::FixturesArguments),
    Docs(docs::DocsArguments),
    Completions(completions::CompletionsArguments),
    #[cfg(feature = "kubernetes")]
    Status(status::StatusArguments),
    #[cfg(feature = "kubernetes")]
    History(history::HistoryArguments),
    #[cfg(feature = "kubernetes")]
    Wait(wait::WaitArguments),
    #[cfg(feature = "kubernetes")]
    Access(access::AccessArguments),
}

/// Does it.
pub(crate) async fn run(command: Command, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(arguments) => init::run(arguments, global).await,
        Command::Lint(arguments) => lint::run(arguments, global).await,
        Command::Resolve(arguments) => resolve::run(arguments, global).await,
        Command::Show(arguments) => show::run(arguments, global).await,
        Command::Inspect(arguments) => inspect::run(arguments, global).await,
        Command::Diff(arguments) => diff::run(arguments, global).await,
        Command::Fixtures(arguments) => fixtures::run(arguments, global).await,
        Command::Docs(arguments) => docs::run(&arguments, global),
        Command::Completions(arguments) => completions::run(&arguments),
        #[cfg(feature = "kubernetes")]
        Command::Status(arguments) => status::run(arguments, global).await,
        #[cfg(feature = "kubernetes")]
        Command::History(arguments) => history::run(arguments, global).await,
        #[cfg(feature = "kubernetes")]
        Command::Wait(arguments) => wait::run(arguments, global).await,
        #[cfg(feature = "kubernetes")]
        Command::Access(arguments) => access::run(&arguments, global),
    }
}
