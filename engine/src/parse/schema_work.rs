//! The work of checking a value against a schema, estimated before it is done.
//!
//! Each check may be cheap, and all of them together may take hours: there are as many as parts of the schema times parts
//! of the value, and a pattern may take a millisecond for each string. The estimate depends on schema and value alone, so
//! that everybody who lints a workspace refuses the same ones.

use std::collections::HashMap;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::parse::Schema;
use crate::parse::lookaround::Lookaround;
use crate::parse::object_reference::OBJECT_OF;
use crate::parse::pattern::{active_states, each_pattern, patterns_in};
use crate::parse::schema_cost::{
    MAX_CHECKS, MAX_DEPTH, Names, SchemaCost, Targets, applied, checks, repeated, weight_at_a_place,
};

/// The work that each byte of a value may cause without being counted further. A unit is about 10 ns; a usual value causes
/// less than ten for a byte.
const FREE: u64 = 50;

/// The work of a check when it is counted, which takes more time than to do it.
const COUNTED: u64 = 4;

/// The bytes that are compared or counted in one unit.
const COMPARED: u64 = 64;

/// The states of a pattern that read a byte in one unit. The automaton of a pattern reads most strings a hundred times
/// faster, and some seven times slower.
const READ: u64 = 16;

/// The weight of a `format`.
const FORMAT: u64 = 8;

/// The work of `uniqueItems` for each part of the list: lists of up to 15 items are compared in pairs.
const UNIQUE: u64 = 8;

/// The work of a reference to an object, which is kept with its place: about 90 bytes.
const REFERENCE: u64 = 400;

/// The backtracking steps of a usual match. A match that takes more counts as one that takes all.
const FEW_BACKTRACKS: u32 = 100;

/// What is known of a schema before any value.
#[derive(Debug)]
pub(super) struct SchemaWork {
    /// The most work for each part of a value.
    checks: u64,
    /// The most weight of patterns for each byte of a value.
    patterns: u64,
    /// All patterns, by their text.
    by_text: HashMap<String, PatternWork>,
    /// True if a pattern backtracks.
    backtracks: bool,
    /// The parts of the document, and the steps that finding the targets of its references takes.
    nodes: u64,
}

/// What is known of a pattern before any string.
#[derive(Debug)]
enum PatternWork {
    /// The work for a byte is proportional to this weight.
    Linear(u64),
    Backtracking(Box<BacktrackingPattern>),
}

/// A pattern that backtracks.
#[derive(Debug)]
struct BacktrackingPattern {
    form: Lookaround,
    /// Matches with few backtracking steps; `None` if the pattern is not valid.
    few: Option<Validator>,
}

/// The size of a value.
#[derive(Clone, Copy, Debug, Default)]
struct ValueSize {
    nodes: u64,
    /// The bytes of all strings and keys.
    bytes: u64,
}

impl ValueSize {
    fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value);
        size
    }

    fn add(&mut self, value: &Value) {
        self.nodes += 1;
        match value {
            Value::String(text) => self.bytes += bytes(text),
            Value::Array(items) => items.iter().for_each(|item| self.add(item)),
            Value::Object(members) => {
                for (key, member) in members {
                    self.bytes += bytes(key);
                    self.add(member);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Returns the least number of bytes of a document that holds the value.
    fn in_document(self) -> u64 {
        self.bytes.saturating_add(self.nodes.saturating_mul(2))
    }
}

fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn len<T>(items: impl ExactSizeIterator<Item = T>) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

impl SchemaWork {
    pub(super) fn of(schema: &Value) -> Self {
        let mut by_text = HashMap::new();
        each_pattern(schema, &mut |pattern| {
            if !by_text.contains_key(pattern) {
                by_text.insert(pattern.to_owned(), PatternWork::of(pattern));
            }
        });
        Self {
            checks: weight_at_a_place(schema, &checks_of),
            patterns: weight_at_a_place(schema, &patterns_of),
            backtracks: by_text.values().any(|work| matches!(work, PatternWork::Backtracking(_))),
            by_text,
            nodes: ValueSize::of(schema).nodes.saturating_add(Targets::of(schema).steps),
        }
    }

    /// Returns an upper bound of the work for a value of that size, if no pattern backtracks and no reference recurs.
    fn most(&self, size: ValueSize) -> u64 {
        let checks = size.nodes.saturating_add(size.bytes / COMPARED).saturating_mul(self.checks);
        checks.saturating_add(size.bytes.saturating_add(size.nodes).saturating_mul(self.patterns) / READ)
    }

    /// Returns the work of matching a pattern with a string; above `limit`, without matching it.
    fn of_match(&self, pattern: &str, text: &str, limit: u64) -> u64 {
        let backtracking = match self.by_text.get(pattern) {
            Some(PatternWork::Backtracking(pattern)) => pattern,
            Some(PatternWork::Linear(weight)) => {
                // Finding what is known of a pattern reads the pattern.
                let states = bytes(text).saturating_add(1).saturating_mul(*weight);
                return 1 + states.saturating_add(bytes(pattern)) / READ;
            }
            None => return 1,
        };
        let few = bytes(pattern) / READ + backtracking.form.work(text.len(), FEW_BACKTRACKS.into());
        if few > limit || !backtracking.takes_many(text) {
            return few;
        }
        few.saturating_add(backtracking.form.work(text.len(), u64::from(super::schema::MAX_BACKTRACKS)))
    }
}

impl PatternWork {
    fn of(pattern: &str) -> Self {
        match Lookaround::of(pattern) {
            Some(form) => Self::Backtracking(Box::new(BacktrackingPattern::new(pattern, form))),
            None => Self::Linear(active_states(pattern)),
        }
    }
}

impl BacktrackingPattern {
    fn new(pattern: &str, form: Lookaround) -> Self {
        let backtracks = usize::try_from(FEW_BACKTRACKS).unwrap_or(usize::MAX);
        let options = PatternOptions::fancy_regex().backtrack_limit(backtracks);
        let schema = serde_json::json!({ "pattern": pattern });
        Self { form, few: jsonschema::options().with_pattern_options(options).offline().build(&schema).ok() }
    }

    /// Returns whether matching the text takes more than a few backtracking steps.
    fn takes_many(&self, text: &str) -> bool {
        let unfinished = |error: ValidationError<'_>| {
            !matches!(error.kind(), jsonschema::error::ValidationErrorKind::Pattern { .. })
        };
        self.few.as_ref().is_some_and(|few| few.validate(&Value::from(text)).is_err_and(unfinished))
    }
}

/// The checks of one part of a schema.
fn checks_of(part: &Value) -> u64 {
    let unique = part.get("uniqueItems").is_some_and(|unique| *unique == Value::Bool(true));
    let refers = part.get(OBJECT_OF).is_some_and(Value::is_string);
    1 + if unique { UNIQUE } else { 0 } + if refers { REFERENCE } else { 0 }
}

/// The weight of the patterns of one part of a schema. Those of `patternProperties` are matched again for
/// `additionalProperties`.
fn patterns_of(part: &Value) -> u64 {
    let Some(members) = part.as_object() else { return 0 };
    let weight = |pattern: &str| active_states(pattern).saturating_add(bytes(pattern));
    let patterns = patterns_in(members).fold(0, |sum: u64, pattern| sum.saturating_add(weight(pattern)));
    let times = if members.contains_key("patternProperties") { 2 } else { 1 };
    patterns.saturating_mul(times) + if members.contains_key("format") { FORMAT } else { 0 }
}

impl Schema {
    fn work(&self) -> &SchemaWork {
        self.work.get_or_init(|| SchemaWork::of(&self.json))
    }

    /// Returns the work of checking `value` beyond that which is usual for its size, a little above `limit` at most; none if
    /// the document is no schema.
    pub(crate) fn unusual_work(&self, value: &Value, limit: u64) -> u64 {
        let Some(cost) = self.cost() else { return 0 };
        let (work, size) = (self.work(), ValueSize::of(value));
        let free = size.in_document().saturating_mul(FREE);
        let recurs = cost != SchemaCost::Proportional;
        if !recurs && !work.backtracks && work.most(size) <= free {
            return 0;
        }
        // What follows looks for the targets of all references first.
        let targets = work.nodes / COUNTED;
        if recurs && checks(&self.json, value) > MAX_CHECKS {
            return targets.saturating_add(MAX_CHECKS * COUNTED).min(limit.saturating_add(1));
        }
        let limit = limit.saturating_add(free);
        let targets_of = Targets::of(&self.json);
        let mut counter = WorkCounter {
            work,
            targets: &targets_of,
            known: recurs.then(HashMap::new),
            names: Names::default(),
            sum: targets,
            limit,
        };
        counter.count(&self.json, value, 0);
        counter.sum.min(limit.saturating_add(1)).saturating_sub(free)
    }
}

/// Adds up the work of a value.
struct WorkCounter<'s, 't> {
    work: &'t SchemaWork,
    targets: &'t Targets<'s>,
    /// The work of each value at the target of a reference, if references recur; `None` while it is being counted.
    known: Option<HashMap<(*const Value, *const Value), Option<u64>>>,
    names: Names,
    sum: u64,
    limit: u64,
}

impl<'s> WorkCounter<'s, '_> {
    fn count(&mut self, schema: &'s Value, value: &Value, depth: usize) {
        self.sum = self.sum.saturating_add(COUNTED);
        let Value::Object(members) = schema else { return };
        if self.sum > self.limit || depth > MAX_DEPTH {
            return;
        }
        let (before, depth) = (self.sum, depth + 1);
        for to in self.targets.named_by(members) {
            self.follow(to, value, depth);
        }
        for (key, part) in members {
            let left = self.limit.saturating_sub(self.sum);
            self.sum = self.sum.saturating_add(self.own(key, part, value, left));
            for (schema, value) in applied(key, part, value).filter(|_| key != "enum") {
                self.count(schema, value, depth);
                if self.sum > self.limit {
                    return;
                }
            }
            if let ("propertyNames", Value::Object(members)) = (key.as_str(), value) {
                for name in members.keys() {
                    let name = self.names.value_of(name);
                    self.count(part, &name, depth);
                    if self.sum > self.limit {
                        return;
                    }
                }
            }
        }
        let more = self.sum.saturating_sub(before).saturating_mul(repeated(members) - 1);
        self.sum = self.sum.saturating_add(more);
    }

    fn follow(&mut self, target: &'s Value, value: &Value, depth: usize) {
        let key = (std::ptr::from_ref(target), std::ptr::from_ref(value));
        if let Some(known) = &mut self.known {
            if let Some(known) = known.get(&key) {
                self.sum = self.sum.saturating_add(known.unwrap_or(0));
                return;
            }
            known.insert(key, None);
        }
        let before = self.sum;
        self.count(target, value, depth);
        if let Some(known) = &mut self.known {
            known.insert(key, Some(self.sum.saturating_sub(before)));
        }
    }

    /// Returns the work of one keyword itself, without the schemas in it.
    fn own(&self, key: &str, part: &Value, value: &Value, limit: u64) -> u64 {
        match (key, part, value) {
            ("pattern", Value::String(pattern), Value::String(text)) => self.work.of_match(pattern, text, limit),
            ("patternProperties", Value::Object(patterns), Value::Object(members)) => {
                let mut sum = 0_u64;
                for (pattern, name) in
                    patterns.keys().flat_map(|pattern| members.keys().map(move |name| (pattern, name)))
                {
                    let left = limit.saturating_sub(sum);
                    sum = sum.saturating_add(self.work.of_match(pattern, name, left).saturating_mul(2));
                    if sum > limit {
                        break;
                    }
                }
                sum
            }
            (OBJECT_OF, Value::String(_), Value::String(_)) => REFERENCE,
            ("format", _, Value::String(text)) => 1 + bytes(text).saturating_mul(FORMAT) / READ,
            ("minLength" | "maxLength", _, Value::String(text)) => 1 + bytes(text) / COMPARED,
            ("uniqueItems", Value::Bool(true), Value::Array(_)) => {
                let ValueSize { nodes, bytes } = ValueSize::of(value);
                nodes.saturating_add(bytes / COMPARED).saturating_mul(UNIQUE)
            }
            ("enum" | "const" | "dependentRequired" | "dependencies", _, Value::Array(_) | Value::Object(_)) => {
                let ValueSize { nodes, bytes } = ValueSize::of(part);
                nodes.saturating_add(bytes / COMPARED)
            }
            ("enum", Value::Array(_), Value::String(text)) => len_of(part).saturating_add(bytes(text) / COMPARED),
            ("const", _, Value::String(text)) => 1 + bytes(text) / COMPARED,
            _ => len_of(part) / COUNTED,
        }
    }
}

/// The number of entries of a list or an object.
fn len_of(part: &Value) -> u64 {
    match part {
        Value::Array(items) => len(items.iter()),
        Value::Object(members) => len(members.iter()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    /// The most work of a workspace beyond what is usual.
    const MOST: u64 = 1_000_000_000;

    /// Returns the work of a value beyond what is usual for its size.
    fn unusual(schema: &Value, value: &Value) -> u64 {
        Schema::parse(schema.to_string().as_bytes()).unwrap().unusual_work(value, 100 * MOST)
    }

    fn list(count: usize, item: impl Fn(usize) -> Value) -> Value {
        Value::Array((0..count).map(item).collect())
    }

    const DNS_NAME: &str = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?){0,10}$";

    #[test]
    fn eight_megabytes_of_usual_objects_take_usual_work() {
        let fields: Map<String, Value> =
            (0..300).map(|n| (format!("field-{n}"), json!({ "type": "string" }))).collect();
        let schema = json!({ "type": "object", "properties": fields, "additionalProperties": false });
        let object = |from: usize| {
            (from..from + 20).map(|n| (format!("field-{}", n % 300), json!("a few words"))).collect::<Map<_, _>>()
        };
        assert_eq!(unusual(&json!({ "items": schema }), &list(20_000, |n| object(n).into())), 0);
        let kinds: Vec<Value> = (0..20)
            .map(|kind| {
                json!({ "properties": { "kind": { "const": kind }, "name": { "maxLength": 63 }, "weight": { "minimum": 0 } },
                    "required": ["kind", "name"], "additionalProperties": false })
            })
            .collect();
        let kind = |n: usize| json!({ "kind": n % 20, "name": "a few words", "weight": n });
        let work = unusual(&json!({ "items": { "oneOf": kinds } }), &list(160_000, kind));
        assert!(work < MOST / 2, "{work}");
    }

    #[test]
    fn eight_megabytes_of_strings_with_usual_patterns_are_below_the_limit() {
        let name = |n: usize| json!(format!("payments-{n}.eu-west.example.com"));
        for pattern in [DNS_NAME, r"^.{1,64}@.{1,255}$|^[a-z0-9.-]+$", r"^\p{L}[\p{L}\p{N}. -]{0,99}$", "^[a-z0-9.-]*$"]
        {
            let work = unusual(&json!({ "items": { "type": "string", "pattern": pattern } }), &list(200_000, name));
            assert!(work < MOST, "{pattern}: {work}");
        }
        let text = "A plan with all that a shop needs, for a month. ".repeat(32);
        for pattern in ["^[^<>]{1,2000}$", "^.{1,2000}$"] {
            let schema = json!({ "items": { "properties": { "description": { "pattern": pattern } } } });
            let work = unusual(&schema, &list(5_000, |_| json!({ "description": text })));
            assert!(work < MOST / 10, "{pattern}: {work}");
        }
        let zones = list(600, |n| json!(format!("Europe/City-{n}")));
        let zone = |n: usize| json!(format!("Europe/City-{}", n % 600));
        let work = unusual(&json!({ "items": { "enum": zones }, "uniqueItems": true }), &list(400_000, zone));
        assert!(work < MOST, "{work}");
    }

    #[test]
    fn fifty_thousand_strings_with_lookaheads_are_below_the_limit() {
        let patterns = [
            r"^(?=.*[a-z])(?=.*\d)[A-Za-z\d.-]{8,64}$",
            "^(?!-)[a-z0-9.-]{1,63}(?<!-)$",
            "^((?!--)[a-z0-9.-])*$",
            "^(?!.*[.][.])[a-z0-9.-]+$",
            "^(?!xn--).*$",
        ];
        let schema = json!({ "items": { "allOf": patterns.map(|pattern| json!({ "pattern": pattern })) } });
        // A fifth as many strings have a fifth of the work.
        let work = unusual(&schema, &list(10_000, |n| json!(format!("payments-{n}.eu-west"))));
        assert!(work < MOST / 5, "{work}");
        let text = list(2, |_| json!("MIIDazCCAlOgAwIBAgIUJ+".repeat(180)));
        let work = unusual(&json!({ "items": { "pattern": "^(?!.*[.][.])[A-Za-z0-9+]+$" } }), &text);
        assert!(work < MOST / 1_000, "{work}");
    }

    #[track_caller]
    fn check_unusual(schema: &Value, value: &Value, least: u64) {
        let work = unusual(schema, value);
        assert!(work > least, "{work}");
    }

    #[test]
    fn many_parts_times_many_values_are_counted() {
        let ints = list(1_000, |n| json!(n));
        let same = |part: Value| vec![part; 600];
        check_unusual(&json!({ "items": { "allOf": same(json!({ "not": { "minimum": 1e9 } })) } }), &ints, 1_000_000);
        check_unusual(&json!({ "contains": { "anyOf": same(json!({ "maximum": -1 })) } }), &ints, 1_000_000);
        let names: Map<String, Value> = (0..1_000).map(|n| (format!("n{n}"), json!(n))).collect();
        check_unusual(
            &json!({ "propertyNames": { "allOf": same(json!({ "minLength": 1 })) } }),
            &names.clone().into(),
            500_000,
        );
        let patterns: Map<String, Value> = (0..300).map(|n| (format!("^p{n}x[a-z]*$"), json!(true))).collect();
        check_unusual(&json!({ "patternProperties": patterns }), &names.clone().into(), 500_000);
        let constants = list(600, |n| json!([n, "a"]));
        check_unusual(&json!({ "items": { "enum": constants } }), &list(1_000, |_| json!([-1, "a"])), 500_000);
        check_unusual(&json!({ "allOf": same(json!({ "uniqueItems": true })) }), &ints, 1_000_000);
        let dependent: Map<String, Value> =
            (0..40).map(|n| (format!("n{n}"), list(40, |n| json!(format!("n{n}"))))).collect();
        let all = same(json!({}))[..30].iter().map(|_| json!({ "dependentRequired": dependent })).collect::<Vec<_>>();
        let few: Map<String, Value> = names.into_iter().take(40).collect();
        check_unusual(&json!({ "allOf": all }), &few.into(), 10_000);
        let resources: Vec<Value> = (0..600).map(|n| json!({ OBJECT_OF: format!("r{n}") })).collect();
        check_unusual(&json!({ "items": { "anyOf": resources } }), &list(5_000, |_| json!("")), MOST);
        // References that recur.
        let part = json!({ "items": { "allOf": vec![json!({ "$ref": "#/$defs/a" }); 100] }, "minItems": 0 });
        check_unusual(&json!({ "$ref": "#/$defs/a", "$defs": { "a": part } }), &json!([[[]], [], []]), 30_000);
    }

    #[test]
    fn heavy_patterns_times_long_strings_are_counted() {
        let heavy = json!({ "items": { "pattern": "^[ab]*a[ab]{20000}c" } });
        check_unusual(&heavy, &json!(["ab".repeat(1_000)]), 1_000_000);
        let formats = vec![json!({ "format": "regex" }); 600];
        check_unusual(&json!({ "allOf": formats }), &json!("a".repeat(10_000)), 1_000_000);
        let long = format!("^[{}]x", "a".repeat(10_000));
        check_unusual(&json!({ "items": { "pattern": long } }), &list(1_000, |_| json!("")), 400_000);
    }

    #[test]
    fn only_a_match_that_backtracks_counts_as_one() {
        let schema = json!({ "pattern": "^(?:a(?=.)|a(?=.))*b$" });
        let work = unusual(&schema, &json!("aab"));
        assert!(work < 1_000, "{work}");
        check_unusual(&schema, &json!("aaaaaaaaaaaa!"), 80_000);
        let both = json!({ "patternProperties": { "^(?:a(?=.)|a(?=.))*b$": true }, "propertyNames": schema });
        check_unusual(&both, &json!({ "aaaaaaaaaaaa!": 1 }), 200_000);
    }

    #[test]
    fn counting_ends_at_the_limit() {
        let schema = json!({ "items": { "allOf": vec![json!({ "pattern": "^(?:a(?=.)|a(?=.))*b$" }); 600] } });
        let schema = Schema::parse(schema.to_string().as_bytes()).unwrap();
        assert_eq!(schema.unusual_work(&list(29_000, |_| json!("aaaaaaaaaaaa!")), 1_000), 1_001);
    }
}
