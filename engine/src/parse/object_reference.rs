//! References from values to objects of resources, which a schema declares by `x-rototo-resource`.

use serde_json::Value;

use crate::parse::{PathStep, Schema};

/// The keyword of a schema whose values are keys of objects of a resource.
pub const OBJECT_OF: &str = "x-rototo-resource";

/// A reference in a value.
#[derive(Debug, PartialEq)]
pub(crate) struct ObjectReference<'v> {
    /// The way to the key.
    pub(crate) steps: Vec<PathStep>,
    pub(crate) resource: &'v str,
    pub(crate) key: &'v str,
}

impl Schema {
    /// Returns the value of each [`OBJECT_OF`] in the schema: the resources to whose objects values may refer.
    pub fn object_keywords(&self) -> impl Iterator<Item = &Value> {
        let mut open = vec![&self.json];
        std::iter::from_fn(move || {
            loop {
                match open.pop()? {
                    Value::Object(entries) => {
                        open.extend(entries.values());
                        if let Some(resource) = entries.get(OBJECT_OF) {
                            return Some(resource);
                        }
                    }
                    Value::Array(items) => open.extend(items),
                    _ => {}
                }
            }
        })
    }
}

/// Returns whether values of this schema may refer to objects of resources.
pub(crate) fn refers_to_objects(schema: &Schema) -> bool {
    schema.object_keywords().next().is_some()
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
    if let (Some(Value::String(resource)), Value::String(key)) = (schema.get(OBJECT_OF), value) {
        let reference = ObjectReference { steps, resource, key };
        if !found.contains(&reference) {
            found.push(reference);
        }
    }
}
