//! The schema of each kind of file. [`object`] takes the keys from the parser's tables and their meaning from here.

use serde_json::{Map, Value, json};

use crate::parse::{KeyPlace, Op, Primitive, TestTable};
use crate::value::bucket::BUCKETS;

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

pub(super) fn manifest() -> Value {
    let schema = object(KeyPlace::Manifest.keys(), &["schema_version"], |key| match key {
        "schema_version" => version(),
        "extends" => described(
            json!({ "type": "array", "items": { "type": "string", "pattern": "^\\S(.*\\S)?$" } }),
            "The sources of the layers below this workspace, the base first",
        ),
        _ => Value::Bool(false),
    });
    titled(schema, "The manifest of a rototo workspace")
}

pub(super) fn variable() -> Value {
    let mut schema = object(KeyPlace::Variable.keys(), &["schema_version", "type", "resolve"], |key| match key {
        "schema_version" => version(),
        "description" => text("A text for people"),
        "owner" => owner(),
        "expires" => expires(),
        "type" => value_type(),
        "schema" => text("For type `object` only: the path of a JSON Schema of the values, relative to this file"),
        "values" => described(json!({ "type": "object" }), "The values by their keys"),
        "resolve" => resolve(),
        _ => Value::Bool(false),
    });
    let of_type = |name: &str| json!({ "required": ["type"], "properties": { "type": { "const": name } } });
    let values = |one: Value| json!({ "required": ["values"], "properties": { "values": { "minProperties": 1, "additionalProperties": one } } });
    let mut conditions: Vec<Value> = Primitive::ALL
        .into_iter()
        .map(|primitive| json!({ "if": of_type(primitive.name()), "then": values(value_of(primitive)) }))
        .collect();
    let is_resource =
        json!({ "required": ["type"], "properties": { "type": { "type": "string", "pattern": "^resource:" } } });
    conditions.push(json!({ "if": is_resource, "then": { "properties": { "values": { "maxProperties": 0 } } } }));
    conditions.push(json!({ "if": { "required": ["schema"] }, "then": of_type(Primitive::Object.name()) }));
    insert(&mut schema, "allOf", Value::Array(conditions));
    titled(schema, "A variable of a rototo workspace")
}

pub(super) fn qualifier() -> Value {
    let schema = object(KeyPlace::Qualifier.keys(), &["schema_version", "predicate"], |key| match key {
        "schema_version" => version(),
        "description" => text("A text for people"),
        "predicate" => described(
            json!({ "type": "array", "minItems": 1, "items": predicate() }),
            "The comparisons, all of which must hold",
        ),
        _ => Value::Bool(false),
    });
    titled(schema, "A qualifier of a rototo workspace")
}

pub(super) fn resource() -> Value {
    let schema = object(KeyPlace::Resource.keys(), &["schema_version", "schema"], |key| match key {
        "schema_version" => version(),
        "description" => text("A text for people"),
        "schema" => text("The path of the JSON Schema of the objects, relative to this file"),
        _ => Value::Bool(false),
    });
    titled(schema, "A resource of a rototo workspace")
}

pub(super) fn test() -> Value {
    let mut schema = object(TestTable::File.keys(), &["schema_version"], |key| match key {
        "schema_version" => version(),
        "description" => text("A text for people"),
        "context" => described(json!({ "type": "object" }), "Attributes of every case in this file"),
        "case" => described(json!({ "type": "array", "items": test_case() }), "Cases"),
        "table" => {
            described(json!({ "type": "array", "items": test_table() }), "Cases of the same kind, a row for each")
        }
        _ => Value::Bool(false),
    });
    insert(&mut schema, "additionalProperties", Value::Bool(false));
    titled(schema, "Tests of a rototo workspace")
}

fn value_type() -> Value {
    let names: Vec<&str> = Primitive::ALL.into_iter().map(Primitive::name).collect();
    described(
        json!({ "anyOf": [{ "enum": names }, { "type": "string", "pattern": "^resource:" }] }),
        "The type of the values, or `resource:ID` for the objects of a resource",
    )
}

fn value_of(primitive: Primitive) -> Value {
    let name = match primitive {
        Primitive::Bool => "boolean",
        Primitive::Int => "integer",
        Primitive::Number => "number",
        Primitive::String => "string",
        Primitive::List => "array",
        Primitive::Object => "object",
    };
    json!({ "type": name })
}

fn resolve() -> Value {
    object(KeyPlace::Resolve.keys(), &["default"], |key| match key {
        "default" => text("The key of the value if no rule matches"),
        "rule" => described(
            json!({ "type": "array", "items": rule() }),
            "The rules; the first whose qualifier is true selects the value",
        ),
        _ => Value::Bool(false),
    })
}

fn rule() -> Value {
    object(KeyPlace::Rule(0).keys(), &["qualifier", "value"], |key| match key {
        "qualifier" => text("The id of the qualifier that must be true"),
        "value" => text("The key of the selected value"),
        "owner" => owner(),
        "expires" => expires(),
        _ => Value::Bool(false),
    })
}

fn owner() -> Value {
    text("The people who answer for it")
}

fn expires() -> Value {
    described(
        json!({ "type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }),
        "The day from which it should be gone, such as 2026-12-31",
    )
}

fn predicate() -> Value {
    let mut schema = object(KeyPlace::Predicate(0).keys(), &["attribute", "op"], |key| match key {
        "attribute" => text("A path into the context, such as `account.plan`, or `qualifier.ID`"),
        "op" => described(json!({ "enum": Op::ALL.map(Op::name) }), "The operator"),
        "value" => described(json!({}), "The value that the attribute is compared with"),
        "salt" => text("For `bucket`: a text that mixes the buckets"),
        "range" => described(bucket_range(), "For `bucket`: the first bucket, and the one after the last"),
        _ => Value::Bool(false),
    });
    let conditions = Op::ALL.map(|op| {
        let then = match op {
            Op::Bucket => json!({ "required": ["salt", "range"], "properties": { "value": false } }),
            Op::In | Op::NotIn => json!({ "required": ["value"], "properties": { "value": { "type": "array" } } }),
            Op::Gt | Op::Gte | Op::Lt | Op::Lte => {
                json!({ "required": ["value"], "properties": { "value": { "type": "number" } } })
            }
            Op::Eq | Op::Neq => json!({ "required": ["value"] }),
        };
        json!({ "if": { "required": ["op"], "properties": { "op": { "const": op.name() } } }, "then": then })
    });
    insert(&mut schema, "allOf", Value::Array(conditions.to_vec()));
    schema
}

fn bucket_range() -> Value {
    let bound = json!({ "type": "integer", "minimum": 0, "maximum": BUCKETS });
    json!({ "type": "array", "items": bound, "minItems": 2, "maxItems": 2 })
}

fn test_case() -> Value {
    let expected = json!({ "type": "object", "additionalProperties": expected_result() });
    let mut schema = object(TestTable::Case.keys(), &[], |key| match key {
        "name" => text("A text for people"),
        "context" => described(json!({ "type": "object" }), "The attributes of this case, on top of those of the file"),
        "expect" => described(expected.clone(), "The expected value key of each variable"),
        "qualifiers" => described(
            json!({ "type": "object", "additionalProperties": { "type": "boolean" } }),
            "The expected result of each qualifier",
        ),
        _ => Value::Bool(false),
    });
    insert(&mut schema, "additionalProperties", Value::Bool(false));
    insert(&mut schema, "anyOf", json!([{ "required": ["expect"] }, { "required": ["qualifiers"] }]));
    schema
}

fn test_table() -> Value {
    let names = json!({ "type": "array", "items": { "type": "string" } });
    let mut schema = object(TestTable::Table.keys(), &["variables", "rows"], |key| match key {
        "name" => text("A text for people"),
        "attributes" => described(names.clone(), "The paths of the attributes in the first columns"),
        "variables" => described(names.clone(), "The variables in the columns after them"),
        "rows" => described(
            json!({ "type": "array", "minItems": 1, "items": { "type": "array", "minItems": 1 } }),
            "A list for each case: a value for each attribute, then a value key for each variable",
        ),
        _ => Value::Bool(false),
    });
    insert(&mut schema, "additionalProperties", Value::Bool(false));
    schema
}

fn expected_result() -> Value {
    let mut result = object(TestTable::Expected.keys(), &[], |key| match key {
        "key" => text("The expected value key"),
        "value" => described(json!({}), "The expected value"),
        _ => Value::Bool(false),
    });
    insert(&mut result, "additionalProperties", Value::Bool(false));
    insert(&mut result, "minProperties", json!(1));
    insert(&mut result, "maxProperties", json!(1));
    json!({ "anyOf": [{ "type": "string" }, result] })
}

/// Returns a table with these keys, described by `meaning`; `false` is a key that has no meaning here, which a test
/// finds.
fn object(keys: &[&str], required: &[&str], meaning: impl Fn(&str) -> Value) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), meaning(key))).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn version() -> Value {
    described(json!({ "const": 1 }), "The version of the format")
}

fn text(description: &str) -> Value {
    described(json!({ "type": "string" }), description)
}

fn described(mut schema: Value, description: &str) -> Value {
    insert(&mut schema, "description", description.into());
    schema
}

fn titled(mut schema: Value, title: &str) -> Value {
    insert(&mut schema, "$schema", DRAFT.into());
    insert(&mut schema, "title", title.into());
    schema
}

fn insert(schema: &mut Value, key: &str, value: Value) {
    if let Value::Object(schema) = schema {
        schema.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new key of the parser must get a meaning above.
    #[test]
    fn every_key_has_a_meaning() {
        fn check(schema: &Value) {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (key, property) in properties.into_iter().flatten() {
                assert_ne!(property, &Value::Bool(false), "{key} has no meaning");
                check(property);
                check(&property["items"]);
            }
        }
        for schema in [manifest(), variable(), qualifier(), resource(), test(), expected_result()["anyOf"][1].clone()] {
            check(&schema);
        }
    }
}
