//! `rototo explain`: the reasons of decisions in words, and what would change them.

use std::process::ExitCode;

use clap::Args;
use rototo_engine::parse::{Parse, Variable};
use rototo_engine::{Compiled, Context, Parsed, ResolveOptions, VariableTrace};
use serde::Serialize;
use serde_json::Value;

use crate::commands::compiled::compiled;
use crate::explain::{Alternatives, alternatives, explanation};
use crate::global::GlobalArguments;
use crate::terminal;
use crate::terminal::style::BAD;
use crate::terminal::wording::plain;
use crate::workspace::Workspace;
use crate::workspace::context::{explained, read_context};
use crate::workspace::selection::{Selection, unknown};

const EXAMPLES: &str = "\
Examples:
  rototo explain --variable service-degradation-policy --context @context.json
  rototo explain --context service.queue_pressure=high --context account.id=acct-001

A variable that can't be resolved for this context is named with the reason, and makes the exit code 1.";

/// Explain why variables have their values for a context, and which single attribute would change them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainArguments {
    /// A directory or an address; without it, the nearest parent directory with a rototo-workspace.toml
    #[arg(value_name = "SOURCE")]
    source: Option<String>,

    /// Explain this variable; may be given several times. Without it, all are explained
    #[arg(long = "variable", value_name = "ID")]
    variable: Vec<String>,

    /// Attributes of the context: a JSON object, @FILE with one (@- is standard input), or PATH=VALUE; may be given several times; if two set one attribute, the later one counts
    #[arg(long = "context", value_name = "CONTEXT")]
    context: Vec<String>,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct ExplainReport {
    workspace: String,
    variables: Vec<ExplainedVariable>,
    unresolved: Vec<UnresolvedVariable>,
}

#[derive(Serialize)]
struct ExplainedVariable {
    #[serde(flatten)]
    trace: VariableTrace,
    #[serde(flatten)]
    alternatives: Alternatives,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

#[derive(Serialize)]
struct UnresolvedVariable {
    id: String,
    reason: String,
}

pub(crate) async fn run(arguments: ExplainArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let is_everything = arguments.variable.is_empty();
    let selection = Selection::of(&arguments.variable, is_everything);
    let workspace = Workspace::read(arguments.source.as_deref(), global).await?;
    let parsed = workspace.parse();
    let compiled = compiled(&workspace, &parsed)?;
    let given = read_context(&arguments.context)?;
    let context = Context::from_json(given.clone())?;
    let (traces, unresolved) = traces(&compiled, selection, (&context, &given))?;
    let explained = traces.into_iter().map(|trace| {
        let alternatives = alternatives(&parsed, &compiled, &context, &trace);
        let ownership = document(&parsed, &trace).map(|variable| &variable.ownership);
        let owner = ownership.and_then(|ownership| ownership.owner.value()).map(ToString::to_string);
        let expires = ownership.and_then(|ownership| ownership.expires.value()).map(ToString::to_string);
        ExplainedVariable { trace, alternatives, owner, expires }
    });
    let report = ExplainReport { workspace: workspace.shown().to_owned(), variables: explained.collect(), unresolved };
    if global.json {
        terminal::json(&report)?;
    } else {
        terminal::text(&shown(&report, &parsed))?;
    }
    Ok(if report.unresolved.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn traces(
    compiled: &Compiled,
    selection: Selection<'_>,
    (context, given): (&Context, &Value),
) -> anyhow::Result<(Vec<VariableTrace>, Vec<UnresolvedVariable>)> {
    let known: Vec<&str> = compiled.variables().collect();
    let (mut traces, mut unresolved) = (Vec::new(), Vec::new());
    for id in selection.among(&known).map_err(|id| unknown("variable", id, &known))? {
        match compiled.trace_variable(id, context, ResolveOptions::default()) {
            Ok(trace) => traces.push(trace),
            Err(error) => {
                let reason = explained(error, given).to_string();
                unresolved.push(UnresolvedVariable { id: id.to_owned(), reason });
            }
        }
    }
    Ok((traces, unresolved))
}

/// Returns the document of an explained variable.
fn document<'a>(parsed: &'a Parsed, trace: &VariableTrace) -> Option<&'a Variable> {
    parsed.variables.get(&trace.resolution.id).and_then(Parse::content)
}

fn shown(report: &ExplainReport, parsed: &Parsed) -> String {
    let explained =
        report.variables.iter().map(|one| explanation(&one.trace, &one.alternatives, document(parsed, &one.trace)));
    let unresolved = report
        .unresolved
        .iter()
        .map(|one| format!("{BAD}{}{BAD:#} can't be resolved: {}\n", plain(&one.id), plain(&one.reason)));
    explained.chain(unresolved).collect::<Vec<_>>().join("\n")
}
