//! The schemas inside a JSON Schema, and their places.

use serde_json::{Map, Value};

use crate::document::text::shortened_to;

/// Keywords with an object of schemas.
const NAMED: [&str; 6] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// Keywords with one schema.
const SINGLE: [&str; 12] = [
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

/// Keywords with a list of schemas.
const LISTS: [&str; 5] = ["allOf", "anyOf", "items", "oneOf", "prefixItems"];

/// Returns a schema and all schemas inside it that have keywords, with their pointers, in the order of the document.
pub(super) fn subschemas(schema: &Value) -> impl Iterator<Item = (String, &Map<String, Value>)> {
    // The walk needs no stack of its own: documents nest at most 128 levels.
    let mut open = vec![(String::new(), schema)];
    std::iter::from_fn(move || {
        while let Some((at, schema)) = open.pop() {
            let Some(members) = schema.as_object() else { continue };
            // The last one is taken first.
            open.extend(parts(&at, members).into_iter().rev());
            return Some((at, members));
        }
        None
    })
}

/// Returns the schemas directly inside a schema, with their pointers.
fn parts<'s>(at: &str, members: &'s Map<String, Value>) -> Vec<(String, &'s Value)> {
    let mut parts = Vec::new();
    for (key, value) in members {
        match value {
            Value::Object(all) if NAMED.contains(&&**key) => {
                parts.extend(all.iter().map(|(name, schema)| (below(at, &format!("{key}/{name}")), schema)));
            }
            Value::Object(_) if SINGLE.contains(&&**key) => parts.push((below(at, key), value)),
            Value::Array(all) if LISTS.contains(&&**key) => {
                parts.extend(
                    all.iter().enumerate().map(|(place, schema)| (below(at, &format!("{key}/{place}")), schema)),
                );
            }
            _ => {}
        }
    }
    parts
}

/// Returns the pointer to a part. Names may have megabytes, and many parts below them.
pub(super) fn below(at: &str, name: &str) -> String {
    const LONGEST: usize = 300;
    shortened_to(&format!("{at}/{name}"), LONGEST).into_owned()
}
