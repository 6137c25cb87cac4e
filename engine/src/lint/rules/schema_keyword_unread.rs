//! A keyword of a schema checks nothing.

use serde_json::{Map, Value};

use crate::diagnostic::Entity;
use crate::document::text::shortened_to;
use crate::lint::similar::resembling;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::Schema;

pub(super) const CHECKS: &[Check] = &[Check::Schema(check)];

/// The keywords of all drafts.
const KEYWORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "id",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
    "x-rototo-resource",
];

/// The formats that drafts 4 to 7 check.
const FORMATS: &[&str] = &["date", "date-time", "email", "hostname", "ipv4", "ipv6", "regex", "time", "uri"];
/// The formats that draft 6 added.
const FORMATS_6: &[&str] = &["json-pointer", "uri-reference", "uri-template"];
/// The formats that draft 7 added.
const FORMATS_7: &[&str] = &["idn-email", "idn-hostname", "iri", "iri-reference", "relative-json-pointer"];

fn check(_: &WorkspaceIndex<'_>, (path, _, schema): DocumentEntry<'_, Schema>, findings: &mut Findings<'_>) {
    if schema.validator().is_err() {
        return;
    }
    let draft = schema.json.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let formats: &[&[&str]] = match draft {
        _ if draft.contains("draft-07") => &[FORMATS, FORMATS_6, FORMATS_7],
        _ if draft.contains("draft-06") => &[FORMATS, FORMATS_6],
        _ if draft.contains("draft-04") => &[FORMATS],
        _ => &[],
    };
    // The walk needs no stack of its own: documents nest at most 128 levels.
    let mut open = vec![(String::new(), &schema.json)];
    while let Some((at, schema)) = open.pop() {
        let Some(members) = schema.as_object() else { continue };
        for (key, message) in faults(members, formats) {
            let place = below(&at, key);
            let message = format!("{message} ({place})");
            findings.add(Finding::new(Entity::schema(path), path, None, message).key(place));
        }
        // The last one is taken first.
        open.extend(parts(&at, members).into_iter().rev());
    }
}

fn faults<'s>(members: &'s Map<String, Value>, formats: &[&[&str]]) -> Vec<(&'s str, String)> {
    let mut faults = Vec::new();
    for (key, value) in members {
        if let ("format", Value::String(format)) = (key.as_str(), value) {
            if formats.is_empty() {
                faults.push((&**key, "`format` checks nothing in this draft of JSON Schema".to_owned()));
            } else if !formats.iter().any(|known| known.contains(&&**format)) {
                faults.push((&**key, format!("this draft of JSON Schema has no format `{format}`")));
            }
        } else if let Some(meant) = resembling(key, KEYWORDS).filter(|_| !key.starts_with("x-")) {
            faults.push((&**key, format!("JSON Schema has no keyword `{key}`; is `{meant}` meant?")));
        }
    }
    faults
}

/// The schemas directly inside a schema, with their pointers.
fn parts<'s>(at: &str, members: &'s Map<String, Value>) -> Vec<(String, &'s Value)> {
    let mut parts = Vec::new();
    for (key, value) in members {
        let named = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
        let single = [
            "additionalItems",
            "additionalProperties",
            "contains",
            "else",
            "if",
            "items",
            "not",
            "propertyNames",
            "then",
            "unevaluatedItems",
            "unevaluatedProperties",
            "contentSchema",
        ];
        let lists = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];
        match value {
            Value::Object(all) if named.contains(&&**key) => {
                parts.extend(all.iter().map(|(name, schema)| (below(at, &format!("{key}/{name}")), schema)));
            }
            Value::Object(_) if single.contains(&&**key) => parts.push((below(at, key), value)),
            Value::Array(all) if lists.contains(&&**key) => {
                parts.extend(
                    all.iter().enumerate().map(|(place, schema)| (below(at, &format!("{key}/{place}")), schema)),
                );
            }
            _ => {}
        }
    }
    parts
}

/// The pointer to a part. Names may have megabytes, and many parts below them.
fn below(at: &str, name: &str) -> String {
    const LONGEST: usize = 300;
    shortened_to(&format!("{at}/{name}"), LONGEST).into_owned()
}
