//! Infers the first draft of a context schema: the attributes that the qualifiers of a workspace read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::parse::{Op, Parsed, Predicate};

/// Attributes with more parts are left out: a schema nests as deeply, and a program that reads it may recurse.
const MAX_PARTS: usize = 64;

/// Returns a JSON Schema of the context that `parsed` reads, inferred from the operands with which its qualifiers
/// compare each attribute. It declares each attribute, and only types with which lint accepts these qualifiers. The schema
/// has no properties if nothing can be inferred.
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
    let mut attributes = AttributeTree::default();
    let qualifiers = parsed.qualifiers.values().filter_map(|document| document.content());
    for predicate in qualifiers.flat_map(|qualifier| qualifier.predicates()) {
        let (Some(path), Some(uses)) = (predicate.context_path(), AttributeUses::of(predicate)) else { continue };
        let parts: Vec<&str> = path.split('.').collect();
        if parts.len() <= MAX_PARTS && parts.iter().all(|part| !part.is_empty()) {
            attributes.add(&parts, &uses);
        }
    }
    let mut schema = attributes.into_schema();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    Value::Object(schema)
}

/// The attributes of one object by name.
#[derive(Default)]
struct AttributeTree(BTreeMap<String, AttributeNode>);

#[derive(Default)]
struct AttributeNode {
    uses: AttributeUses,
    /// The parts of an object.
    parts: AttributeTree,
}

/// The ways in which predicates use an attribute.
#[derive(Default)]
struct AttributeUses {
    /// The types of the operands.
    types: BTreeSet<&'static str>,
    /// True if the attribute is ordered, as only numbers are.
    is_ordered: bool,
    /// True if the attribute is the subject of a bucket, as single values are.
    is_hashed: bool,
}

impl AttributeTree {
    fn add(&mut self, path: &[&str], uses: &AttributeUses) {
        let Some((name, rest)) = path.split_first() else { return };
        let node = self.0.entry((*name).to_owned()).or_default();
        if rest.is_empty() { node.uses.extend(uses) } else { node.parts.add(rest, uses) }
    }

    fn into_schema(self) -> Map<String, Value> {
        let properties: Map<String, Value> =
            self.0.into_iter().map(|(name, node)| (name, node.into_schema())).collect();
        Map::from_iter([("additionalProperties".to_owned(), true.into()), ("properties".to_owned(), properties.into())])
    }
}

impl AttributeNode {
    fn into_schema(self) -> Value {
        let Self { mut uses, parts } = self;
        let mut schema = Map::new();
        if !parts.0.is_empty() {
            uses.types.insert("object");
            schema = parts.into_schema();
        }
        if let Some(types) = uses.types() {
            schema.insert("type".to_owned(), types);
        }
        Value::Object(schema)
    }
}

impl AttributeUses {
    /// Returns the use by a predicate; `None` if it has no operator of the format, or no operand.
    fn of(predicate: &Predicate) -> Option<Self> {
        let value = predicate.value.as_ref().map(|value| &*value.value);
        let of_operands = |operands: &[Value]| {
            let types = operands.iter().filter(|operand| !operand.is_null()).map(type_of).collect();
            Self { types, ..Self::default() }
        };
        Some(match predicate.operator()? {
            Op::Eq | Op::Neq => of_operands(std::slice::from_ref(value?)),
            Op::In | Op::NotIn => of_operands(value?.as_array()?),
            Op::Gt | Op::Gte | Op::Lt | Op::Lte => {
                Self { types: BTreeSet::from(["number"]), is_ordered: true, is_hashed: false }
            }
            Op::Bucket => {
                Self { types: BTreeSet::from(["boolean", "number", "string"]), is_ordered: false, is_hashed: true }
            }
        })
    }

    fn extend(&mut self, other: &Self) {
        self.types.extend(&other.types);
        self.is_ordered |= other.is_ordered;
        self.is_hashed |= other.is_hashed;
    }

    /// Returns the value of `type`; `None` if no list of types suits all uses.
    fn types(&self) -> Option<Value> {
        let is_number = |name: &&str| matches!(*name, "integer" | "number");
        let is_single = |name: &&str| !matches!(*name, "array" | "object");
        if self.is_ordered && !self.types.iter().all(is_number) || self.is_hashed && !self.types.iter().all(is_single) {
            return None;
        }
        let every_integer_is_a_number = self.types.contains("number");
        let redundant = |name: &str| every_integer_is_a_number && name == "integer";
        let names: Vec<&str> = self.types.iter().copied().filter(|name| !redundant(name)).collect();
        match names.as_slice() {
            [] => None,
            [only] => Some((*only).into()),
            all => Some(json!(all)),
        }
    }
}

/// Returns the name of a value's type in JSON Schema.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::CONTEXT_SCHEMA;
    use crate::{Severity, Tree, lint, parse};

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
        check(&["attribute = 'a'\nop = 'eq'\nvalue = [1]"], &json!({"a": {"type": "array"}}));
        check(&["attribute = 'a'\nop = 'in'\nvalue = []"], &json!({"a": {}}));
        check(&["attribute = 'a'\nop = 'bucket'"], &json!({"a": {"type": ["boolean", "number", "string"]}}));
    }

    #[test]
    fn predicates_on_one_attribute_add_up_and_parts_make_objects() {
        let one = "attribute = 'a'\nop = 'eq'\nvalue = 1";
        check(&[one, "attribute = 'a'\nop = 'gt'\nvalue = 1"], &json!({"a": {"type": "number"}}));
        let object =
            json!({"a": {"type": "object", "additionalProperties": true, "properties": {"b": {"type": "boolean"}}}});
        let part = "attribute = 'a.b'\nop = 'eq'\nvalue = true";
        check(&[part], &object);
        let both = json!({"a": {"type": ["integer", "object"], "additionalProperties": true, "properties": {"b": {"type": "boolean"}}}});
        check(&[one, part], &both);
        check(&[part, one], &both);
    }

    /// A schema that refuses the predicates from which it was made helps nobody.
    #[test]
    fn lint_accepts_the_predicates_with_the_schema_that_is_inferred_from_them() {
        let predicates = [
            ("eq", "\"x\""),
            ("neq", "1"),
            ("eq", "[1]"),
            ("eq", "{ a = 1 }"),
            ("in", "[]"),
            ("in", "[true, \"x\", 1.5]"),
            ("not_in", "[[1]]"),
            ("gt", "1"),
            ("bucket", ""),
        ];
        let text = |attribute: &str, (op, value): &(&str, &str)| {
            let rest =
                if value.is_empty() { "salt = 's'\nrange = [0, 10]".to_owned() } else { format!("value = {value}") };
            format!("[[predicate]]\nattribute = '{attribute}'\nop = '{op}'\n{rest}\n")
        };
        let part = text("a.b", &("eq", "1"));
        for one in &predicates {
            for other in &predicates {
                for more in ["", part.as_str()] {
                    let qualifier = format!("schema_version = 1\n{}{}{more}", text("a", one), text("a", other));
                    let mut tree = Tree::default();
                    tree.insert("rototo-workspace.toml", *b"schema_version = 1");
                    tree.insert("qualifiers/a.toml", qualifier.into_bytes());
                    let schema = infer_context_schema(&parse(tree.clone()));
                    tree.insert(CONTEXT_SCHEMA, schema.to_string().into_bytes());
                    let found = lint(&parse(tree)).diagnostics;
                    let errors: Vec<_> = found.iter().filter(|found| found.severity == Severity::Error).collect();
                    assert!(errors.is_empty(), "{one:?} and {other:?}: {schema} {errors:?}");
                }
            }
        }
    }

    #[test]
    fn predicates_without_a_type_add_nothing() {
        let long = format!("attribute = '{}'\nop = 'eq'\nvalue = 1", vec!["a"; 50_000].join("."));
        check(
            &[
                "attribute = 'qualifier.b'\nop = 'eq'\nvalue = true",
                "attribute = 'a'\nop = 'in'\nvalue = 1",
                "attribute = 'a'\nop = 'like'\nvalue = 'x'",
                "attribute = 'a..b'\nop = 'eq'\nvalue = 'x'",
                "op = 'eq'\nvalue = 'x'",
                &long,
            ],
            &json!({}),
        );
    }
}
