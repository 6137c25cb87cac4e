//! `rototo lint`: all faults of a workspace at once.

use std::process::ExitCode;

use clap::Args;
use rototo_engine::{Diagnostic, Lint, Parsed};
use serde::Serialize;

use crate::global::GlobalArguments;
use crate::terminal;
use crate::terminal::diagnostics;
use crate::terminal::diagnostics::LintOutcome;
use crate::workspace;
use crate::workspace::documents::{ReportedDocument, documents};
use crate::workspace::selection::Selectors;
use crate::workspace::{NotThere, Workspace};

const EXAMPLES: &str = "\
Examples:
  rototo lint                                        the workspace around the current directory
  rototo lint examples/degradation-config
  rototo lint --variable service-degradation-policy  only what concerns this variable
  rototo lint --json | jq '.diagnostics[].rule'

Errors make the exit code 1; warnings don't.";

/// Check a workspace for everything that an operator would refuse, and for what is probably a mistake.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LintArguments {
    /// A directory or an address; without it, the nearest parent directory with a rototo-workspace.toml
    #[arg(value_name = "SOURCE")]
    source: Option<String>,

    #[command(flatten)]
    selection: Selectors,
}

/// The shape that editors and scripts read.
#[derive(Serialize)]
struct LintReport<'a> {
    workspace: String,
    documents: Vec<ReportedDocument<'a>>,
    diagnostics: &'a [Diagnostic],
}

pub(crate) async fn run(arguments: LintArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let workspace = match Workspace::read(arguments.source.as_deref(), global).await {
        Ok(workspace) => workspace,
        Err(error) => match error.downcast::<NotThere>() {
            Ok(NotThere { at, reason }) => return not_there(&at, &reason, global),
            Err(error) => return Err(error),
        },
    };
    let parsed = workspace.parse();
    let mut lint = workspace::lint(&parsed);
    arguments.selection.check(&parsed, &lint.custom)?;
    lint.diagnostics.retain(|diagnostic| arguments.selection.includes(diagnostic));

    if global.json {
        let documents = documents(&workspace, &parsed);
        terminal::json(&LintReport { workspace: workspace.full_name(), documents, diagnostics: &lint.diagnostics })?;
    } else if !lint.diagnostics.is_empty() || !global.quiet {
        let outcome = LintOutcome { workspace: &workspace, parsed: &parsed, lint: &lint };
        terminal::text(&diagnostics::lint(&outcome))?;
    }
    Ok(exit_code(&lint))
}

fn exit_code(lint: &Lint) -> ExitCode {
    if lint.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Reports a missing directory as a finding like any other, so that scripts read one shape.
fn not_there(at: &str, reason: &str, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let mut lint = workspace::lint(&Parsed::default());
    for diagnostic in &mut lint.diagnostics {
        diagnostic.message = reason.to_owned();
        at.clone_into(&mut diagnostic.location.path);
    }
    if global.json {
        terminal::json(&LintReport {
            workspace: at.to_owned(),
            documents: Vec::new(),
            diagnostics: &lint.diagnostics,
        })?;
    } else {
        terminal::text(&diagnostics::diagnostics(&lint.diagnostics, &Parsed::default(), ""))?;
    }
    Ok(exit_code(&lint))
}
