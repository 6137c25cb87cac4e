//! `rototo lsp`: a language server for editors.

use std::process::ExitCode;

use clap::Args;
use rototo_lsp::ServerOptions;

use crate::global::GlobalArguments;

const EXAMPLES: &str = "\
An editor starts this command. docs/editors.md has the settings for VS Code, Neovim, and Helix.";

/// Serve an editor over standard input and output, by the Language Server Protocol.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LspArguments {
    /// Address of the pages that `rototo docs --export` writes; each finding links to its rule there
    #[arg(long, value_name = "URL")]
    docs_url: Option<String>,

    /// Accepted for editors that name the transport; there is no other
    #[arg(long, hide = true)]
    stdio: bool,
}

pub(crate) async fn run(arguments: LspArguments, _: &GlobalArguments) -> anyhow::Result<ExitCode> {
    rototo_lsp::serve(&ServerOptions { docs: arguments.docs_url })?;
    Ok(ExitCode::SUCCESS)
}
