//! Writes an inspection as text.

use std::fmt::Write;

use crate::inspection::references::{Consumer, Dependencies};
use crate::inspection::{Inspection, Predicate, Qualifier, Resource, Runtime, Schema, Variable};
use crate::terminal::diagnostics;
use crate::terminal::style::{BAD, BOLD, DIM, GOOD};
use crate::terminal::wording::{count, plain};

/// Returns the explanations, a paragraph each.
pub(crate) fn text(inspection: &Inspection<'_>) -> String {
    let mut text = format!("workspace {BOLD}{}{BOLD:#}\n", plain(&inspection.workspace));
    let _ = match &inspection.runtime {
        Runtime::Available => writeln!(text, "{GOOD}can be resolved{GOOD:#}"),
        Runtime::Unavailable { reason } => writeln!(text, "{BAD}can't be resolved{BAD:#}: {}", plain(reason)),
    };
    if !inspection.diagnostics.is_empty() {
        let found = count(inspection.diagnostics.len(), "finding");
        let _ = writeln!(text, "{BAD}{found}{BAD:#}: `rototo lint` shows them");
    }
    inspection.variables.iter().for_each(|variable| crate::inspection::text::variable(&mut text, variable));
    inspection.qualifiers.iter().for_each(|qualifier| crate::inspection::text::qualifier(&mut text, qualifier));
    inspection.resources.iter().for_each(|resource| crate::inspection::text::resource(&mut text, resource));
    inspection.schemas.iter().for_each(|schema| crate::inspection::text::schema(&mut text, schema));
    let authorities = inspection.lint_authorities.iter().flat_map(|authority| &authority.rules);
    for rule in inspection.lint_rules.iter().chain(authorities) {
        let _ = writeln!(text, "\nlint rule {BOLD}{}{BOLD:#}: {}", rule.rule.rule, rule.rule.title);
        line(&mut text, "findings", &rule.diagnostics.len().to_string());
    }
    for linter in &inspection.linters {
        let _ = writeln!(text, "\nlinter {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}", plain(linter.id), plain(linter.path));
    }
    text
}

fn heading(text: &mut String, kind: &str, id: &str, path: &str) {
    let _ = writeln!(text, "\n{kind} {BOLD}{}{BOLD:#}  {DIM}{}{DIM:#}", plain(id), plain(path));
}

fn line(text: &mut String, label: &str, value: &str) {
    let _ = writeln!(text, "  {DIM}{label:<11}{DIM:#} {}", plain(value));
}

fn variable(text: &mut String, variable: &Variable<'_>) {
    heading(text, "variable", variable.id, variable.path);
    line(text, "type", &variable.type_source);
    for value in &variable.values {
        line(text, "value", &format!("{} = {}", value.key, value.value));
    }
    for rule in &variable.resolve.rules {
        let (qualifier, value) = (rule.qualifier.unwrap_or("?"), rule.value.unwrap_or("?"));
        line(text, &format!("rule[{}]", rule.index), &format!("if {qualifier} -> {value}"));
    }
    line(text, "default", &format!("-> {}", variable.resolve.default_value.unwrap_or("?")));
    depends(text, &variable.dependencies);
    if let Some(trace) = &variable.trace {
        indented(text, &diagnostics::resolutions(std::slice::from_ref(trace), &[]));
    }
}

fn qualifier(text: &mut String, qualifier: &Qualifier<'_>) {
    heading(text, "qualifier", qualifier.id, qualifier.path);
    for predicate in &qualifier.predicates {
        line(text, &format!("test[{}]", predicate.index), &crate::inspection::text::predicate(predicate));
    }
    depends(text, &qualifier.dependencies);
    used(text, &qualifier.consumers);
    if let Some(trace) = &qualifier.trace {
        indented(text, &diagnostics::resolutions(&[], std::slice::from_ref(trace)));
    }
}

fn predicate(predicate: &Predicate<'_>) -> String {
    let (attribute, op) = (predicate.attribute.unwrap_or("?"), predicate.op.unwrap_or("?"));
    match (predicate.value, predicate.salt, predicate.range) {
        (_, salt, Some([start, end])) => format!("{attribute} {op} salt={} range=[{start},{end}]", salt.unwrap_or("?")),
        (Some(value), ..) => format!("{attribute} {op} {value}"),
        _ => format!("{attribute} {op}"),
    }
}

fn resource(text: &mut String, resource: &Resource<'_>) {
    heading(text, "resource", resource.id, resource.path);
    for object in &resource.objects {
        line(text, "object", &format!("{} = {}", object.key, object.value));
    }
    depends(text, &resource.dependencies);
    used(text, &resource.consumers);
}

fn schema(text: &mut String, schema: &Schema<'_>) {
    heading(text, "schema", schema.id, schema.path);
    line(text, "status", &schema.error.map_or_else(|| schema.status.to_owned(), |error| format!("invalid: {error}")));
    used(text, &schema.consumers);
}

fn depends(text: &mut String, on: &Dependencies) {
    let Dependencies { qualifiers, context_paths, schemas, resources } = on;
    for (kind, names) in
        [("qualifier", qualifiers), ("context", context_paths), ("resource", resources), ("schema", schemas)]
    {
        for name in names {
            line(text, "depends on", &format!("{kind} {name}"));
        }
    }
}

fn used(text: &mut String, consumers: &[Consumer]) {
    for consumer in consumers {
        line(text, "used by", &consumer.label);
    }
}

fn indented(text: &mut String, block: &str) {
    for line in block.lines() {
        let _ = writeln!(text, "  {line}");
    }
}
