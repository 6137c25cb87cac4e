//! The attributes of contexts: those that qualifiers read, and those that the context schema declares.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde_json::Value;

use crate::document::text::distance;
use crate::lint::similar::nearest;
use crate::parse::{CONTEXT_SCHEMA, Parse, Parsed, Qualifier};

/// Keywords whose schemas may declare further attributes.
const OPEN: [&str; 11] = [
    "$dynamicRef",
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "dependentSchemas",
    "if",
    "oneOf",
    "patternProperties",
    "then",
    "unevaluatedProperties",
];

/// The most bytes of a path that may be a suggestion. A schema may have names of a megabyte above many others.
const LONGEST: usize = 100;

/// The most names that are compared with one that is not known.
const MANY: usize = 1_000;

/// The attributes that a workspace knows.
pub(crate) struct ContextAttributes<'p> {
    read: BTreeSet<&'p str>,
    schema: Option<&'p Value>,
}

impl<'p> ContextAttributes<'p> {
    pub(crate) fn of(parsed: &'p Parsed) -> Self {
        let qualifiers = parsed.qualifiers.values().filter_map(Parse::content);
        let read = qualifiers.flat_map(Qualifier::predicates).filter_map(|predicate| predicate.context_path());
        let schema = parsed.schemas.get(CONTEXT_SCHEMA).and_then(Parse::content).map(|schema| &schema.json);
        Self { read: read.map(|path| &**path).collect(), schema }
    }

    /// Returns whether a qualifier reads the attribute, a part of it, or an object around it, or whether the context schema
    /// may declare it.
    pub(crate) fn knows<S: AsRef<str>>(&self, attribute: &[S]) -> bool {
        self.is_read(attribute) || self.schema.is_some_and(|schema| may_declare(schema, attribute))
    }

    fn is_read<S: AsRef<str>>(&self, attribute: &[S]) -> bool {
        // No path leads to a name with a dot.
        let plain = attribute.iter().map(AsRef::as_ref).take_while(|part| !part.contains('.'));
        let (mut path, mut count) = (String::new(), 0);
        for part in plain {
            path.push_str(part);
            if self.read.contains(&*path) {
                return true;
            }
            path.push('.');
            count += 1;
        }
        let mut inside = self.read.range::<str, _>((Bound::Included(&*path), Bound::Unbounded));
        count == attribute.len() && inside.next().is_some_and(|read| read.starts_with(&path))
    }

    /// Returns the attribute that is meant by a path that is not known.
    pub(crate) fn meant(&self, path: &str) -> Option<String> {
        let read = self.read.iter().take(MANY).map(|path| (*path).to_owned());
        meant(path, read.chain(self.schema.into_iter().flat_map(declared)))
    }
}

/// Returns whether a schema declares the attribute at these parts, or has keywords that are not followed and may declare it.
fn may_declare<S: AsRef<str>>(schema: &Value, parts: &[S]) -> bool {
    let Some((part, rest)) = parts.split_first() else { return true };
    let part = part.as_ref();
    if let Some(inner) = schema.get("properties").and_then(|properties| properties.get(part)) {
        // Below an attribute without declared parts, every part is as good as another.
        return rest.is_empty() || inner.get("properties").is_none() || may_declare(inner, rest);
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let is_required = required.take(MANY).any(|name| name == part);
    is_required || OPEN.iter().any(|keyword| schema.get(keyword).is_some_and(|inner| !inner.is_boolean()))
}

/// Returns the attribute of these that a wrong path means: one with slips in its parts, one of the same letters, or the only
/// one with the same last part.
pub(super) fn meant(path: &str, known: impl Iterator<Item = String>) -> Option<String> {
    if path.len() > LONGEST {
        return None;
    }
    let known: BTreeSet<String> = known.filter(|known| known.len() <= LONGEST && known != path).collect();
    let slips = known.iter().filter_map(|known| Some((slips(path, known)?, distance(path, known), known)));
    if let Some((_, _, near)) = slips.min() {
        return Some(near.clone());
    }
    let letters =
        |path: &str| path.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase();
    if let Some(same) = known.iter().find(|known| letters(known) == letters(path)) {
        return Some(same.clone());
    }
    let last = |path: &str| path.rsplit('.').next().map(str::to_owned);
    let mut same = known.iter().filter(|known| last(known) == last(path));
    same.next().filter(|_| same.next().is_none()).cloned()
}

/// Returns the number of parts in which two paths differ, if each of these is a slip. A slip in a long part is no reason to
/// take `account.os` for `account.id`.
fn slips(path: &str, known: &str) -> Option<usize> {
    let (parts, others) = (path.split('.'), known.split('.'));
    if parts.clone().count() != others.clone().count() {
        return None;
    }
    let mut pairs = parts.zip(others).filter(|(part, other)| part != other);
    pairs.try_fold(0, |count, (part, other)| nearest(part, std::iter::once(other)).map(|_| count + 1))
}

/// Returns the paths of the attributes that a schema declares, up to a limit.
pub(super) fn declared(schema: &Value) -> impl Iterator<Item = String> {
    let mut open = vec![(String::new(), schema)];
    let paths = std::iter::from_fn(move || {
        let (path, schema) = open.pop()?;
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let below = properties.map(|(name, schema)| (joined(&path, name), schema));
        // The last one is taken first.
        open.extend(below.filter(|(path, _)| path.len() <= LONGEST).collect::<Vec<_>>().into_iter().rev());
        Some(path)
    });
    paths.filter(|path| !path.is_empty()).take(MANY)
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tree, parse};
    use serde_json::json;

    fn parsed(schema: &Value) -> Parsed {
        let predicates = "predicate = [{ attribute = \"account.plan\", op = \"eq\", value = \"pro\" }, \
            { attribute = \"qualifier.other\", op = \"eq\", value = true }]";
        let files = [("qualifiers/pro.toml", predicates.to_owned()), (CONTEXT_SCHEMA, schema.to_string())];
        parse(files.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect::<Tree>())
    }

    #[test]
    fn an_attribute_is_known_if_it_is_read_or_may_be_declared() {
        let user = json!({ "properties": { "id": {}, "labels": { "type": "object" }, "tags": true } });
        let check = |more: (&str, Value), known: &[&str], unknown: &[&str]| {
            let mut schema = json!({ "additionalProperties": true, "properties": { "user": user } });
            schema[more.0] = more.1;
            let parsed = parsed(&schema);
            let attributes = ContextAttributes::of(&parsed);
            for (paths, expected) in [(known, true), (unknown, false)] {
                for path in paths {
                    let parts: Vec<&str> = path.split('.').collect();
                    assert_eq!(attributes.knows(&parts), expected, "{path} in {schema}");
                }
            }
        };
        let known = ["account", "account.plan", "account.plan.name", "user", "user.id", "user.labels.a", "user.tags.b"];
        let unknown = ["plan", "account.plna", "accounts.plan", "user.di", "qualifier.other", "tenant"];
        check(("title", json!("a")), &known, &unknown);
        check(("required", json!(["tenant"])), &["tenant"], &unknown[..5]);
        for keyword in ["$ref", "allOf", "patternProperties", "additionalProperties"] {
            check((keyword, json!({})), &unknown[..3], &["user.di"]);
        }
        assert!(!ContextAttributes::of(&Parsed::default()).knows(&["a"]));
    }

    #[test]
    fn the_attribute_that_is_meant_is_the_nearest_or_has_the_same_last_part() {
        let parsed = parsed(&json!({ "properties": { "user": { "properties": { "id": {}, "country": {} } } } }));
        let attributes = ContextAttributes::of(&parsed);
        for (path, meant) in [
            ("account.plna", Some("account.plan")),
            ("accountPlan", Some("account.plan")),
            ("plan", Some("account.plan")),
            ("customer.country", Some("user.country")),
            ("usr", Some("user")),
            ("user.ip", None),
            ("device.os", None),
        ] {
            assert_eq!(attributes.meant(path).as_deref(), meant, "{path}");
        }
        let long = "a".repeat(LONGEST + 1);
        assert_eq!(meant(&long, [format!("{long}b")].into_iter()), None);
        assert_eq!(declared(&json!({ "properties": { long: {} } })).count(), 0);
    }
}
