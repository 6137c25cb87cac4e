//! Infers the first draft of a context schema: the attributes that the qualifiers of a workspace read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::parse::{Op, Parsed, Predicate};

/// Attributes with more parts are left out: a schema nests as deeply, and a program that reads it may recurse.
const MAX_PARTS: usize = 64;

/// Returns a JSON Schema of the context that `parsed` reads, inferred from the operands with which its qualifiers
/// compare each attribute. The schema has no properties if nothing can be inferred.
///
/// ```
/// use rototo_engine::{Tree, infer_context_schema, parse};
///
/// let mut tree = Tree::default();
/// tree.insert("qualifiers/pro.toml", *b"predicate = [{ attribute = \"account.plan\", op = \"eq\", value = \"pro\" }]");
/// let schema = infer_context_schema(&parse(tree));
/// assert_eq!(schema["properties"]["account"]["properties"]["plan"]["type"], "string");
/// ```
#[must_use]
pub fn infer_context_schema(parsed: &Parsed) -> Value {
    let mut facts = AttributeTree::default();
    let qualifiers = parsed.qualifiers.values().filter_map(|document| document.content());
    for predicate in qualifiers.flat_map(|qualifier| qualifier.predicates()) {
        let (Some(path), types) = (predicate.context_path(), types_of(predicate)) else { continue };
        let parts: Vec<&str> = path.split('.').collect();
        if !types.is_empty() && parts.len() <= MAX_PARTS && parts.iter().all(|part| !part.is_empty()) {
            facts.add(&parts, &types);
        }
    }
    let mut schema = facts.into_schema();
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    Value::Object(schema)
}

/// The attributes of one object by name.
#[derive(Default)]
struct AttributeTree(BTreeMap<String, AttributeNode>);

enum AttributeNode {
    Scalar(BTreeSet<ScalarType>),
    /// An attribute with parts is an object, whatever it is compared with.
    Object(AttributeTree),
}

/// Ordered as a schema lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ScalarType {
    Boolean,
    Integer,
    Number,
    String,
}

impl AttributeTree {
    fn add(&mut self, path: &[&str], types: &BTreeSet<ScalarType>) {
        let Some((name, rest)) = path.split_first() else { return };
        let fact = self.0.entry((*name).to_owned()).or_insert_with(|| AttributeNode::Scalar(BTreeSet::new()));
        if rest.is_empty() {
            if let AttributeNode::Scalar(known) = fact {
                known.extend(types);
            }
            return;
        }
        if let AttributeNode::Scalar(_) = fact {
            *fact = AttributeNode::Object(Self::default());
        }
        if let AttributeNode::Object(facts) = fact {
            facts.add(rest, types);
        }
    }

    fn into_schema(self) -> Map<String, Value> {
        let properties: Map<String, Value> =
            self.0.into_iter().map(|(name, fact)| (name, fact.into_schema())).collect();
        Map::from_iter([
            ("type".to_owned(), "object".into()),
            ("additionalProperties".to_owned(), true.into()),
            ("properties".to_owned(), properties.into()),
        ])
    }
}

impl AttributeNode {
    fn into_schema(self) -> Value {
        match self {
            Self::Object(facts) => Value::Object(facts.into_schema()),
            Self::Scalar(types) => {
                let every_integer_is_a_number = types.contains(&ScalarType::Number);
                let redundant = |name: &ScalarType| every_integer_is_a_number && *name == ScalarType::Integer;
                let names: Vec<&str> = types.iter().filter(|name| !redundant(name)).map(|name| name.name()).collect();
                match names.as_slice() {
                    [only] => json!({ "type": only }),
                    all => json!({ "type": all }),
                }
            }
        }
    }
}

/// Returns the types of an attribute for which this predicate makes sense. Empty if no single type covers them.
fn types_of(predicate: &Predicate) -> BTreeSet<ScalarType> {
    use ScalarType::{Boolean, Number, String};
    let value = predicate.value.as_ref().map(|value| &*value.value);
    match predicate.operator() {
        Some(Op::Eq | Op::Neq) => value.and_then(ScalarType::of).into_iter().collect(),
        Some(Op::In | Op::NotIn) => {
            value.and_then(Value::as_array).into_iter().flatten().filter_map(ScalarType::of).collect()
        }
        Some(Op::Gt | Op::Gte | Op::Lt | Op::Lte) => BTreeSet::from([Number]),
        Some(Op::Bucket) => BTreeSet::from([Boolean, Number, String]),
        None => BTreeSet::new(),
    }
}

impl ScalarType {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(_) => Some(Self::Boolean),
            Value::Number(number) if number.is_f64() => Some(Self::Number),
            Value::Number(_) => Some(Self::Integer),
            Value::String(_) => Some(Self::String),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::String => "string",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tree, parse};

    fn check(predicates: &[&str], expected: &Value) {
        let text: String = predicates.iter().map(|predicate| format!("[[predicate]]\n{predicate}\n")).collect();
        let mut tree = Tree::default();
        tree.insert("qualifiers/a.toml", text.into_bytes());
        assert_eq!(&infer_context_schema(&parse(tree))["properties"], expected, "{predicates:?}");
    }

    #[test]
    fn each_operator_says_what_it_compares_with() {
        check(&["attribute = 'a'\nop = 'eq'\nvalue = 'x'"], &json!({"a": {"type": "string"}}));
        check(&["attribute = 'a'\nop = 'neq'\nvalue = 1"], &json!({"a": {"type": "integer"}}));
        check(
            &["attribute = 'a'\nop = 'in'\nvalue = [1, 'x', true]"],
            &json!({"a": {"type": ["boolean", "integer", "string"]}}),
        );
        check(&["attribute = 'a'\nop = 'not_in'\nvalue = [1, 1.5]"], &json!({"a": {"type": "number"}}));
        check(&["attribute = 'a'\nop = 'gte'\nvalue = 1"], &json!({"a": {"type": "number"}}));
        check(&["attribute = 'a'\nop = 'bucket'"], &json!({"a": {"type": ["boolean", "number", "string"]}}));
    }

    #[test]
    fn predicates_on_one_attribute_add_up_and_parts_make_objects() {
        let one = "attribute = 'a'\nop = 'eq'\nvalue = 1";
        check(&[one, "attribute = 'a'\nop = 'gt'\nvalue = 1"], &json!({"a": {"type": "number"}}));
        let object =
            json!({"a": {"type": "object", "additionalProperties": true, "properties": {"b": {"type": "boolean"}}}});
        let part = "attribute = 'a.b'\nop = 'eq'\nvalue = true";
        check(&[one, part], &object);
        check(&[part, one], &object);
    }

    #[test]
    fn predicates_without_a_type_add_nothing() {
        let long = format!("attribute = '{}'\nop = 'eq'\nvalue = 1", vec!["a"; 50_000].join("."));
        check(
            &[
                "attribute = 'qualifier.b'\nop = 'eq'\nvalue = true",
                "attribute = 'a'\nop = 'eq'\nvalue = []",
                "attribute = 'a'\nop = 'like'\nvalue = 'x'",
                "attribute = 'a..b'\nop = 'eq'\nvalue = 'x'",
                "op = 'eq'\nvalue = 'x'",
                &long,
            ],
            &json!({}),
        );
    }
}
