//! `rototo lint`: all faults of a workspace at once.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rototo_engine::lint::expired;
use rototo_engine::{Date, Diagnostic, InvalidDate, Lint, Parsed};
use serde::Serialize;

use crate::global::GlobalArguments;
use crate::reports::github::github;
use crate::reports::rules::with_custom;
use crate::reports::sarif::sarif;
use crate::reports::unread::UnreadWorkspace;
use crate::reports::{LintFindings, ReportFormat, layers_of};
use crate::terminal;
use crate::terminal::advice::of_source;
use crate::terminal::diagnostics;
use crate::terminal::diagnostics::LintOutcome;
use crate::workspace;
use crate::workspace::Workspace;
use crate::workspace::documents::{ReportedDocument, documents};
use crate::workspace::selection::Selectors;
use crate::workspace::unreadable::Unreadable;

const EXAMPLES: &str = "\
Examples:
  rototo lint                                        the workspace around the current directory
  rototo lint examples/degradation-config
  rototo lint --variable service-degradation-policy  only what concerns this variable
  rototo lint --json | jq '.diagnostics[].rule'
  rototo lint --format sarif > rototo.sarif
  rototo lint --fail-on warning                      as an operator with spec.lint.failOn: warning
  rototo lint --expired                              also what should be gone by today
  rototo lint --expired --on 2027-01-01 --variable service-degradation-policy

Errors make the exit code 1, and with --fail-on warning, warnings do too. Take the `spec.lint.failOn` of the \
RototoWorkspace. Beyond lint, an operator refuses failing tests where `spec.lint.tests` is set (`rototo test` runs them), \
and a workspace above its limits, by default 8 MiB of documents.";

/// Check a workspace by all rules of lint, with which an operator refuses errors. Warnings are probable mistakes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LintArguments {
    /// A directory or an address; without it, the nearest parent directory with a rototo-workspace.toml
    #[arg(value_name = "SOURCE")]
    source: Option<String>,

    /// The form of the report
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ReportFormat>,

    /// The least severity that makes the exit code 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "error")]
    fail_on: FailOn,

    /// Also warn of variables and rules whose `expires` is today in UTC, or has passed
    #[arg(long)]
    expired: bool,

    /// The day of --expired in place of today, such as 2026-12-31
    #[arg(long, value_name = "DATE", requires = "expired")]
    on: Option<Date>,

    #[command(flatten)]
    selection: Selectors,
}

/// The least severity that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Errors
    Error,
    /// Errors and warnings
    Warning,
}

/// The shape that editors and scripts read.
#[derive(Serialize)]
struct LintReport<'a> {
    workspace: String,
    documents: Vec<ReportedDocument<'a>>,
    diagnostics: &'a [Diagnostic],
}

pub(crate) async fn run(arguments: LintArguments, global: &GlobalArguments) -> anyhow::Result<ExitCode> {
    let format = ReportFormat::of(arguments.format, global)?;
    let workspace = match Workspace::read(arguments.source.as_deref(), global).await {
        Ok(workspace) => workspace,
        Err(error) => return failed(error, format),
    };
    let parsed = workspace.parse();
    let mut lint = workspace::lint(&parsed);
    if arguments.expired {
        add_expired(&mut lint, &parsed, arguments.on.map_or_else(today, Ok)?);
    }
    arguments.selection.check(&parsed, &with_custom(lint.custom.clone()))?;
    lint.diagnostics.retain(|diagnostic| arguments.selection.includes(diagnostic));

    let has_failed = lint.has_errors() || arguments.fail_on == FailOn::Warning && lint.warnings() > 0;
    let outcome = LintOutcome { workspace: &workspace, parsed: &parsed, lint: &lint, has_failed };
    let findings = LintFindings {
        command: "lint",
        diagnostics: &lint.diagnostics,
        directory: &workspace.directory_in_repository(),
        layers: &layers_of(&lint.diagnostics, &workspace, &parsed),
    };
    let is_silent = lint.diagnostics.is_empty() && global.quiet;
    match format {
        ReportFormat::Json => {
            let documents = documents(&workspace, &parsed);
            terminal::json(&LintReport {
                workspace: workspace.full_name(),
                documents,
                diagnostics: &lint.diagnostics,
            })?;
        }
        ReportFormat::Sarif => terminal::json(&sarif(&findings))?,
        ReportFormat::Text | ReportFormat::Github if is_silent => {}
        ReportFormat::Text => terminal::text(&diagnostics::lint(&outcome))?,
        ReportFormat::Github => {
            terminal::text(&format!("{}{}", github(&findings), diagnostics::lint_summary(&outcome)))?;
        }
    }
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Returns today in UTC.
fn today() -> Result<Date, InvalidDate> {
    Timestamp::now().to_zoned(TimeZone::UTC).date().to_string().parse()
}

/// Adds what has expired, at its place among the findings.
fn add_expired(lint: &mut Lint, parsed: &Parsed, on: Date) {
    lint.diagnostics.extend(expired(parsed, on));
    lint.diagnostics.sort_by(|one, other| one.location.cmp(&other.location));
}

/// Reports a source that can't be read as a finding like any other, so that scripts read one shape. People read the error.
fn failed(error: anyhow::Error, format: ReportFormat) -> anyhow::Result<ExitCode> {
    if format == ReportFormat::Text && error.is::<Unreadable>() {
        return Err(error);
    }
    let UnreadWorkspace { name, directory, diagnostics } = UnreadWorkspace::of(error, of_source)?;
    report_failure(&name, &directory, &diagnostics, format)?;
    Ok(ExitCode::FAILURE)
}

/// Reports the findings about a workspace that was not read.
fn report_failure(
    workspace: &str,
    directory: &str,
    diagnostics: &[Diagnostic],
    format: ReportFormat,
) -> anyhow::Result<()> {
    let findings = LintFindings { command: "lint", diagnostics, directory, layers: &BTreeMap::new() };
    match format {
        ReportFormat::Json => {
            terminal::json(&LintReport { workspace: workspace.to_owned(), documents: Vec::new(), diagnostics })
        }
        ReportFormat::Sarif => terminal::json(&sarif(&findings)),
        ReportFormat::Github => terminal::text(&github(&findings)),
        ReportFormat::Text => terminal::text(&diagnostics::diagnostics(diagnostics, &Parsed::default(), "")),
    }
}
