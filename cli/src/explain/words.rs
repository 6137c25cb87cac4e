//! The steps of a decision in words, as a tree.

use std::fmt::Write;

use rototo_engine::parse::Variable;
use rototo_engine::resolve::trace::{PredicateTrace, RuleTrace};
use rototo_engine::{QualifierTrace, VariableTrace};
use serde_json::Value;

use crate::explain::{Alternative, Alternatives};
use crate::terminal::style::{BAD, BOLD, DIM, GOOD};
use crate::terminal::wording::{ownership, plain, value};

/// The most items of a list that are shown whole, and the first items that are shown of a longer one.
const MOST_ITEMS: usize = 10;
const FIRST_ITEMS: usize = 5;

/// The depth to which qualifiers that read each other are shown.
const MAX_DEPTH: usize = 16;

/// Returns the reasons of a decision, who answers for it, and what would change it.
pub(crate) fn explanation(trace: &VariableTrace, alternatives: &Alternatives, variable: Option<&Variable>) -> String {
    let resolved = &trace.resolution;
    let mut text = format!("{BOLD}{}{BOLD:#} is {BOLD}{}{BOLD:#}", plain(&resolved.id), plain(&resolved.value_key));
    let _ = match trace.rules.iter().find(|rule| rule.matched) {
        Some(RuleTrace { index, qualifier, .. }) => {
            writeln!(text, ", because rule {index} is the first whose qualifier is true: {}", plain(qualifier))
        }
        None if trace.rules.is_empty() => writeln!(text, ", because it has no rules, and this is the default"),
        None => writeln!(text, ", because no rule has a qualifier that is true, and this is the default"),
    };
    if let Some(owned) = variable.and_then(|variable| ownership(&variable.ownership)) {
        let _ = writeln!(text, "  {DIM}{owned}{DIM:#}");
    }
    for RuleTrace { index, qualifier, value, matched } in &trace.rules {
        let rule = variable.and_then(|variable| variable.rules().get(*index));
        let owned = rule.and_then(|rule| ownership(&rule.ownership));
        let owned = owned.map(|owned| format!("  {DIM}({owned}){DIM:#}")).unwrap_or_default();
        let (mark, key, condition) = (mark(*matched), plain(value), plain(qualifier));
        let _ = writeln!(text, "  {mark} rule {index} selects {key} if {condition} is true{owned}");
        write_qualifier(&mut text, &trace.qualifier_traces, qualifier, 2);
    }
    if !trace.rules.is_empty() {
        write_alternatives(&mut text, alternatives);
    }
    text
}

fn write_alternatives(text: &mut String, alternatives: &Alternatives) {
    let _ = match (alternatives.found.is_empty(), alternatives.exhaustive, alternatives.tried) {
        (false, ..) => writeln!(text, "  one attribute alone would change it:"),
        (true, true, _) => writeln!(text, "  no attribute alone would change it"),
        (true, false, 0) => writeln!(text, "  no other value could be tried"),
        (true, false, 1) => writeln!(text, "  the one other value that was tried does not change it"),
        (true, false, tried) => writeln!(text, "  none of the {tried} values that were tried changes it"),
    };
    for Alternative { attribute, value: other, value_key } in &alternatives.found {
        let _ = writeln!(text, "    {} = {} gives {}", plain(attribute), value(other), plain(value_key));
    }
}

fn write_qualifier(text: &mut String, traces: &[QualifierTrace], id: &str, depth: usize) {
    let Some(trace) = traces.iter().find(|trace| trace.id == id).filter(|_| depth < MAX_DEPTH) else { return };
    let indent = "  ".repeat(depth);
    for predicate in &trace.predicates {
        let _ = writeln!(text, "{indent}{} {}", mark(predicate.result), sentence(predicate));
        if let Some(qualifier) = &predicate.qualifier {
            write_qualifier(text, traces, qualifier, depth + 1);
        }
    }
}

/// Writes a predicate as a sentence: `account.plan is "free", and must equal "pro"`.
fn sentence(predicate: &PredicateTrace) -> String {
    let subject = match &predicate.qualifier {
        Some(id) => format!("qualifier {}", plain(id)),
        None => plain(&predicate.attribute),
    };
    let actual = predicate.actual.as_ref().map_or_else(|| "missing".to_owned(), value);
    if let Some(bucket) = &predicate.bucket {
        let last = bucket.end.saturating_sub(1);
        return format!(
            "{subject} is {actual}, in bucket {}, {DIM}and must be in {} to {last}{DIM:#}",
            bucket.value, bucket.start
        );
    }
    let must = match predicate.op.unwrap_or_default() {
        "eq" => "must equal",
        "neq" => "must differ from",
        "in" => "must be one of",
        "not_in" => "must be none of",
        "gt" => "must be greater than",
        "gte" => "must be at least",
        "lt" => "must be less than",
        "lte" => "must be at most",
        other => other,
    };
    let expected = predicate.expected.as_ref().map(operand).unwrap_or_default();
    format!("{subject} is {actual}, {DIM}and {must} {expected}{DIM:#}")
}

/// Returns an operand as JSON, of a long list the first items.
fn operand(expected: &Value) -> String {
    match expected.as_array() {
        Some(items) if items.len() > MOST_ITEMS => {
            let first: Vec<String> = items.iter().take(FIRST_ITEMS).map(value).collect();
            format!("[{}, and {} more]", first.join(", "), items.len() - FIRST_ITEMS)
        }
        _ => value(expected),
    }
}

fn mark(holds: bool) -> String {
    if holds { format!("{GOOD}✓{GOOD:#}") } else { format!("{BAD}✗{BAD:#}") }
}
