//! `rototo inspect`: the dependencies in a workspace, and its decisions for a context.

use std::process::ExitCode;

use clap::Args;
use rototo_engine::Context;

use crate::global::{GlobalArguments, UsageError};
use crate::inspection;
use crate::inspection::InspectionInput;
use crate::terminal;
use crate::workspace;
use crate::workspace::Workspace;
use crate::workspace::context::{explained, read_context};
use crate::workspace::documents::documents;
use crate::workspace::selection::Selectors;

const EXAMPLES: &str = "\
Examples:
  rototo inspect                                      everything
  rototo inspect --qualifier high-queue-pressure      what it tests, and who relies on it
  rototo inspect --variables --context @context.json  with the steps to each value";

/// See how the parts of a workspace depend on each other, also of one that does not pass lint.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArguments {
    /// A directory or an address; without it, the nearest parent directory with a rototo-workspace.toml
    #[arg(value_name = "SOURCE")]
    source: Option<String>,

    #[command(flatten)]
    selectors: Selectors,

    /// A context, as for `resolve`: shows what the selected variables and qualifiers decide for it; may be given several times
    #[arg(long = "context", value_name = "CONTEXT")]
    context: Vec<String>,
}

pub(crate) async fn run(arguments: InspectArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let InspectArguments { source, selectors, context } = arguments;
    if !context.is_empty() && selectors.variables().is_none() && selectors.qualifiers().is_none() {
        let missing =
            "--context decides what is selected: name a --variable ID or a --qualifier ID, or take all of them";
        return Err(UsageError(missing.to_owned()).into());
    }
    let workspace = Workspace::read(source.as_deref(), global).await?;
    let parsed = workspace.parse();
    let (lint, compiled) = (workspace::lint(&parsed), rototo_engine::compile(&parsed));
    selectors.check(&parsed, &lint.custom)?;
    let given = read_context(&context)?;
    let context = if context.is_empty() { None } else { Some(Context::from_json(given.clone())?) };
    let subject = InspectionInput {
        parsed: &parsed,
        lint: &lint,
        compiled: &compiled,
        selectors: &selectors,
        context: context.as_ref(),
    };
    let inspection = subject.inspect(workspace.full_name(), documents(&workspace, &parsed));
    let inspection = inspection.map_err(|error| explained(error, &given))?;
    if global.json {
        terminal::json(&inspection)?;
    } else {
        terminal::text(&inspection::text(&inspection))?;
    }
    Ok(ExitCode::SUCCESS)
}
