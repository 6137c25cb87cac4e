//! The command line and its commands, one file each. [`CommandLine`] is what clap parses, and [`Command::run`] runs it.
//! A new command is a file, its `mod`, and a line in the table below.
//!
//! `completions` refers back to [`CommandLine`], as its script completes every command, itself included.

#[cfg(feature = "kubernetes")]
mod abort;
#[cfg(feature = "kubernetes")]
mod access;
mod compiled;
mod completions;
mod diff;
mod docs;
mod explain;
mod fixtures;
#[cfg(feature = "kubernetes")]
mod history;
#[cfg(feature = "kubernetes")]
mod hold;
mod init;
mod inspect;
mod invocation;
mod lint;
mod lsp;
#[cfg(feature = "kubernetes")]
mod promote;
mod resolve;
#[cfg(feature = "kubernetes")]
mod retry;
#[cfg(feature = "kubernetes")]
mod rollout;
mod schema;
mod show;
#[cfg(feature = "kubernetes")]
mod status;
#[cfg(feature = "kubernetes")]
mod steering;
mod test;
#[cfg(feature = "kubernetes")]
mod ui;
#[cfg(feature = "kubernetes")]
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::global::GlobalArguments;

const EXAMPLES: &str = "\
Examples:
  rototo lint                                   the workspace around the current directory
  rototo lint examples/degradation-config
  rototo resolve --variable service-degradation-policy --context service.queue_pressure=high
  rototo lint 'git+https://git.example.com/acme/runtime-config.git#main:workspaces/prod'

A SOURCE is a directory, or one of
  git+https://host/repository.git#REF:SUBDIRECTORY   a branch, a tag, or a full commit; both parts may be left out
  git+ssh://git@host/repository.git#REF:SUBDIRECTORY
  git+file:///path/repository.git#REF:SUBDIRECTORY
  https://host/archive.tar.gz#:SUBDIRECTORY          or .zip
  file:///path

Exit codes: 0 all is well, 1 the command failed or lint found errors, 2 the command line is wrong.
`rototo wait` has more.";

/// Check rototo workspaces, and see what they decide for whom.
///
/// A workspace is a directory with a rototo-workspace.toml that says which value of a variable applies to which
/// context. This command reads it with the same engine as the operator and the applications.
#[derive(Debug, Parser)]
#[command(name = "rototo", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Makes the subcommands of the command line, and their dispatch, from the table of modules. A module has
/// `async fn run(arguments, &GlobalArguments) -> anyhow::Result<ExitCode>`.
macro_rules! commands {
    ($($(#[$feature:meta])? $module:ident => $name:ident($arguments:ident),)*) => {
        /// The subcommands, in the order of the help.
        #[derive(Debug, Subcommand)]
        pub(crate) enum Command {
            $($(#[$feature])? $name($module::$arguments),)*
        }

        impl Command {
            /// Runs the command and returns its exit code.
            pub(crate) async fn run(self, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
                match self {
                    $($(#[$feature])? Self::$name(arguments) => $module::run(arguments, global).await,)*
                }
            }
        }
    };
}

commands! {
    init => Init(InitArguments),
    lint => Lint(LintArguments),
    test => Test(TestArguments),
    resolve => Resolve(ResolveArguments),
    explain => Explain(ExplainArguments),
    show => Show(ShowArguments),
    inspect => Inspect(InspectArguments),
    diff => Diff(DiffArguments),
    fixtures => Fixtures(FixturesArguments),
    schema => Schema(SchemaArguments),
    docs => Docs(DocsArguments),
    lsp => Lsp(LspArguments),
    completions => Completions(CompletionsArguments),
    #[cfg(feature = "kubernetes")]
    status => Status(StatusArguments),
    #[cfg(feature = "kubernetes")]
    history => History(HistoryArguments),
    #[cfg(feature = "kubernetes")]
    wait => Wait(WaitArguments),
    #[cfg(feature = "kubernetes")]
    ui => Ui(UiArguments),
    #[cfg(feature = "kubernetes")]
    rollout => Rollout(RolloutArguments),
    #[cfg(feature = "kubernetes")]
    promote => Promote(PromoteArguments),
    #[cfg(feature = "kubernetes")]
    hold => Hold(HoldArguments),
    #[cfg(feature = "kubernetes")]
    abort => Abort(AbortArguments),
    #[cfg(feature = "kubernetes")]
    retry => Retry(RetryArguments),
    #[cfg(feature = "kubernetes")]
    access => Access(AccessArguments),
}
