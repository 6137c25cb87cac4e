//! `rototo resolve`: the decisions of a workspace for a context, with their steps.

use std::process::ExitCode;

use clap::Args;
use rototo_engine::{Compiled, Context, QualifierTrace, ResolveOptions, VariableTrace};
use serde::Serialize;
use serde_json::Value;

use crate::commands::compiled::compiled;
use crate::global::{GlobalArguments, UsageError};
use crate::terminal;
use crate::terminal::diagnostics;
use crate::workspace::Workspace;
use crate::workspace::context::{explained, read_context};
use crate::workspace::selection::{Selection, unknown};

const EXAMPLES: &str = "\
Examples:
  rototo resolve --variable service-degradation-policy --context service.queue_pressure=high
  rototo resolve --variables --context @context.json --context account.id=acct-001
  rototo resolve --qualifier high-queue-pressure --context '{\"service\": {\"queue_pressure\": \"high\"}}'
  rototo resolve --variables --json | jq '.variables[].resolution'

A value after `=` is JSON if it reads as JSON, and text otherwise: account.seats=12 is a number, account.plan=pro a \
    text.";

/// See which value a variable has for a context, or whether a qualifier holds, and the steps that lead there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ResolveArguments {
    /// A directory or an address; without it, the nearest parent directory with a rototo-workspace.toml
    #[arg(value_name = "SOURCE")]
    source: Option<String>,

    /// Resolve this variable; may be given several times
    #[arg(long = "variable", value_name = "ID")]
    variable: Vec<String>,

    /// Resolve all variables
    #[arg(long)]
    variables: bool,

    /// Decide this qualifier; may be given several times
    #[arg(long = "qualifier", value_name = "ID")]
    qualifier: Vec<String>,

    /// Decide all qualifiers
    #[arg(long)]
    qualifiers: bool,

    /// Attributes of the context: a JSON object, @FILE with one (@- is standard input), or PATH=VALUE; may be given several times; if two set one attribute, the later one counts
    #[arg(long = "context", value_name = "CONTEXT")]
    context: Vec<String>,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct ResolveReport {
    workspace: String,
    variables: Vec<VariableTrace>,
    qualifiers: Vec<QualifierTrace>,
}

pub(crate) async fn run(arguments: ResolveArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let variables = Selection::of(&arguments.variable, arguments.variables);
    let qualifiers = Selection::of(&arguments.qualifier, arguments.qualifiers);
    if variables.is_none() && qualifiers.is_none() {
        let missing = "nothing to resolve: name a --variable ID or a --qualifier ID, or take all with --variables or --qualifiers";
        return Err(UsageError(missing.to_owned()).into());
    }
    let workspace = Workspace::read(arguments.source.as_deref(), global).await?;
    let parsed = workspace.parse();
    let compiled = compiled(&workspace, &parsed)?;
    let given = read_context(&arguments.context)?;
    let context = Context::from_json(given.clone())?;
    let report = ResolveReport {
        workspace: workspace.shown().to_owned(),
        variables: trace_variables(&compiled, variables, (&context, &given))?,
        qualifiers: trace_qualifiers(&compiled, qualifiers, (&context, &given))?,
    };
    if global.json {
        terminal::json(&report)?;
    } else {
        terminal::text(&diagnostics::resolutions(&report.variables, &report.qualifiers))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn trace_variables(
    compiled: &Compiled,
    selection: Selection<'_>,
    (context, given): (&Context, &Value),
) -> anyhow::Result<Vec<VariableTrace>> {
    let known: Vec<&str> = compiled.variables().collect();
    let ids = selection.among(&known).map_err(|id| unknown("variable", id, &known))?;
    let trace =
        |id| compiled.trace_variable(id, context, ResolveOptions::default()).map_err(|error| explained(error, given));
    ids.into_iter().map(trace).collect()
}

fn trace_qualifiers(
    compiled: &Compiled,
    selection: Selection<'_>,
    (context, given): (&Context, &Value),
) -> anyhow::Result<Vec<QualifierTrace>> {
    let known: Vec<&str> = compiled.qualifiers().collect();
    let ids = selection.among(&known).map_err(|id| unknown("qualifier", id, &known))?;
    let trace =
        |id| compiled.trace_qualifier(id, context, ResolveOptions::default()).map_err(|error| explained(error, given));
    ids.into_iter().map(trace).collect()
}
