//! The cost of a schema, counted before it is used.
//!
//! A schema of forty lines can require more checks than a machine does in a year: each `anyOf` that names the same
//! schema twice doubles them. So branches through references are counted first, and refused beyond a limit.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::{Map, Value};

/// A schema with at most this many parts, including those behind references, is cheap for any value.
const LITTLE: u64 = 2_000;

/// The most checks of one value.
pub(crate) const MAX_CHECKS: u64 = 1_000_000;

/// The greatest depth of nested checks, including references: each level needs stack in the program that follows it.
pub(super) const MAX_DEPTH: usize = 512;

/// The keywords of references.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// The bytes of a reference that are compared in one step.
const COMPARED: usize = 64;

/// The relation between the size of a value and the cost of checking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchemaCost {
    /// The cost is proportional to the value.
    Proportional,
    /// The cost must be counted for each value.
    PerValue,
    /// Reading the schema with everything behind its references already costs too much.
    Boundless,
}

impl SchemaCost {
    pub(crate) fn of(schema: &Value) -> Self {
        let targets = Targets::of(schema);
        if targets.steps > MAX_CHECKS {
            return Self::Boundless;
        }
        let mut parts =
            Parts { targets: &targets, weigh: &|_| 1, of_one_place: false, known: HashMap::new(), unclear: false };
        let count = parts.count(schema, Role::Schema, 0);
        match count {
            0..=LITTLE if !parts.unclear => Self::Proportional,
            0..=MAX_CHECKS => Self::PerValue,
            _ => Self::Boundless,
        }
    }
}

/// Returns the most that the parts of `schema` that apply to one place of a value weigh together, including those behind
/// references: of `properties`, only one applies.
pub(super) fn weight_at_a_place(schema: &Value, weigh: &dyn Fn(&Value) -> u64) -> u64 {
    let targets = Targets::of(schema);
    let mut parts = Parts { targets: &targets, weigh, of_one_place: true, known: HashMap::new(), unclear: false };
    parts.count(schema, Role::Schema, 0)
}

/// Returns the number of checks of `value` against `schema`. Counting stops a little above [`MAX_CHECKS`].
pub(crate) fn checks(schema: &Value, value: &Value) -> u64 {
    let targets = Targets::of(schema);
    let mut checks = CheckCounter { targets: &targets, known: HashMap::new(), names: Names::default(), steps: 0 };
    checks.count(schema, value, 0)
}

/// The possible targets of references.
pub(super) struct Targets<'s> {
    /// The whole schema, and the parts with their own address: the possible meanings of `#`.
    roots: Vec<&'s Value>,
    /// The parts with each name.
    anchors: HashMap<&'s str, Vec<&'s Value>>,
    /// The targets of the references in each part that has some, by its address.
    of_parts: HashMap<*const Map<String, Value>, Vec<&'s Value>>,
    /// The steps that finding the targets took: each reference may have as many as there are roots. If they exceed
    /// [`MAX_CHECKS`], the rest is not known.
    pub(super) steps: u64,
}

impl<'s> Targets<'s> {
    pub(super) fn of(schema: &'s Value) -> Self {
        let mut targets = Self { roots: vec![schema], anchors: HashMap::new(), of_parts: HashMap::new(), steps: 0 };
        let mut referring = Vec::new();
        let mut open = vec![schema];
        while let Some(next) = open.pop() {
            match next {
                Value::Object(members) => {
                    let text = |key: &str| members.get(key).and_then(Value::as_str);
                    if !std::ptr::eq(next, schema) && (text("$id").is_some() || text("id").is_some()) {
                        targets.roots.push(next);
                    }
                    for name in ["$anchor", "$dynamicAnchor"].into_iter().filter_map(text) {
                        targets.anchors.entry(name).or_default().push(next);
                    }
                    if REFERENCES.into_iter().any(|key| text(key).is_some()) {
                        referring.push(members);
                    }
                    open.extend(members.values());
                }
                Value::Array(items) => open.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        for members in referring {
            let texts = REFERENCES.into_iter().filter_map(|key| members.get(key)?.as_str());
            let meant = texts.flat_map(|text| targets.meant_by(text)).collect();
            targets.of_parts.insert(members, meant);
        }
        targets
    }

    /// Returns all possible targets of the references in `members`, a part of the schema.
    pub(super) fn named_by(&self, members: &Map<String, Value>) -> &[&'s Value] {
        self.of_parts.get(&std::ptr::from_ref(members)).map_or(&[], Vec::as_slice)
    }

    fn meant_by(&mut self, reference: &str) -> Vec<&'s Value> {
        let fragment = reference.split_once('#').map_or("", |(_, fragment)| fragment);
        let is_pointer = fragment.starts_with('/');
        let possible = if is_pointer || fragment.is_empty() {
            self.roots.as_slice()
        } else {
            self.anchors.get(fragment).map_or(&[][..], Vec::as_slice)
        };
        let compared = if is_pointer { fragment.len() / COMPARED } else { 0 };
        let steps = u64::try_from(possible.len().saturating_mul(1 + compared)).unwrap_or(u64::MAX);
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_CHECKS {
            return Vec::new();
        }
        if is_pointer {
            let pointer = percent_decoded(fragment);
            return possible.iter().filter_map(|root| root.pointer(&pointer)).collect();
        }
        possible.to_vec()
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The number of parts of a schema, including everything behind its references.
struct Parts<'s, 't> {
    targets: &'t Targets<'s>,
    /// The weight of one part.
    weigh: &'t dyn Fn(&Value) -> u64,
    /// True if of parts that apply to different places only the heaviest counts.
    of_one_place: bool,
    /// The counts by the address of the part; `None` while a part is being counted.
    known: HashMap<*const Value, Option<u64>>,
    /// True if the number of times that a part counts depends on the value.
    unclear: bool,
}

/// The meaning of the members of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Keywords.
    Schema,
    /// Schemas of different places.
    Properties,
    /// Other schemas or data by name.
    Named,
}

impl Role {
    /// The role of an object at a keyword.
    fn at(keyword: &str) -> Self {
        match keyword {
            "properties" => Self::Properties,
            "patternProperties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies" | "const" | "enum" => {
                Self::Named
            }
            _ => Self::Schema,
        }
    }
}

impl<'s> Parts<'s, '_> {
    fn count(&mut self, schema: &'s Value, role: Role, depth: usize) -> u64 {
        self.unclear |= depth > MAX_DEPTH;
        if self.unclear {
            return 0;
        }
        let below = match schema {
            Value::Object(members) => {
                let of_one_place = self.of_one_place && role == Role::Properties;
                let mut parts = 0_u64;
                for (key, part) in members {
                    let role = if role == Role::Schema { Role::at(key) } else { Role::Schema };
                    let more = self.count(part, role, depth + 1);
                    parts = if of_one_place { parts.max(more) } else { parts.saturating_add(more) };
                }
                let named = self.targets.named_by(members).iter();
                let named = named.fold(0, |sum: u64, to| sum.saturating_add(self.follow(to, depth + 1)));
                parts.saturating_add(named).saturating_mul(repeated(members))
            }
            Value::Array(items) => {
                items.iter().fold(0, |sum: u64, item| sum.saturating_add(self.count(item, role, depth + 1)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        };
        below.saturating_add((self.weigh)(schema))
    }

    fn follow(&mut self, target: &'s Value, depth: usize) -> u64 {
        match self.known.get(&std::ptr::from_ref(target)) {
            Some(Some(count)) => return *count,
            Some(None) => {
                self.unclear = true;
                return 0;
            }
            None => {}
        }
        self.known.insert(target, None);
        let count = self.count(target, Role::Schema, depth);
        self.known.insert(target, Some(count));
        count
    }
}

/// Returns the factor of the cost of the other keywords: an `unevaluated…` keyword applies them to the members again.
pub(super) fn repeated(members: &Map<String, Value>) -> u64 {
    let left_over = |key: &&str| members.contains_key(*key);
    if ["unevaluatedProperties", "unevaluatedItems"].iter().any(left_over) { 4 } else { 1 }
}

/// The names that were values of `propertyNames`, by the address of the key. They stay, so that no other value has their
/// address, and the work of each is known when it occurs again.
#[derive(Default)]
pub(super) struct Names(HashMap<*const u8, Rc<Value>>);

impl Names {
    pub(super) fn value_of(&mut self, key: &str) -> Rc<Value> {
        Rc::clone(self.0.entry(key.as_ptr()).or_insert_with(|| Rc::new(Value::from(key))))
    }
}

/// The checks that a value requires.
struct CheckCounter<'s, 't> {
    targets: &'t Targets<'s>,
    known: HashMap<(*const Value, *const Value), Option<u64>>,
    names: Names,
    /// The number of visited parts, which is limited as well.
    steps: u64,
}

impl<'s> CheckCounter<'s, '_> {
    fn count(&mut self, schema: &'s Value, value: &Value, depth: usize) -> u64 {
        self.steps += 1;
        if self.steps > MAX_CHECKS || depth > MAX_DEPTH {
            return MAX_CHECKS + 1;
        }
        let Value::Object(members) = schema else { return 1 };
        let depth = depth + 1;
        let mut sum = 0_u64;
        let mut add = |more: u64| {
            sum = sum.saturating_add(more);
            sum <= MAX_CHECKS
        };
        for to in self.targets.named_by(members) {
            if !add(self.follow(to, value, depth)) {
                return sum;
            }
        }
        for (key, part) in members {
            for (schema, value) in applied(key, part, value) {
                if !add(self.count(schema, value, depth)) {
                    return sum;
                }
            }
            if let ("propertyNames", Value::Object(members)) = (key.as_str(), value) {
                for name in members.keys() {
                    let name = self.names.value_of(name);
                    if !add(self.count(part, &name, depth)) {
                        return sum;
                    }
                }
            }
        }
        sum.saturating_mul(repeated(members)).saturating_add(1)
    }

    fn follow(&mut self, target: &'s Value, value: &Value, depth: usize) -> u64 {
        let key = (std::ptr::from_ref(target), std::ptr::from_ref(value));
        match self.known.get(&key) {
            Some(known) => return known.unwrap_or(0),
            None => self.known.insert(key, None),
        };
        let count = self.count(target, value, depth);
        self.known.insert(key, Some(count));
        count
    }
}

/// Returns the schemas that a keyword applies to the value or its members; rather too many than too few.
pub(super) fn applied<'a, 's: 'a, 'v: 'a>(
    key: &str,
    part: &'s Value,
    value: &'v Value,
) -> Box<dyn Iterator<Item = (&'s Value, &'v Value)> + 'a> {
    let list = || part.as_array().into_iter().flatten();
    let named = || part.as_object().into_iter().flat_map(Map::values);
    let members = || value.as_object().into_iter().flat_map(Map::values);
    let items = || value.as_array().into_iter().flatten();
    match key {
        "allOf" | "anyOf" | "oneOf" => Box::new(list().map(move |schema| (schema, value))),
        "not" | "if" | "then" | "else" => Box::new(std::iter::once((part, value))),
        "dependentSchemas" | "dependencies" => Box::new(named().map(move |schema| (schema, value))),
        "properties" => Box::new(
            part.as_object().into_iter().flatten().filter_map(move |(name, schema)| Some((schema, value.get(name)?))),
        ),
        "patternProperties" => Box::new(named().flat_map(move |schema| members().map(move |member| (schema, member)))),
        "additionalProperties" | "unevaluatedProperties" => Box::new(members().map(move |member| (part, member))),
        "items" | "additionalItems" | "prefixItems" | "contains" | "unevaluatedItems" if part.is_object() => {
            Box::new(items().map(move |item| (part, item)))
        }
        "items" | "prefixItems" => Box::new(list().zip(items())),
        "enum" => Box::new(list().map(move |schema| (schema, value))),
        _ => Box::new(std::iter::empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usual_schemas_are_cheap() {
        let plain = json!({ "type": "object", "properties": { "a": { "anyOf": [{ "$ref": "#/$defs/b" }, { "$ref": "#/$defs/b" }] } }, "$defs": { "b": { "minimum": 1 } } });
        assert_eq!(SchemaCost::of(&plain), SchemaCost::Proportional);
        assert_eq!(SchemaCost::of(&json!(true)), SchemaCost::Proportional);
        let tree = json!({ "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } });
        assert_eq!(SchemaCost::of(&tree), SchemaCost::PerValue);
        assert!(checks(&tree, &json!({ "left": { "left": {}, "right": {} } })) < 20);
    }

    #[test]
    fn each_way_to_write_a_reference_is_followed() {
        for reference in ["#", "#/%24defs/a~1b", "#name", "https://example.com/x#", "x.json"] {
            let schema =
                json!({ "$ref": reference, "$defs": { "a/b": { "$anchor": "name", "$ref": "#/$defs/a~1b" } } });
            assert_eq!(SchemaCost::of(&schema), SchemaCost::PerValue, "{reference}");
        }
        assert_eq!(SchemaCost::of(&json!({ "$ref": "#/nowhere", "const": { "a%": "%zz" } })), SchemaCost::Proportional);
    }

    #[test]
    fn many_references_with_many_meanings_are_counted_without_being_followed() {
        let list = |part: Value| vec![part; 5_000];
        let schema = |reference: &str| {
            let roots: Vec<Value> = (0..5_000).map(|n| json!({ "$id": format!("a{n}"), "$anchor": "name" })).collect();
            json!({ "enum": [roots, list(json!({ "$ref": reference }))] })
        };
        for reference in ["#/q", "#", "#name"] {
            assert_eq!(SchemaCost::of(&schema(reference)), SchemaCost::Boundless, "{reference}");
        }
        assert_ne!(SchemaCost::of(&schema("#other")), SchemaCost::Boundless);
        let long = json!({ "$ref": format!("#/{}", "q".repeat(100_000)) });
        assert_eq!(SchemaCost::of(&json!({ "enum": [schema("#other"), long] })), SchemaCost::Boundless);
    }

    #[test]
    fn each_name_is_one_value() {
        let value = json!({ "a": 1, "b": 2, "": { "": 3 } });
        let schema = json!({ "allOf": vec![json!({ "propertyNames": { "maxLength": 1 } }); 100] });
        let targets = Targets::of(&schema);
        let mut checks = CheckCounter { targets: &targets, known: HashMap::new(), names: Names::default(), steps: 0 };
        assert!(checks.count(&schema, &value, 0) > 300);
        assert_eq!(checks.names.0.len(), 3);
    }

    #[test]
    fn doubling_checks_are_counted_without_being_run() {
        let double = |levels: usize, keyword: &str| {
            let mut all: Map<String, Value> = (0..levels)
                .map(|level| {
                    let next = json!({ "$ref": format!("#/$defs/a{}", level + 1) });
                    (format!("a{level}"), json!({ keyword: [next, next] }))
                })
                .collect();
            all.insert(format!("a{levels}"), json!({ "type": "object" }));
            json!({ "$ref": "#/$defs/a0", "$defs": all })
        };
        assert!(checks(&double(10, "anyOf"), &json!(1)) < 10_000);
        assert!(checks(&double(100, "allOf"), &json!(1)) > MAX_CHECKS);
        assert_eq!(SchemaCost::of(&double(100, "allOf")), SchemaCost::Boundless);
        let recursive = json!({ "properties": { "v": { "oneOf": [{ "$ref": "#" }, { "$ref": "#" }] } } });
        let deep = |levels| (0..levels).fold(json!(1), |value, _| json!({ "v": value }));
        assert!(checks(&recursive, &deep(5)) < 1_000);
        assert!(checks(&recursive, &deep(60)) > MAX_CHECKS);
    }

    #[test]
    fn chains_of_references_have_an_end() {
        let mut all: Map<String, Value> =
            (0..10_000).map(|n| (format!("a{n}"), json!({ "$ref": format!("#/$defs/a{}", n + 1) }))).collect();
        all.insert("a10000".to_owned(), json!(true));
        let schema = json!({ "$ref": "#/$defs/a0", "$defs": all });
        assert_eq!(SchemaCost::of(&schema), SchemaCost::PerValue);
        assert!(checks(&schema, &json!(1)) > MAX_CHECKS);
    }
}
