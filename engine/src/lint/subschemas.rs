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

/// A schema inside a JSON Schema, or the whole one.
pub(super) struct Subschema<'s> {
    /// Its pointer.
    pub(super) at: String,
    /// Its keywords.
    pub(super) members: &'s Map<String, Value>,
    /// The first keyword on the way to it through which lint does not follow values to the objects that they name.
    pub(super) behind: Option<&'s str>,
}

/// Returns a schema and all schemas inside it that have keywords, in the order of the document.
pub(super) fn subschemas(schema: &Value) -> impl Iterator<Item = Subschema<'_>> {
    // The walk needs no stack of its own: documents nest at most 128 levels.
    let mut open = vec![(String::new(), schema, None)];
    std::iter::from_fn(move || {
        while let Some((at, schema, behind)) = open.pop() {
            let Some(members) = schema.as_object() else { continue };
            let schema = Subschema { at, members, behind };
            // The last one is taken first.
            open.extend(parts(&schema).into_iter().rev());
            return Some(schema);
        }
        None
    })
}

/// Returns the schemas directly inside a schema, with their pointers and the keyword that they are [behind](Subschema::behind).
fn parts<'s>(outer: &Subschema<'s>) -> Vec<(String, &'s Value, Option<&'s str>)> {
    let mut parts = Vec::new();
    for (key, value) in outer.members {
        let mut add = |name: &str, schema: &'s Value, follows: bool| {
            parts.push((below(&outer.at, name), schema, outer.behind.or((!follows).then_some(&**key))));
        };
        match value {
            Value::Object(all) if NAMED.contains(&&**key) => {
                all.iter().for_each(|(name, schema)| add(&format!("{key}/{name}"), schema, key == "properties"));
            }
            Value::Object(_) if SINGLE.contains(&&**key) => add(key, value, key == "items"),
            Value::Array(all) if LISTS.contains(&&**key) => {
                let follows = matches!(&**key, "allOf" | "anyOf" | "oneOf");
                all.iter().enumerate().for_each(|(place, schema)| add(&format!("{key}/{place}"), schema, follows));
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
