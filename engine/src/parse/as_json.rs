//! A TOML document as one JSON value, exactly as it was written.

use serde_json::{Number, Value};
use toml::de::{DeTable, DeValue};

use crate::parse::toml::refuse_long_keys;

/// The greatest depth at which values are read. Deeper values are `null`.
const MAX_DEPTH: usize = 64;

/// Converts a document. A date becomes a string, and a value that JSON can't express becomes `null`, as does a document
/// that is not TOML.
pub(crate) fn toml_as_json(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).ok().filter(|text| refuse_long_keys(text).is_ok());
    let root = text.and_then(|text| DeTable::parse(text).ok());
    root.map_or(Value::Null, |root| table(root.get_ref(), 1))
}

fn table(entries: &DeTable<'_>, depth: usize) -> Value {
    entries.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref(), depth))).collect()
}

fn json(value: &DeValue<'_>, depth: usize) -> Value {
    match value {
        _ if depth > MAX_DEPTH => Value::Null,
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(float) => {
            float.as_str().parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        }
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref(), depth + 1)).collect(),
        DeValue::Table(entries) => table(entries, depth + 1),
    }
}
