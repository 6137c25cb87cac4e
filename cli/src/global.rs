//! What stands on the command line, as written. Its help texts are the manual.

use clap::{Args, Parser};

use crate::commands::Command;

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
  file:///path

Exit codes: 0 all is well, 1 the command failed or lint found errors, 2 the command line is wrong.";

/// Look at rototo workspaces: check them, and see what they decide for whom.
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

/// What every command understands.
#[derive(Debug, Args)]
pub(crate) struct GlobalArguments {
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true, help_heading = "Options of every command")]
    pub(crate) json: bool,

    /// Print nothing when all is well
    #[arg(long, global = true, help_heading = "Options of every command")]
    pub(crate) quiet: bool,

    /// Bearer token for workspaces in archives over https
    #[arg(
        long,
        global = true,
        help_heading = "Options of every command",
        env = "ROTOTO_WORKSPACE_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) workspace_token: Option<String>,
}
