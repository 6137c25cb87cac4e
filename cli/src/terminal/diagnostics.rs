//! Writes diagnostics with their lines of the documents, and resolutions with their steps.

use std::fmt::Write;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use rototo_engine::resolve::trace::{PredicateTrace, RuleTrace};
use rototo_engine::text::readable;
use rototo_engine::{Diagnostic, Lint, Location, Parsed, QualifierTrace, Severity, VariableTrace};

use crate::terminal::style::{BAD, BOLD, DIM, GOOD};
use crate::terminal::wording::{count, plain, value};
use crate::workspace::{Workspace, layers};

/// The outcome of lint, with the workspace.
pub(crate) struct LintOutcome<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) parsed: &'a Parsed,
    pub(crate) lint: &'a Lint,
    /// Whether the findings make the command fail.
    pub(crate) has_failed: bool,
}

/// Returns all diagnostics, and one line that sums them up.
pub(crate) fn lint(outcome: &LintOutcome<'_>) -> String {
    let LintOutcome { workspace, parsed, lint, .. } = outcome;
    format!("{}{}", diagnostics(&lint.diagnostics, parsed, workspace.shown()), lint_summary(outcome))
}

/// Returns one line that sums up lint.
pub(crate) fn lint_summary(outcome: &LintOutcome<'_>) -> String {
    let LintOutcome { workspace, parsed, lint, has_failed } = outcome;
    let summary = parsed.summary();
    let found = [(lint.errors(), "error"), (lint.warnings(), "warning")].into_iter().filter(|(number, _)| *number > 0);
    let found: Vec<_> = found.map(|(number, what)| count(number, what)).collect();
    let documents = count(summary.documents, "document");
    if *has_failed {
        let found = found.join(", ");
        format!("{BAD}failed{BAD:#}: {found} in {documents} of {}\n", plain(workspace.shown()))
    } else {
        let parts = [
            count(summary.variables, "variable"),
            count(summary.qualifiers, "qualifier"),
            count(summary.resources, "resource"),
            documents,
        ];
        let (fingerprint, parts) = (parsed.fingerprint().short(), parts.join(", "));
        let found: String = found.iter().map(|found| format!(", {found}")).collect();
        format!("{GOOD}ok{GOOD:#}: {} {DIM}({parts}; {fingerprint}){DIM:#}{found}\n", plain(workspace.shown()))
    }
}

/// Returns diagnostics in the form of a compiler. Paths are shown below `root`, and those of a layer below the layer.
pub(crate) fn diagnostics(diagnostics: &[Diagnostic], parsed: &Parsed, root: &str) -> String {
    let renderer = Renderer::styled().decor_style(DecorStyle::Unicode);
    let mut text = String::new();
    for diagnostic in diagnostics {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let (message, help) = (readable(&diagnostic.message), diagnostic.help.as_deref().map(readable));
        let title = level.primary_title(&*message).id(&*diagnostic.rule);
        let mut groups = vec![with_place(Group::with_title(title), &diagnostic.location, parsed, root)];
        let notes: Vec<_> = diagnostic.related.iter().map(|related| (related, readable(&related.message))).collect();
        for (related, note) in &notes {
            let title = Level::NOTE.secondary_title(&**note);
            groups.push(with_place(Group::with_title(title), &related.location, parsed, root));
        }
        if let Some(help) = &help {
            groups.push(Group::with_title(Level::HELP.secondary_title(&**help)));
        }
        text.push_str(&renderer.render(&groups));
        text.push_str("\n\n");
    }
    text
}

/// Adds the lines of the diagnostic, or only the path where there are none.
fn with_place<'a>(group: Group<'a>, location: &Location, parsed: &'a Parsed, root: &str) -> Group<'a> {
    let path = plain(&layers::shown(parsed, root, &location.path));
    let document = text_of(parsed, &location.path);
    let span = location.range.as_ref().map(|range| range.bytes.start..range.bytes.end);
    match (document, span) {
        (Some(source), Some(span)) if source.get(span.clone()).is_some() => {
            let span = first_lines(source, span);
            group.element(Snippet::source(source).path(path).annotation(AnnotationKind::Primary.span(span)))
        }
        _ => group.element(Origin::path(path)),
    }
}

/// Returns the text of a document, or of a file of tests.
fn text_of<'a>(parsed: &'a Parsed, path: &str) -> Option<&'a str> {
    let document = parsed.tree().get(path).map(|document| &*document.bytes);
    let test = || parsed.tree().tests().find(|(known, _)| &***known == path).map(|(_, bytes)| &**bytes);
    std::str::from_utf8(document.or_else(test)?).ok()
}

/// Reduces a span of many lines to its first line, as the others would say no more.
fn first_lines(source: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let lines = source.get(span.clone()).unwrap_or_default();
    match lines.match_indices('\n').next() {
        Some((end, _)) if lines.lines().count() > 4 => span.start..span.start + end,
        _ => span,
    }
}

/// Returns each resolution with its steps.
pub(crate) fn resolutions(variables: &[VariableTrace], qualifiers: &[QualifierTrace]) -> String {
    let variables = variables.iter().map(variable);
    let qualifiers = qualifiers.iter().map(|trace| {
        let mut text = String::new();
        qualifier(&mut text, trace, "");
        text
    });
    variables.chain(qualifiers).collect::<Vec<_>>().join("\n")
}

fn variable(trace: &VariableTrace) -> String {
    let mut text = format!("variable {BOLD}{}{BOLD:#}\n", plain(&trace.resolution.id));
    for decided in &trace.qualifier_traces {
        qualifier(&mut text, decided, "  ");
    }
    for rule in &trace.rules {
        let RuleTrace { index, qualifier, value, matched } = rule;
        let (qualifier, key) = (plain(qualifier), plain(value));
        let _ = writeln!(text, "  {} rule[{index}] if {qualifier} -> {key}", mark(*matched));
    }
    let by_default = !trace.rules.iter().any(|rule| rule.matched);
    let chosen = if by_default { mark(true) } else { " ".to_owned() };
    let _ = writeln!(text, "  {chosen} default -> {}", plain(&trace.default_value));
    let _ = writeln!(text, "value key: {BOLD}{}{BOLD:#}", plain(&trace.resolution.value_key));
    let _ = writeln!(text, "value: {}", value(&trace.resolution.value));
    text
}

fn qualifier(text: &mut String, trace: &QualifierTrace, indent: &str) {
    let _ =
        writeln!(text, "{indent}{} qualifier {BOLD}{}{BOLD:#}: {}", mark(trace.value), plain(&trace.id), trace.value);
    for predicate in &trace.predicates {
        let actual = predicate.actual.as_ref().map_or_else(|| "missing".to_owned(), value);
        let attribute = plain(&predicate.attribute);
        let _ = writeln!(text, "{indent}    {} {attribute} = {actual}", mark(predicate.result));
        let _ = writeln!(text, "{indent}      {DIM}test: {}{DIM:#}", test(predicate));
    }
}

fn test(predicate: &PredicateTrace) -> String {
    match (&predicate.bucket, predicate.op, &predicate.expected) {
        (Some(bucket), _, _) => {
            let salt = plain(&bucket.salt);
            format!("bucket salt={salt} range=[{},{}] bucket={}", bucket.start, bucket.end, bucket.value)
        }
        (None, Some(op), Some(expected)) => format!("{op} {}", value(expected)),
        (None, op, _) => op.unwrap_or(predicate.kind).to_owned(),
    }
}

fn mark(holds: bool) -> String {
    if holds { format!("{GOOD}✓{GOOD:#}") } else { format!("{BAD}✗{BAD:#}") }
}
