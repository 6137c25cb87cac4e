//! A predicate compares an attribute with a value of another type.

use serde_json::Value;

use crate::diagnostic::Entity;
use crate::document::text::Span;
use crate::lint::workspace_index::context_field;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::infer::type_of;
use crate::parse::{Op, Predicate, Qualifier};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, qualifier): DocumentEntry<'_, Qualifier>,
    findings: &mut Findings<'_>,
) {
    let Some(schema) = workspace.context_schema() else { return };
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(attribute) = predicate.context_path() else { continue };
        let Some(types) = context_field(&schema.json, attribute).and_then(declared_types) else { continue };
        if let Some((key, span, what)) = mismatch(predicate, &types) {
            let message = format!("{what}, but the context schema declares `{attribute}` as {}", types.join(" or "));
            findings.add(Finding::new(Entity::predicate(id, index), path, span, message).key(key));
        }
    }
}

/// The types that a schema names with the `type` keyword, in order; `None` if the keyword does not restrict them.
fn declared_types(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(name) => Some(vec![name.as_str()]),
        Value::Array(names) => {
            let mut names = names.iter().map(Value::as_str).collect::<Option<Vec<&str>>>()?;
            names.sort_unstable();
            names.dedup();
            (!names.is_empty()).then_some(names)
        }
        _ => None,
    }
}

fn mismatch(predicate: &Predicate, types: &[&str]) -> Option<(&'static str, Option<Span>, String)> {
    let op = predicate.operator()?;
    let only = |allowed: &[&str]| types.iter().all(|name| allowed.contains(name));
    let wrong_op = |what: &str| Some(("op", predicate.op.span(), format!("`{}` {what}", op.name())));
    match op {
        Op::Eq | Op::Neq => {
            let value = predicate.value.as_ref()?;
            let what = format!("`{}` compares with {}", op.name(), type_of(&value.value));
            (!fits(&value.value, types)).then_some(("value", Some(value.span), what))
        }
        Op::In | Op::NotIn => {
            let value = predicate.value.as_ref()?;
            let stranger = value.value.as_array()?.iter().find(|item| !fits(item, types))?;
            Some(("value", Some(value.span), format!("the list of `{}` holds {}", op.name(), type_of(stranger))))
        }
        Op::Gt | Op::Gte | Op::Lt | Op::Lte if !only(&["integer", "number"]) => wrong_op("orders numbers"),
        Op::Bucket if !only(&["boolean", "integer", "number", "string"]) => wrong_op("hashes a single value"),
        Op::Gt | Op::Gte | Op::Lt | Op::Lte | Op::Bucket => None,
    }
}

fn fits(value: &Value, types: &[&str]) -> bool {
    let name = type_of(value);
    types.contains(&name) || (name == "integer" && types.contains(&"number"))
}
