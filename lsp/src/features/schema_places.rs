//! Finds the declaration of an attribute in the text of the context schema, and lists what it declares.

use std::collections::BTreeMap;

use rototo_engine::text::Span;
use serde_json::Value;
use serde_json::value::RawValue;

/// The most attributes that are listed. A schema of more is generated, and nobody reads such a list.
const MOST_ATTRIBUTES: usize = 2_000;

/// Returns the span of the declaration of an attribute, such as `account.plan`.
pub(super) fn declaration(schema: &str, attribute: &str) -> Option<Span> {
    let mut part: &str = schema;
    for name in attribute.split('.') {
        part = member(member(part, "properties")?, name)?;
    }
    let start = (part.as_ptr() as usize).checked_sub(schema.as_ptr() as usize)?;
    Some(Span { start, end: start + part.len() })
}

/// Returns the text of a member of an object.
fn member<'t>(object: &'t str, name: &str) -> Option<&'t str> {
    let members: BTreeMap<String, &'t RawValue> = serde_json::from_str(object).ok()?;
    members.get(name).map(|value| value.get())
}

/// Returns the attributes that a schema declares, with their declarations, the outer ones first.
pub(super) fn attributes(schema: &Value) -> Vec<(String, &Value)> {
    let mut found: Vec<(String, &Value)> = Vec::new();
    let mut open = vec![(String::new(), schema)];
    let mut next = 0;
    while let Some((path, schema)) = open.get(next).cloned() {
        next += 1;
        for (name, declared) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if found.len() == MOST_ATTRIBUTES {
                return found;
            }
            // A path splits at dots, so such a name can't be read.
            if name.contains('.') {
                continue;
            }
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            found.push((path.clone(), declared));
            open.push((path, declared));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{ "properties": {
        "account": { "properties": { "plan": { "enum": ["pro", "😀"] }, "a.b": {} } },
        "é": { "type": "string" } } }"#;

    #[test]
    fn a_declaration_is_found_in_the_text() {
        let text = |attribute| declaration(SCHEMA, attribute).map(|span| &SCHEMA[span.start..span.end]);
        assert_eq!(text("account.plan"), Some(r#"{ "enum": ["pro", "😀"] }"#));
        assert_eq!(text("é"), Some(r#"{ "type": "string" }"#));
        assert_eq!(text("account.name"), None);
        assert_eq!(declaration("{", "a"), None);
        assert_eq!(declaration("[1]", "a"), None);
    }

    #[test]
    fn attributes_are_listed_with_their_parts() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let paths: Vec<String> = attributes(&schema).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["account", "é", "account.plan"]);
    }
}
