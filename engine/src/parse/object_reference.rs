//! References from values to objects of resources, which a schema declares by `x-rototo-resource`.

use serde_json::Value;

use crate::parse::{PathStep, Schema};

/// The keyword of a schema whose values are keys of objects.
const KEYWORD: &str = "x-rototo-resource";

/// A reference in a value.
#[derive(Debug, PartialEq)]
pub(crate) struct ObjectReference<'v> {
    /// The way to the key.
    pub(crate) steps: Vec<PathStep>,
    pub(crate) resource: &'v str,
    pub(crate) key: &'v str,
}

/// Returns whether values of this schema may refer to objects of resources.
pub(crate) fn refers_to_objects(schema: &Schema) -> bool {
    let mut open = vec![&schema.json];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(entries) if entries.contains_key(KEYWORD) => return true,
            Value::Object(entries) => open.extend(entries.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    false
}

/// Returns the references in `value`, which is at `from` in its document.
pub(crate) fn object_references<'v>(
    schema: &'v Value,
    value: &'v Value,
    from: Vec<PathStep>,
) -> Vec<ObjectReference<'v>> {
    let mut found = Vec::new();
    follow(schema, value, from, &mut found);
    found
}

fn follow<'v>(schema: &'v Value, value: &'v Value, steps: Vec<PathStep>, found: &mut Vec<ObjectReference<'v>>) {
    let into = |step| steps.iter().cloned().chain([step]).collect::<Vec<_>>();
    if let (Some(Value::Object(properties)), Value::Object(entries)) = (schema.get("properties"), value) {
        for (key, schema) in properties {
            if let Some(value) = entries.get(key) {
                follow(schema, value, into(PathStep::Key(key.clone())), found);
            }
        }
    }
    if let (Some(schema), Value::Array(items)) = (schema.get("items"), value) {
        for (index, item) in items.iter().enumerate() {
            follow(schema, item, into(PathStep::Index(index)), found);
        }
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for schema in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            follow(schema, value, steps.clone(), found);
        }
    }
    if let (Some(Value::String(resource)), Value::String(key)) = (schema.get(KEYWORD), value) {
        let reference = ObjectReference { steps, resource, key };
        if !found.contains(&reference) {
            found.push(reference);
        }
    }
}
