//! `rototo test`: the tests of a workspace, and what they cover.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use rototo_engine::Diagnostic;
use rototo_engine::testing::{self, Coverage, TestReport};
use serde::Serialize;

use crate::commands::compiled::compiled;
use crate::global::GlobalArguments;
use crate::reports::github::github;
use crate::reports::sarif::sarif;
use crate::reports::{LintFindings, ReportFormat};
use crate::terminal;
use crate::terminal::diagnostics;
use crate::terminal::style::{BAD, BOLD, DIM, GOOD};
use crate::terminal::wording::{count, plain};
use crate::workspace::Workspace;

const EXAMPLES: &str = "\
Examples:
  rototo test                            the workspace around the current directory
  rototo test examples/degradation-config --coverage
  rototo test --format github
  rototo fixtures . --tests --out tests  writes the first tests

A test that fails, or can't be read, makes the exit code 1.";

/// Run the tests of a workspace: the files tests/NAME.toml beside its documents.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TestArguments {
    /// A directory or an address; without it, the nearest parent directory with a rototo-workspace.toml
    #[arg(value_name = "SOURCE")]
    source: Option<String>,

    /// Show the rules, defaults, and results of qualifiers that no test reaches
    #[arg(long)]
    coverage: bool,

    /// The form of the report
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ReportFormat>,
}

/// The shape that scripts read.
#[derive(Serialize)]
struct TestRunReport<'a> {
    workspace: String,
    files: usize,
    cases: usize,
    checks: usize,
    diagnostics: &'a [Diagnostic],
    coverage: &'a Coverage,
}

pub(crate) async fn run(arguments: TestArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let format = ReportFormat::of(arguments.format, global)?;
    let workspace = Workspace::read_with_tests(arguments.source.as_deref(), global).await?;
    let parsed = workspace.parse();
    if parsed.tree().tests().next().is_none() {
        bail!(
            "{} has no tests: write tests/NAME.toml, or let `rototo fixtures SOURCE --tests --out tests` write the first",
            workspace.shown()
        );
    }
    let report = testing::run(&parsed, &compiled(&workspace, &parsed)?, parsed.tree().tests(), || true);
    let directory = workspace.directory_in_repository();
    let findings = LintFindings { command: "test", diagnostics: &report.diagnostics, directory: &directory };
    match format {
        ReportFormat::Json => terminal::json(&TestRunReport {
            workspace: workspace.shown().to_owned(),
            files: report.files,
            cases: report.cases,
            checks: report.checks,
            diagnostics: &report.diagnostics,
            coverage: &report.coverage,
        })?,
        ReportFormat::Sarif => terminal::json(&sarif(&findings))?,
        ReportFormat::Text | ReportFormat::Github => {
            let found = match format {
                ReportFormat::Github => github(&findings),
                _ => diagnostics::diagnostics(&report.diagnostics, &parsed, workspace.shown()),
            };
            let is_silent = global.quiet && report.diagnostics.is_empty();
            let summary = if is_silent { String::new() } else { summary(&report, workspace.shown()) };
            let uncovered = if arguments.coverage { uncovered(&report.coverage) } else { String::new() };
            terminal::text(&format!("{found}{summary}{uncovered}"))?;
        }
    }
    Ok(if report.diagnostics.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(report: &TestReport, workspace: &str) -> String {
    let ran = format!("{} in {}", count(report.cases, "case"), count(report.files, "file"));
    let (checks, workspace) = (count(report.checks, "check"), plain(workspace));
    match report.diagnostics.len() {
        0 => format!("{GOOD}ok{GOOD:#}: {workspace} {DIM}({ran}, {checks}){DIM:#}\n"),
        failed => format!("{BAD}failed{BAD:#}: {} of {checks}, {ran} of {workspace}\n", count(failed, "error")),
    }
}

/// Returns the share of decisions that the tests reach, and the others by their places.
fn uncovered(coverage: &Coverage) -> String {
    let ((decided, decisions), (seen, results)) = (coverage.decisions(), coverage.results());
    let mut text = format!(
        "{BOLD}coverage{BOLD:#}: {decided} of {decisions} rules and defaults, {seen} of {results} results of qualifiers\n"
    );
    for variable in coverage.variables.values() {
        let path = plain(&variable.path);
        for (index, rule) in variable.rules.iter().enumerate().filter(|(_, rule)| rule.decided == 0) {
            let qualifier = plain(&rule.qualifier);
            let _ = writeln!(text, "  {path}:{}: rule[{index}] if {qualifier} never decides", rule.line);
        }
        if variable.by_default == 0 {
            let _ = writeln!(text, "  {path}: the default never decides");
        }
    }
    for qualifier in coverage.qualifiers.values() {
        for (seen, result) in [(qualifier.holds, true), (qualifier.fails, false)] {
            if seen == 0 {
                let _ = writeln!(text, "  {}: never {result}", plain(&qualifier.path));
            }
        }
    }
    text
}
