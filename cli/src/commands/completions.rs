//! `rototo completions`: a script that completes the command's words in a shell.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::commands::{CommandLine, invocation};
use crate::global::GlobalArguments;
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  rototo completions bash > ~/.local/share/bash-completion/completions/rototo
  rototo completions zsh > \"${fpath[1]}/_rototo\"
  rototo completions fish > ~/.config/fish/completions/rototo.fish";

/// Print a script that completes this command's words in a shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(crate) async fn run(arguments: CompletionsArguments, _: &GlobalArguments) -> anyhow::Result<ExitCode> {
    if invocation::is_plugin(std::env::args_os().next().as_deref()) {
        bail!(invocation::NO_COMPLETIONS);
    }
    let mut script = Vec::new();
    generate(arguments.shell, &mut CommandLine::command(), "rototo", &mut script);
    terminal::text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
