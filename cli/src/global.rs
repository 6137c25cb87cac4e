//! The options that every command understands. Their help texts are the manual.

use clap::Args;

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
