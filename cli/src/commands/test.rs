//! `rototo test`: the tests of a workspace, and what they cover.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use rototo_engine::testing::{self, Coverage, TestReport};
use rototo_engine::{Diagnostic, Parsed};
use serde::Serialize;

use crate::commands::compiled::compiled;
use crate::global::GlobalArguments;
use crate::reports::github::github;
use crate::reports::rules::{TEST_MISSING, test_missing};
use crate::reports::sarif::sarif;
use crate::reports::unread::UnreadWorkspace;
use crate::reports::{LintFindings, ReportFormat, layers_of};
use crate::terminal;
use crate::terminal::advice::of_source;
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

A test that fails, or can't be read, makes the exit code 1. An attribute that nothing reads is a warning.";

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

/// The subject of a report, and where it is.
struct TestedWorkspace<'a> {
    name: &'a str,
    directory: &'a str,
    parsed: &'a Parsed,
    /// The workspace, if it was read.
    workspace: Option<&'a Workspace>,
}

pub(crate) async fn run(arguments: TestArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let format = ReportFormat::of(arguments.format, global)?;
    let workspace = match Workspace::read_with_tests(arguments.source.as_deref(), global).await {
        Ok(workspace) => workspace,
        Err(error) => return unread(error, format),
    };
    let parsed = workspace.parse();
    let (name, directory) = (workspace.shown(), workspace.directory_in_repository());
    let tested = TestedWorkspace { name, directory: &directory, parsed: &parsed, workspace: Some(&workspace) };
    if !parsed.tree().has_tests() {
        return untested(&tested, format);
    }
    let compiled = match rototo_engine::compile(&parsed) {
        Ok(compiled) => compiled,
        Err(error) if format != ReportFormat::Text && !error.diagnostics.is_empty() => {
            return not_run(&tested, error.diagnostics, format);
        }
        // People read the errors as every command that resolves shows them.
        Err(_) => compiled(&workspace, &parsed)?,
    };
    let mut report = testing::run(&parsed, &compiled, parsed.tree().tests(), || true);
    let has_failed = !report.diagnostics.is_empty();
    let is_silent = global.quiet && !has_failed && report.warnings.is_empty();
    let summary = if is_silent { String::new() } else { summary(&report, name) };
    let uncovered = if arguments.coverage { uncovered(&report.coverage) } else { String::new() };
    report.diagnostics.append(&mut report.warnings);
    report.diagnostics.sort_by(|one, other| one.location.cmp(&other.location));
    print(&tested, &report, format, &format!("{summary}{uncovered}"))?;
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Reports a workspace that can't be read as a finding, as lint does. People read the error.
fn unread(error: anyhow::Error, format: ReportFormat) -> anyhow::Result<ExitCode> {
    if format == ReportFormat::Text {
        return Err(error);
    }
    let UnreadWorkspace { name, directory, diagnostics } = UnreadWorkspace::of(error, of_source)?;
    let tested = TestedWorkspace { name: &name, directory: &directory, parsed: &Parsed::default(), workspace: None };
    not_run(&tested, diagnostics, format)
}

/// Reports a workspace without tests: its pipeline would check nothing.
fn untested(tested: &TestedWorkspace<'_>, format: ReportFormat) -> anyhow::Result<ExitCode> {
    if format == ReportFormat::Text {
        bail!("{} has no tests: {}", tested.name, TEST_MISSING.help);
    }
    not_run(tested, vec![test_missing()], format)
}

/// Reports the reasons for which no test ran.
fn not_run(
    tested: &TestedWorkspace<'_>,
    diagnostics: Vec<Diagnostic>,
    format: ReportFormat,
) -> anyhow::Result<ExitCode> {
    let report = TestReport { diagnostics, ..TestReport::default() };
    let summary = format!("{BAD}failed{BAD:#}: no test of {} ran\n", plain(tested.name));
    print(tested, &report, format, &summary)?;
    Ok(ExitCode::FAILURE)
}

fn print(tested: &TestedWorkspace<'_>, report: &TestReport, format: ReportFormat, summary: &str) -> anyhow::Result<()> {
    let TestedWorkspace { name, directory, parsed, workspace } = *tested;
    let diagnostics = &report.diagnostics;
    let layers = workspace.map(|workspace| layers_of(diagnostics, workspace, parsed)).unwrap_or_default();
    let findings = LintFindings { command: "test", diagnostics, directory, layers: &layers };
    match format {
        ReportFormat::Json => terminal::json(&TestRunReport {
            workspace: name.to_owned(),
            files: report.files,
            cases: report.cases,
            checks: report.checks,
            diagnostics,
            coverage: &report.coverage,
        }),
        ReportFormat::Sarif => terminal::json(&sarif(&findings)),
        ReportFormat::Github => terminal::text(&format!("{}{summary}", github(&findings))),
        ReportFormat::Text => {
            terminal::text(&format!("{}{summary}", diagnostics::diagnostics(diagnostics, parsed, name)))
        }
    }
}

fn summary(report: &TestReport, workspace: &str) -> String {
    let ran = format!("{} in {}", count(report.cases, "case"), count(report.files, "file"));
    let (checks, workspace) = (count(report.checks, "check"), plain(workspace));
    let warnings = match report.warnings.len() {
        0 => String::new(),
        warnings => format!(", {}", count(warnings, "warning")),
    };
    match report.diagnostics.len() {
        0 => format!("{GOOD}ok{GOOD:#}: {workspace} {DIM}({ran}, {checks}){DIM:#}{warnings}\n"),
        failed => {
            let failed = count(failed, "error");
            format!("{BAD}failed{BAD:#}: {failed} of {checks}{warnings}, {ran} of {workspace}\n")
        }
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
