//! Code actions: the fixes that lint knows, if they leave a document that can be read.

use gen_lsp_types as lsp;
use rototo_engine::text::Span;
use rototo_engine::{Diagnostic, Fix, parse_after};

use crate::features::diagnostics::of_lint;
use crate::features::uri;
use crate::position::range;
use crate::workspace::Workspace;

/// Returns the fixes of findings that overlap a span of a document.
pub(crate) fn fixes(workspace: &Workspace, path: &str, span: Span, docs: Option<&str>) -> Vec<lsp::CodeAction> {
    if !workspace.findings_are_current() {
        return Vec::new();
    }
    let overlaps = |found: &&Diagnostic| {
        let range = found.location.range.as_ref();
        found.location.path == path
            && range.is_none_or(|range| range.bytes.start <= span.end && span.start <= range.bytes.end)
    };
    let found = workspace.diagnostics().iter().filter(overlaps);
    let fixed = found.filter_map(|found| Some((found, found.fix.as_ref()?)));
    fixed
        .filter(|(_, fix)| leaves_a_readable_document(workspace, path, fix))
        .map(|(found, fix)| action(workspace, path, found, fix, docs))
        .collect()
}

fn action(workspace: &Workspace, path: &str, found: &Diagnostic, fix: &Fix, docs: Option<&str>) -> lsp::CodeAction {
    let is_new = fix.range.bytes.start == fix.range.bytes.end;
    let verb = if is_new { "Add" } else { "Replace by" };
    let edit = lsp::TextEdit { range: range(&fix.range), new_text: fix.replacement.clone() };
    lsp::CodeAction {
        title: format!("{verb} {}", fix.replacement.trim_end()),
        kind: Some(lsp::CodeActionKind::QuickFix),
        diagnostics: Some(vec![of_lint(workspace, found, docs)]),
        is_preferred: Some(true),
        edit: Some(lsp::WorkspaceEdit {
            changes: Some([(uri(workspace, path), vec![edit])].into_iter().collect()),
            ..lsp::WorkspaceEdit::default()
        }),
        ..lsp::CodeAction::default()
    }
}

/// Returns whether the document can be read after a fix: a key that is written correctly may exist already.
fn leaves_a_readable_document(workspace: &Workspace, path: &str, fix: &Fix) -> bool {
    let parsed = workspace.parsed();
    let Some(bytes) = workspace.bytes(path) else { return false };
    let Span { start, end } = fix.range.bytes;
    let (Some(before), Some(after)) = (bytes.get(..start), bytes.get(end..)) else { return false };
    let mut tree = parsed.tree().clone();
    tree.insert(path, [before, fix.replacement.as_bytes(), after].concat());
    parse_after(parsed, tree).fault_of(path).is_none()
}
