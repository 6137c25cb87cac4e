//! A JSON document is no JSON Schema, or needs another one.

use serde_json::Value;

use crate::diagnostic::Entity;
use crate::document::text::shortened;
use crate::lint::checking_work::{TOO_MANY_PATTERNS, heaviest_schema};
use crate::lint::subschemas::{Subschema, below, subschemas};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Schema;

pub(super) const CHECKS: &[Check] = &[Check::Schema(check), Check::Workspace(check_patterns)];

fn check_patterns(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(path) = heaviest_schema(workspace.parsed) else { return };
    findings.add(Finding::new(Entity::schema(path), path, None, TOO_MANY_PATTERNS));
}

fn check(_: &WorkspaceIndex<'_>, (path, _, schema): DocumentEntry<'_, Schema>, findings: &mut Findings<'_>) {
    let Err(invalid) = schema.validator() else { return };
    let mut add = |message: String, pointer: &str| {
        findings.add(Finding::new(Entity::schema(path), path, None, message).key(pointer));
    };
    if let Some((pointer, reference)) = reference_to_file(&schema.json, &invalid.message) {
        let reference = shortened(reference);
        let message =
            format!("a reference to another file is not followed: copy `{reference}` under `$defs` ({pointer})");
        return add(message, &pointer);
    }
    let at = if invalid.pointer.is_empty() { "at its root" } else { &invalid.pointer };
    add(format!("not a valid JSON Schema: {} ({at})", invalid.message), &invalid.pointer);
}

/// Returns the place and the text of the reference that the validator could not follow; `None` if its fault is another
/// one. The fault has no place, and its words have the address after any `$id`.
fn reference_to_file<'s>(schema: &'s Value, fault: &str) -> Option<(String, &'s str)> {
    let (address, _) = fault.strip_prefix("Resource '")?.split_once("' is not present in a registry")?;
    let meant = last_part(address);
    subschemas(schema).find_map(|Subschema { at, members, .. }| {
        let reference = members.get("$ref")?.as_str().filter(|reference| !reference.starts_with('#'))?;
        (last_part(reference) == meant).then(|| (below(&at, "$ref"), reference))
    })
}

/// Returns the last part of the path of an address, without its fragment.
fn last_part(address: &str) -> &str {
    let path = address.split('#').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}
