//! References from values to objects of resources, which a schema declares by `x-rototo-resource`.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use serde_json::Value;

use crate::parse::violation::may_collect;
use crate::parse::{PathStep, Schema};

/// The keyword of a schema whose values are keys of objects of a resource.
pub const OBJECT_OF: &str = "x-rototo-resource";

/// A reference in a value.
#[derive(Debug)]
pub(crate) struct ObjectReference<'v> {
    at: Place<'v>,
    pub(crate) resource: &'v str,
    pub(crate) key: &'v str,
}

impl ObjectReference<'_> {
    /// Returns the way to the key from the value, after the steps `from`, which lead to the value.
    pub(crate) fn steps(&self, from: &[PathStep]) -> Vec<PathStep> {
        let mut steps = Vec::new();
        let mut at = &self.at;
        while let Some(place) = at {
            steps.push(match place.step {
                Step::Key(key) => PathStep::Key(key.to_owned()),
                Step::Index(index) => PathStep::Index(index),
            });
            at = &place.parent;
        }
        steps.extend(from.iter().rev().cloned());
        steps.reverse();
        steps
    }
}

/// A place in a value; `None` is the value itself. All places below one share the way to it: a key may have megabytes, and a
/// list below it a hundred thousand items.
type Place<'v> = Option<Rc<PlaceBelow<'v>>>;

#[derive(Debug)]
struct PlaceBelow<'v> {
    parent: Place<'v>,
    step: Step<'v>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'v> {
    Key(&'v str),
    Index(usize),
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

/// Returns the references in `value`. Those behind an alternative of `anyOf` or `oneOf` count only if the value matches it; if
/// the value does not match the schema at all, nobody can say which one is meant, and all count.
pub(crate) fn object_references<'v>(schema: &'v Schema, value: &'v Value) -> Vec<ObjectReference<'v>> {
    let mut found = FoundReferences::default();
    found.follow(&schema.json, value, &None, Certainty::Certain);
    let mut found = found.all;
    if found.iter().any(|(_, certainty)| *certainty == Certainty::IfMatched)
        && let Some(matched) = matched(schema, value)
    {
        let is_matched = |reference: &ObjectReference<'_>| {
            matched.contains(&(pointer(&reference.steps(&[])), reference.resource.to_owned()))
        };
        found.retain(|(reference, certainty)| *certainty == Certainty::Certain || is_matched(reference));
    }
    found.into_iter().map(|(reference, _)| reference).collect()
}

/// The condition under which a reference counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    Certain,
    /// The value matches the alternative that has the keyword.
    IfMatched,
}

/// The references so far.
#[derive(Default)]
struct FoundReferences<'v> {
    all: Vec<(ObjectReference<'v>, Certainty)>,
    /// The number of each reference, by the address of its key and its resource.
    numbers: HashMap<(*const Value, &'v str), usize>,
}

impl<'v> FoundReferences<'v> {
    fn follow(&mut self, schema: &'v Value, value: &'v Value, at: &Place<'v>, certainty: Certainty) {
        let below = |step| Some(Rc::new(PlaceBelow { parent: at.clone(), step }));
        if let (Some(Value::Object(properties)), Value::Object(entries)) = (schema.get("properties"), value) {
            for (key, schema) in properties {
                if let Some(value) = entries.get(key) {
                    self.follow(schema, value, &below(Step::Key(key)), certainty);
                }
            }
        }
        if let (Some(schema), Value::Array(items)) = (schema.get("items"), value) {
            for (index, item) in items.iter().enumerate() {
                self.follow(schema, item, &below(Step::Index(index)), certainty);
            }
        }
        for (keyword, certainty) in
            [("allOf", certainty), ("anyOf", Certainty::IfMatched), ("oneOf", Certainty::IfMatched)]
        {
            for schema in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.follow(schema, value, at, certainty);
            }
        }
        if let (Some(Value::String(resource)), Value::String(key)) = (schema.get(OBJECT_OF), value) {
            let next = self.all.len();
            let number = *self.numbers.entry((std::ptr::from_ref(value), resource)).or_insert(next);
            match self.all.get_mut(number) {
                Some((_, known)) if certainty == Certainty::Certain => *known = certainty,
                Some(_) => {}
                None => self.all.push((ObjectReference { at: at.clone(), resource, key }, certainty)),
            }
        }
    }
}

/// Returns the places in a value that match a schema with the keyword, with its resources; `None` if the value does not match
/// the whole schema, or takes too much to check.
fn matched(schema: &Schema, value: &Value) -> Option<BTreeSet<(String, String)>> {
    let validator = schema.validator().ok().filter(|_| may_collect(schema, value))?;
    if !validator.is_valid(value) {
        return None;
    }
    let evaluation = validator.evaluate(value);
    let places = evaluation.iter_annotations().filter_map(|annotation| {
        let resource = annotation.annotations.value().get(OBJECT_OF)?.as_str()?;
        Some((annotation.instance_location.as_str().to_owned(), resource.to_owned()))
    });
    Some(places.collect())
}

/// Returns the JSON pointer of a path.
fn pointer(steps: &[PathStep]) -> String {
    let step = |step: &PathStep| match step {
        PathStep::Key(key) => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        PathStep::Index(index) => format!("/{index}"),
    };
    steps.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Returns the references in a value, as their places and keys.
    fn found(schema: &Value, value: &Value) -> Vec<String> {
        let schema = Schema::parse(schema.to_string().as_bytes()).unwrap();
        let from = vec![PathStep::Key("values".to_owned())];
        let references = object_references(&schema, value);
        references.iter().map(|found| format!("{} {}", pointer(&found.steps(&from)), found.key)).collect()
    }

    #[test]
    fn a_reference_counts_in_an_alternative_that_the_value_matches() {
        let plan = json!({ "type": "string", "pattern": "^p-", OBJECT_OF: "plan" });
        let none = json!({ "const": "none" });
        for keyword in ["anyOf", "oneOf"] {
            let schema = json!({ "properties": { "a/b": { "items": { keyword: [plan, none] } } } });
            assert_eq!(found(&schema, &json!({ "a/b": ["none", "p-1"] })), ["/values/a~1b/1 p-1"], "{keyword}");
        }
        let kind = |kind: &str, more: Value| json!({ "properties": { "kind": { "const": kind }, "id": more } });
        let schema = json!({ "oneOf": [kind("plan", json!({ OBJECT_OF: "plan" })), kind("url", json!({}))] });
        assert_eq!(found(&schema, &json!({ "kind": "url", "id": "x" })), [""; 0]);
        assert_eq!(found(&schema, &json!({ "kind": "plan", "id": "x" })), ["/values/id x"]);
        // The value matches no alternative, or the keyword also stands outside.
        assert_eq!(found(&schema, &json!({ "kind": "other", "id": "x" })), ["/values/id x"]);
        let outside = json!({ "anyOf": [{ "properties": { "id": { "type": "integer", OBJECT_OF: "plan" } } }, {}],
            "properties": { "id": { OBJECT_OF: "plan" } } });
        assert_eq!(found(&outside, &json!({ "id": "x" })), ["/values/id x"]);
    }

    #[test]
    fn a_reference_counts_in_each_draft() {
        for draft in ["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"] {
            let schema =
                json!({ "$schema": draft, "id": "urn:a", "anyOf": [{ "type": "string", OBJECT_OF: "plan" }, {}] });
            assert_eq!(found(&schema, &json!("x")), ["/values x"], "{draft}");
        }
        let schema = json!({ "$id": "https://example.com/a", "anyOf": [{ OBJECT_OF: "plan" }] });
        assert_eq!(found(&schema, &json!("x")), ["/values x"]);
    }
}
