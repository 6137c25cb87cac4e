//! A schema requires a name that it does not allow, so no object matches it.

use serde_json::{Map, Value};

use crate::diagnostic::Entity;
use crate::document::text::shortened;
use crate::lint::similar::{question, resembling};
use crate::lint::subschemas::{Subschema, below, subschemas};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Schema;

pub(super) const CHECKS: &[Check] = &[Check::Schema(check)];

/// Keywords beside which names may be allowed elsewhere, or `required` may check nothing.
const OPEN: &[&str] = &["$dynamicRef", "$recursiveRef", "$ref", "allOf", "patternProperties"];

fn check(_: &WorkspaceIndex<'_>, (path, _, schema): DocumentEntry<'_, Schema>, findings: &mut Findings<'_>) {
    if schema.validator().is_err() {
        return;
    }
    for Subschema { at, members, .. } in subschemas(&schema.json) {
        let Some(name) = undeclared(members).filter(|_| findings.has_room()) else { continue };
        let declared = members.get("properties").and_then(Value::as_object);
        let declared: Vec<&str> = declared.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let place = below(&at, "required");
        let message = format!(
            "no object matches: it must have `{}`, and `additionalProperties: false` allows only names in \
             `properties`{} ({place})",
            shortened(name),
            question(resembling(name, &declared)),
        );
        findings.add(Finding::new(Entity::schema(path), path, None, message).key(place));
    }
}

/// Returns the first name that a closed object requires and does not declare.
fn undeclared(members: &Map<String, Value>) -> Option<&str> {
    let is_closed = members.get("additionalProperties") == Some(&Value::Bool(false));
    if !is_closed || !may_be_object(members.get("type")) || OPEN.iter().any(|key| members.contains_key(*key)) {
        return None;
    }
    let declared = members.get("properties").and_then(Value::as_object);
    let mut required = members.get("required")?.as_array()?.iter().filter_map(Value::as_str);
    required.find(|name| !declared.is_some_and(|declared| declared.contains_key(*name)))
}

/// Returns whether a `type` admits objects; a schema without one does.
fn may_be_object(declared: Option<&Value>) -> bool {
    match declared {
        Some(Value::String(name)) => name == "object",
        Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
        _ => true,
    }
}
