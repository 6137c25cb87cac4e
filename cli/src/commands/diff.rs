//! `rototo diff`: the contexts that get another value from the new workspace than from the old one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use rototo_engine::Context;

use crate::commands::compiled::compiled;
use crate::diff;
use crate::diff::ValueVisibility;
use crate::global::GlobalArguments;
use crate::workspace::Workspace;
use crate::workspace::context::read_context;
use crate::{fixtures, terminal};

const EXAMPLES: &str = "\
Examples:
  rototo diff 'git+file:///path/config.git#main' .
  rototo diff OLD NEW --context account.id=acct-001 --context service.queue_pressure=high
  rototo diff OLD NEW --fixtures fixtures            which of the decisions in there flip
  rototo diff OLD NEW --markdown --redact            for a comment on a pull request

The diff leaves out descriptions, comments, and moved lines, because they change no value.";

/// Compare two workspaces: what changes, and for whom, in terms of variables and rules.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DiffArguments {
    /// The workspace that runs: a directory or an address
    #[arg(value_name = "OLD")]
    old: String,

    /// The workspace that is to run
    #[arg(value_name = "NEW")]
    new: String,

    /// A context, as for `resolve`: shows the variables whose value changes for it; may be given several times
    #[arg(long = "context", value_name = "CONTEXT")]
    context: Vec<String>,

    /// Decide all variables for the contexts of these fixtures, as `rototo fixtures` writes them
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,

    /// Leave out all values: names, shares, and places stay
    #[arg(long)]
    redact: bool,

    /// Print Markdown, for a comment on a pull request
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

pub(crate) async fn run(arguments: DiffArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let (old, new) =
        (Workspace::read(Some(&arguments.old), global).await?, Workspace::read(Some(&arguments.new), global).await?);
    let (old_parsed, new_parsed) = (old.parse(), new.parse());
    let mut diff = diff::compare(&old_parsed, &new_parsed);
    let contexts = contexts(&arguments)?;
    if !contexts.is_empty() {
        let (old, new) = (compiled(&old, &old_parsed)?, compiled(&new, &new_parsed)?);
        diff.decisions = Some(diff::decisions(&old, &new, &contexts));
    }
    let values = if arguments.redact { ValueVisibility::Redacted } else { ValueVisibility::Shown };
    if arguments.redact {
        diff.redact();
    }
    if global.json {
        terminal::json(&diff)?;
    } else if arguments.markdown {
        terminal::text(&diff::markdown(&diff, &old_parsed, &new_parsed, values))?;
    } else if !(global.quiet && diff.is_empty()) {
        terminal::text(&diff::text(&diff, &old_parsed, &new_parsed, values))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the contexts by name; those of the command line are one.
fn contexts(arguments: &DiffArguments) -> anyhow::Result<Vec<(String, Context)>> {
    let mut contexts = Vec::new();
    if !arguments.context.is_empty() {
        contexts.push(("--context".to_owned(), Context::from_json(read_context(&arguments.context)?)?));
    }
    if let Some(directory) = &arguments.fixtures {
        let shown = directory.display();
        contexts.extend(fixtures::contexts(directory).with_context(|| format!("the fixtures {shown} can't be used"))?);
    }
    Ok(contexts)
}
