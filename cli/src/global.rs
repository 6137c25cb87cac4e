//! The options that every command understands, and the error of a wrong command line. The help texts of the options are
//! the manual.

use clap::Args;

/// The command line is wrong in a way that its parser does not see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// The options of every command, as written.
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
