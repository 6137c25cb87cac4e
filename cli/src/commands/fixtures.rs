//! `rototo fixtures`: contexts for every case of the decisions, as files for an application's tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use rototo_engine::{Compiled, Parsed};
use serde::Serialize;

use crate::commands::compiled::compiled;
use crate::fixtures::{FixtureTarget, SUITE, Suite, SuiteEntry, generate, workspace_test};
use crate::global::GlobalArguments;
use crate::terminal;
use crate::terminal::style::BAD;
use crate::workspace::Workspace;
use crate::workspace::selection::{Selection, unknown};

const EXAMPLES: &str = "\
Examples:
  rototo fixtures examples/degradation-config --out tests/fixtures
  rototo fixtures . --out tests/fixtures --variable service-degradation-policy
  rototo fixtures . --tests --out tests

A test asserts them with rototo::testing::assert_fixtures(&workspace, \"tests/fixtures\"). Files of the same name are \
written anew: keep cases of your own in files of other names, and name these in rototo-fixtures.toml.";

/// Write fixtures: contexts, and what the workspace decides for each.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FixturesArguments {
    /// A directory or an address
    #[arg(value_name = "SOURCE")]
    source: String,

    /// Where to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Only for this variable; may be given several times
    #[arg(long, value_name = "ID")]
    variable: Vec<String>,

    /// For all variables
    #[arg(long)]
    variables: bool,

    /// Only for this qualifier; may be given several times
    #[arg(long, value_name = "ID")]
    qualifier: Vec<String>,

    /// For all qualifiers
    #[arg(long)]
    qualifiers: bool,

    /// Write tests for `rototo test` instead; a file that exists stays as it is
    #[arg(long)]
    tests: bool,
}

/// What was written.
struct Written {
    /// The paths below the directory.
    files: Vec<String>,
    /// The cases for which no context was found.
    not_found: Vec<String>,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct FixturesReport {
    command: &'static str,
    workspace: String,
    out: String,
    files: Vec<String>,
}

pub(crate) async fn run(arguments: FixturesArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::read(Some(&arguments.source), global).await?;
    let parsed = workspace.parse();
    let compiled = compiled(&workspace, &parsed)?;
    let targets = targets(&arguments, &compiled)?;
    let Written { files, not_found } = if arguments.tests {
        write_tests(&arguments.out, &parsed, &compiled, targets)?
    } else {
        write_fixtures(&arguments.out, workspace.shown(), (&parsed, &compiled), targets)?
    };

    let report = FixturesReport {
        command: "fixtures",
        workspace: workspace.shown().to_owned(),
        out: arguments.out.display().to_string(),
        files,
    };
    if global.json {
        terminal::json(&report)?;
    } else if !global.quiet {
        let written = report.files.iter().map(|file| format!("  wrote {file}\n")).collect::<String>();
        terminal::text(&format!("fixtures: {}\n{written}", report.out))?;
    }
    for case in not_found {
        terminal::print_error_text(&format!("{BAD}no context{BAD:#} was found for {case}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a suite of fixtures.
fn write_fixtures(
    out: &Path,
    workspace: &str,
    (parsed, compiled): (&Parsed, &Compiled),
    targets: Vec<FixtureTarget<'_>>,
) -> anyhow::Result<Written> {
    let (mut entries, mut written) = (Vec::new(), Written { files: vec![SUITE.to_owned()], not_found: Vec::new() });
    for target in targets {
        let path = match target {
            FixtureTarget::Qualifier(id) => format!("qualifiers/{id}.toml"),
            FixtureTarget::Variable(id) => format!("variables/{id}.toml"),
        };
        let generated = generate(parsed, compiled, target)?;
        write(&out.join(&path), &generated.fixture)?;
        written.not_found.extend(generated.not_found.into_iter().map(|case| format!("{path}: {case}")));
        written.files.push(path.clone());
        entries.push(SuiteEntry { path, target: generated.fixture.target });
    }
    write(&out.join(SUITE), &Suite { schema_version: 1, workspace: workspace.to_owned(), fixtures: entries })?;
    Ok(written)
}

/// Writes tests of the workspace. Their author changes them, so a file that exists stays.
fn write_tests(
    out: &Path,
    parsed: &Parsed,
    compiled: &Compiled,
    targets: Vec<FixtureTarget<'_>>,
) -> anyhow::Result<Written> {
    let mut written = Written { files: Vec::new(), not_found: Vec::new() };
    for target in targets {
        let generated = generate(parsed, compiled, target)?;
        let (path, test) = workspace_test(generated.fixture, target);
        if out.join(&path).exists() {
            continue;
        }
        written.not_found.extend(generated.not_found.into_iter().map(|case| format!("{path}: {case}")));
        if !test.is_empty() {
            write(&out.join(&path), &test)?;
            written.files.push(path);
        }
    }
    Ok(written)
}

/// Returns the selected ids, or all of them if nothing is selected.
fn targets<'a>(arguments: &FixturesArguments, compiled: &'a Compiled) -> anyhow::Result<Vec<FixtureTarget<'a>>> {
    let variables = Selection::of(&arguments.variable, arguments.variables);
    let qualifiers = Selection::of(&arguments.qualifier, arguments.qualifiers);
    let nothing = variables.is_none() && qualifiers.is_none();
    let among = |kind: &str, selection: Selection<'_>, known: Vec<&'a str>| {
        let selection = if nothing { Selection::All } else { selection };
        selection.among(&known).map_err(|id| unknown(kind, id, &known))
    };
    let qualifiers = among("qualifier", qualifiers, compiled.qualifiers().collect())?;
    let variables = among("variable", variables, compiled.variables().collect())?;
    if qualifiers.is_empty() && variables.is_empty() {
        bail!("the workspace decides nothing: it has neither variables nor qualifiers");
    }
    Ok(qualifiers
        .into_iter()
        .map(FixtureTarget::Qualifier)
        .chain(variables.into_iter().map(FixtureTarget::Variable))
        .collect())
}

fn write(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let text = toml::to_string_pretty(value).with_context(|| format!("{} can't be written as TOML", path.display()))?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("the directory {} can't be made", directory.display()))?;
    }
    fs::write(path, text).with_context(|| format!("{} can't be written", path.display()))
}
