//! The findings of lint in the form of the protocol.

use std::collections::BTreeMap;

use gen_lsp_types as lsp;
use rototo_engine::{Diagnostic, Severity, lint};

use crate::features::uri;
use crate::position::range;
use crate::workspace::{LARGEST_BUFFER, MANIFEST, Workspace};

/// The name of this server at its findings.
const SOURCE: &str = "rototo";

/// Returns the findings in each document of the workspace. The documents of a layer belong to another workspace.
pub(crate) fn by_document(workspace: &Workspace, docs: Option<&str>) -> BTreeMap<String, Vec<lsp::Diagnostic>> {
    let mut documents: BTreeMap<String, Vec<lsp::Diagnostic>> = BTreeMap::new();
    for found in workspace.diagnostics() {
        if let Some(path) = shown_at(workspace, &found.location.path) {
            documents.entry(path.to_owned()).or_default().push(of_lint(workspace, found, docs));
        }
    }
    for reason in workspace.faults() {
        documents.entry(MANIFEST.to_owned()).or_default().push(of_server(reason));
    }
    let huge = workspace.buffers.iter().filter(|(_, buffer)| buffer.text.len() > LARGEST_BUFFER);
    for (path, _) in huge {
        let limit = LARGEST_BUFFER >> 20;
        let message =
            format!("this document has more than {limit} MiB: it is checked when it is closed, or by `rototo lint`");
        documents.entry(path.clone()).or_default().push(of_server(message));
    }
    documents
}

/// Returns the document at which the client shows a finding: that of the finding, or the manifest for the workspace as
/// a whole and for paths that are no documents. Returns `None` for the document of a layer.
fn shown_at<'a>(workspace: &Workspace, path: &'a str) -> Option<&'a str> {
    match workspace.bytes(path) {
        Some(_) => workspace.is_own(path).then_some(path),
        None => Some(MANIFEST),
    }
}

/// Converts a finding of lint to the protocol's form.
pub(crate) fn of_lint(workspace: &Workspace, found: &Diagnostic, docs: Option<&str>) -> lsp::Diagnostic {
    let related = found.related.iter().filter(|related| workspace.is_own(&related.location.path));
    let related: Vec<_> = related
        .map(|related| lsp::DiagnosticRelatedInformation {
            location: lsp::Location {
                uri: uri(workspace, &related.location.path),
                range: related.location.range.as_ref().map(range).unwrap_or_default(),
            },
            message: related.message.clone(),
        })
        .collect();
    let help = found.help.as_ref().map(|help| format!("\n{help}")).unwrap_or_default();
    lsp::Diagnostic {
        range: found.location.range.as_ref().map(range).unwrap_or_default(),
        severity: Some(match found.severity {
            Severity::Error => lsp::DiagnosticSeverity::Error,
            Severity::Warning => lsp::DiagnosticSeverity::Warning,
        }),
        code: Some(found.rule.to_string().into()),
        code_description: docs.and_then(|docs| link(docs, &found.rule)),
        source: Some(SOURCE.to_owned()),
        message: format!("{}{help}", found.message).into(),
        related_information: (!related.is_empty()).then_some(related),
        ..lsp::Diagnostic::default()
    }
}

/// Returns the address of a built-in rule in the documentation, as `rototo docs --export` writes it.
fn link(docs: &str, rule: &str) -> Option<lsp::CodeDescription> {
    lint::rule(rule)?;
    let anchor = rule.replace('/', "");
    Some(lsp::CodeDescription { href: lsp::Uri(format!("{}/lint-rules.html#{anchor}", docs.trim_end_matches('/'))) })
}

/// Returns the finding for a fault that no rule of lint reports.
fn of_server(message: String) -> lsp::Diagnostic {
    lsp::Diagnostic {
        severity: Some(lsp::DiagnosticSeverity::Error),
        source: Some(SOURCE.to_owned()),
        message: message.into(),
        ..lsp::Diagnostic::default()
    }
}
