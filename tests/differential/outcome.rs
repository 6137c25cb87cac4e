//! The result of an engine for a workspace and a context, in terms that both engines share.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use rototo_lua::{InProcess, ScriptLimits};

use crate::generate::Files;
use crate::reference::Reference;

/// The number of occurrences of each finding: rule, severity, path, and, for custom rules, the message.
pub type FindingCounts = BTreeMap<(String, String, String, String), usize>;

/// The result of one resolution: the trace as JSON, or the kind of error.
#[derive(Clone, Debug, PartialEq)]
pub enum ResolutionOutcome {
    Trace(Value),
    Missing { attribute: String, qualifier: String },
    NotANumber,
    ContextMismatch,
    Other(String),
}

pub fn our_lint(files: &Files) -> (FindingCounts, rototo_engine::Parsed) {
    let tree = files.iter().map(|(path, text)| (path.clone(), text.as_bytes().to_vec())).collect();
    let parsed = rototo_engine::parse(tree);
    let lint = rototo_engine::lint_with(&parsed, &mut InProcess::new(ScriptLimits::default()));
    (findings(&serde_json::to_value(&lint.diagnostics).unwrap()), parsed)
}

pub fn their_lint(reference: &mut Reference, root: &Path) -> FindingCounts {
    findings(&reference.lint(root))
}

fn findings(diagnostics: &Value) -> FindingCounts {
    let mut findings = FindingCounts::new();
    for found in diagnostics.as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let rule = text(&found["rule"]);
        let said = if rule.starts_with("rototo/") { String::new() } else { text(&found["message"]) };
        let key = (rule, text(&found["severity"]), text(&found["location"]["path"]), said);
        *findings.entry(key).or_default() += 1;
    }
    findings
}

pub fn our_answer(compiled: &rototo_engine::Compiled, id: &str, context: &Value) -> ResolutionOutcome {
    use rototo_engine::{Context, ResolveError, ResolveOptions};
    let context = Context::from_json(context.clone()).unwrap();
    match compiled.trace_variable(id, &context, ResolveOptions::default()) {
        Ok(trace) => {
            let resolution = compiled.resolve_variable(id, &context).unwrap();
            assert_eq!(
                (resolution.value_key, resolution.value),
                (&*trace.resolution.value_key, &trace.resolution.value)
            );
            ResolutionOutcome::Trace(serde_json::to_value(trace).unwrap())
        }
        Err(ResolveError::MissingAttribute { attribute, qualifier }) => {
            ResolutionOutcome::Missing { attribute: attribute.to_string(), qualifier: qualifier.to_string() }
        }
        Err(ResolveError::NotANumber { .. }) => ResolutionOutcome::NotANumber,
        Err(ResolveError::ContextMismatch(_)) => ResolutionOutcome::ContextMismatch,
        Err(other) => ResolutionOutcome::Other(other.to_string()),
    }
}

pub fn their_answer(reference: &mut Reference, root: &Path, id: &str, context: &Value) -> ResolutionOutcome {
    match reference.trace(root, id, context) {
        Ok(trace) => ResolutionOutcome::Trace(trace),
        Err(text) => {
            let missing = text.strip_prefix("missing resolve context attribute: ");
            match missing.and_then(|rest| rest.split_once(" required by qualifier://")) {
                Some((attribute, qualifier)) => {
                    ResolutionOutcome::Missing { attribute: attribute.to_owned(), qualifier: qualifier.to_owned() }
                }
                None if text.contains("schema") => ResolutionOutcome::ContextMismatch,
                None => ResolutionOutcome::Other(text),
            }
        }
    }
}

pub fn write(files: &Files, root: &Path) {
    for (path, text) in files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}
