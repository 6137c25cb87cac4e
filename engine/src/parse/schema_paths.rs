//! The length of the paths in a schema, counted before it is compiled: each part keeps the path that leads to it. So a
//! name of a megabyte with two thousand parts below it would take gigabytes.

use serde_json::Value;

/// The most bytes of the paths of all parts. A schema of five thousand parts has half a megabyte.
const MAX_PATHS: usize = 8 << 20;

/// Returns whether the paths in `schema` exceed the limit for one schema.
pub(crate) fn too_long(schema: &Value) -> bool {
    below(schema, 0) > MAX_PATHS
}

/// Returns the bytes of the paths of all parts below one whose own path has `length` bytes. Documents nest at most 128
/// levels.
fn below(value: &Value, length: usize) -> usize {
    let part = |sum: usize, value: &Value, length: usize| {
        let own = if matches!(value, Value::Object(_) | Value::Bool(_)) { length } else { 0 };
        sum.saturating_add(own).saturating_add(below(value, length))
    };
    match value {
        Value::Object(members) => {
            members.iter().fold(0, |sum, (name, value)| part(sum, value, length.saturating_add(name.len() + 1)))
        }
        Value::Array(items) => items.iter().fold(0, |sum, item| part(sum, item, length.saturating_add(8))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_long_names_above_many_parts_are_too_long() {
        let parts = |count: usize, name: usize| {
            let parts: serde_json::Map<String, Value> = (0..count).map(|n| (format!("p{n}"), json!({}))).collect();
            json!({ "properties": { "n".repeat(name): { "properties": parts } } })
        };
        assert!(!too_long(&parts(10_000, 30)));
        assert!(!too_long(&parts(1, 1 << 20)));
        assert!(too_long(&parts(20, 1 << 20)));
        assert!(!too_long(&json!({ "properties": { "country": { "enum": vec!["DE"; 1_000_000] } } })));
    }
}
