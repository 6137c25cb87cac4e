//! Findings as SARIF 2.1.0, the format that code hosts and editors read. These types are the part of it that is written.

use std::collections::BTreeMap;

use rototo_engine::lint::rules;
use rototo_engine::text::readable;
use rototo_engine::{Diagnostic, Digest, Entity, Range, Severity};
use serde::Serialize;

use crate::reports::rules::{is_of_tests, rule};
use crate::reports::{FindingPlace, LintFindings};
use crate::workspace::percent_encoded;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The name that code hosts give to the root of the repository.
const ROOT: &str = "%SRCROOT%";

/// A log with one run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SarifLog {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [SarifRun; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifRun {
    tool: SarifTool,
    automation_details: AutomationDetails,
    invocations: [SarifInvocation; 1],
    column_kind: &'static str,
    results: Vec<SarifResult>,
}

#[derive(Serialize)]
struct SarifTool {
    driver: SarifDriver,
}

#[derive(Serialize)]
struct SarifDriver {
    name: &'static str,
    version: &'static str,
    rules: Vec<ReportingDescriptor>,
}

/// A category, so that several workspaces of a repository keep their findings apart.
#[derive(Serialize)]
struct AutomationDetails {
    id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifInvocation {
    execution_successful: bool,
}

/// A rule that reports something in this log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportingDescriptor {
    id: String,
    short_description: SarifText,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_description: Option<SarifText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<SarifText>,
}

#[derive(Serialize)]
struct SarifText {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult {
    rule_id: String,
    rule_index: usize,
    level: &'static str,
    message: SarifText,
    locations: [SarifLocation; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<SarifLocation>,
    partial_fingerprints: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifLocation {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<SarifText>,
    physical_location: PhysicalLocation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<SarifRegion>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri_base_id: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifRegion {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
}

/// Returns the log of one workspace. Lint's own limit on findings is below those of code hosts.
pub(crate) fn sarif(findings: &LintFindings<'_>) -> SarifLog {
    let mut ids: Vec<&str> = findings.diagnostics.iter().map(|found| &*found.rule).collect();
    ids.sort_unstable();
    ids.dedup();
    let index = |found: &Diagnostic| ids.binary_search(&&*found.rule).unwrap_or_default();
    let results = findings.diagnostics.iter().zip(fingerprints(findings.diagnostics));
    let results = results.map(|(found, fingerprint)| result(findings, found, (index(found), fingerprint))).collect();
    let of_rule = |id: &&str| findings.diagnostics.iter().find(|found| found.rule == *id).map(descriptor);
    let driver = SarifDriver {
        name: "rototo",
        version: env!("CARGO_PKG_VERSION"),
        rules: ids.iter().filter_map(of_rule).collect(),
    };
    SarifLog {
        schema: SCHEMA,
        version: "2.1.0",
        runs: [SarifRun {
            tool: SarifTool { driver },
            automation_details: AutomationDetails {
                id: format!("rototo-{}/{}/", findings.command, findings.directory),
            },
            invocations: [SarifInvocation { execution_successful: findings.is_complete() }],
            column_kind: "utf16CodeUnits",
            results,
        }],
    }
}

/// Describes the rule of a finding. A custom rule has its title alone.
fn descriptor(found: &Diagnostic) -> ReportingDescriptor {
    let built_in = rules().iter().find(|rule| rule.id == found.rule);
    let help = built_in.map(|rule| rule.help).or_else(|| rule(&found.rule).map(|rule| rule.help));
    ReportingDescriptor {
        id: found.rule.to_string(),
        short_description: text(&found.title),
        full_description: built_in.map(|rule| text(rule.why)),
        help: help.map(text),
    }
}

fn result(findings: &LintFindings<'_>, found: &Diagnostic, (rule_index, fingerprint): (usize, String)) -> SarifResult {
    let help = found.help.as_ref().map(|help| format!("\n{}", readable(help))).unwrap_or_default();
    let related = found.related.iter().map(|related| {
        let place = findings.place(&related.location);
        SarifLocation {
            message: Some(text(&format!("{}{}", related.message, place.words()))),
            physical_location: physical(&place),
        }
    });
    let place = findings.place(&found.location);
    let message = format!("{}{}{help}", readable(&found.message), readable(&place.words()));
    SarifResult {
        rule_id: found.rule.to_string(),
        rule_index,
        level: match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        message: SarifText { text: message },
        locations: [SarifLocation { message: None, physical_location: physical(&place) }],
        related_locations: related.collect(),
        partial_fingerprints: BTreeMap::from([("primaryLocationLineHash", fingerprint)]),
    }
}

/// Returns the names by which a code host recognises the findings in the next run: independent of their lines. Findings
/// that are equal otherwise are counted.
fn fingerprints(diagnostics: &[Diagnostic]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let fingerprint = |found| {
        let identity = identity(found);
        let count = counts.entry(identity.clone()).or_default();
        *count += 1;
        format!("{identity}:{count}")
    };
    diagnostics.iter().map(fingerprint).collect()
}

/// Returns a hash of a finding without its line.
fn identity(found: &Diagnostic) -> String {
    let Diagnostic { rule, entity, message, location, .. } = found;
    let place = match entity {
        // The index of a rule or a predicate moves when another one is added.
        Entity::Rule { variable: id, .. } | Entity::Predicate { qualifier: id, .. } => id.clone(),
        other => format!("{other:?}"),
    };
    let message = if is_of_tests(rule) { without_row(message) } else { message.clone() };
    let digest = Digest::of(format!("{rule}\n{}\n{place}\n{message}", location.path).as_bytes()).to_string();
    digest.get(..16).unwrap_or_default().to_owned()
}

/// Returns the message about a test without the number of its row, which moves when another row is added.
fn without_row(message: &str) -> String {
    let row = message.split_once(", row ");
    let without = row.and_then(|(table, rest)| {
        let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        Some(format!("{table}: {}", rest.strip_prefix(": ")?))
    });
    without.unwrap_or_else(|| message.to_owned())
}

fn physical(place: &FindingPlace<'_>) -> PhysicalLocation {
    let uri = percent_encoded(&place.path);
    PhysicalLocation {
        artifact_location: if place.path.starts_with('/') {
            ArtifactLocation { uri: format!("file://{uri}"), uri_base_id: None }
        } else {
            ArtifactLocation { uri, uri_base_id: Some(ROOT) }
        },
        region: place.range.map(region),
    }
}

fn region(range: &Range) -> SarifRegion {
    SarifRegion {
        start_line: range.start.line,
        start_column: range.start.column,
        end_line: range.end.line,
        end_column: range.end.column,
    }
}

fn text(text: &str) -> SarifText {
    SarifText { text: readable(text).into_owned() }
}
