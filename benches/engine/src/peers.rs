//! The same decisions in other engines, each written as its users would write them. Contexts and rules are built before
//! the measurement.
//!
//! None of these engines has qualifiers, which are conditions with a name, so the conditions are in the rules. Each
//! engine below lists its other differences.

use std::collections::HashMap;
use std::sync::Arc;

use bumpalo::Bump;
use cel::{Context as CelContext, Env, Program};
use datalogic_rs::operator::EvalContext;
use datalogic_rs::{ArenaExt, CustomOperator, DataValue, Engine, Logic};
use foldhash::fast::FixedState;
use serde_json::{Value, json};
use unleash_types::client_features::ClientFeatures;
use unleash_yggdrasil::{EngineState, UpdateMessage};

use crate::baseline::{bucket_of, salted};
use crate::shapes;

/// Returns the operator and the value of a comparison.
fn parts(comparison: &str) -> (&str, Value) {
    let (op, value) = comparison.split_once('\n').unwrap();
    let op = op.strip_prefix("op = \"").unwrap().strip_suffix('"').unwrap();
    (op, serde_json::from_str(value.strip_prefix("value = ").unwrap()).unwrap())
}

/// Returns the state of the hash after the salt, and the range, of each qualifier. Our buckets keep the same.
fn buckets() -> Arc<[(u64, u64, u64)]> {
    let bucket = |number| {
        let (_, salt, (start, end)) = shapes::parts(number);
        (salted(&salt), u64::from(start), u64::from(end))
    };
    (0..shapes::QUALIFIERS).map(bucket).collect()
}

/// `unleash-yggdrasil`: a flag with five strategies, each with two constraints and a gradual rollout. The variant says
/// which one matched. The context is a flat map of texts. The rollout hashes with murmur3 into 100 groups, so it is all
/// or nothing here. A chosen variant costs one more hash and is returned as a copy.
pub struct Yggdrasil {
    engine: EngineState,
    context: unleash_types::client_features::Context,
}

impl Yggdrasil {
    pub fn new(variables: usize, facts: &Value) -> Self {
        let strategy = |rule: usize, qualifier: usize| {
            let (comparisons, salt, _) = shapes::parts(qualifier);
            let rollout = if shapes::holds(qualifier) { "100" } else { "0" };
            json!({
                "name": "flexibleRollout",
                "constraints": comparisons.map(|(attribute, comparison)| constraint(attribute, comparison)),
                "parameters": { "groupId": salt, "rollout": rollout, "stickiness": "account.id" },
                "variants": [{ "name": rule.to_string(), "weight": 1000, "stickiness": "account.id" }],
            })
        };
        let flag = |number: usize| {
            let rules = shapes::rules(number);
            let strategies: Vec<_> =
                rules.into_iter().enumerate().map(|(rule, qualifier)| strategy(rule, qualifier)).collect();
            json!({ "name": format!("v{number:05}"), "enabled": true, "strategies": strategies })
        };
        let features: Vec<Value> = (0..variables).map(flag).collect();
        let features: ClientFeatures = serde_json::from_value(json!({ "version": 2, "features": features })).unwrap();
        let engine = EngineState::default();
        assert!(engine.take_state(UpdateMessage::FullResponse(features)).is_none_or(|warnings| warnings.is_empty()));
        let mut properties = HashMap::new();
        flatten(facts, String::new(), &mut properties);
        let context = unleash_types::client_features::Context { properties: Some(properties), ..Default::default() };
        Self { engine, context }
    }

    /// Returns the number of the rule that matched, from 0, or 5 if none did.
    pub fn decide(&self, id: &str) -> Value {
        let variant = self.engine.get_variant(id, &self.context, &None);
        if variant.enabled { variant.name.parse::<i64>().unwrap().into() } else { 5.into() }
    }

    pub fn resolve(&self, id: &str) {
        std::hint::black_box(self.engine.get_variant(id, &self.context, &None));
    }
}

fn flatten(value: &Value, path: String, into: &mut HashMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flatten(value, if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, into);
            }
        }
        Value::String(text) => drop(into.insert(path, text.clone())),
        other => drop(into.insert(path, other.to_string())),
    }
}

fn constraint(attribute: &str, comparison: &str) -> Value {
    let (op, value) = parts(comparison);
    let (operator, inverted) = match op {
        "eq" | "in" => ("IN", false),
        "neq" | "not_in" => ("NOT_IN", false),
        "gt" => ("NUM_GT", false),
        "gte" => ("NUM_GTE", false),
        _ => ("NUM_LT", false),
    };
    let mut constraint = json!({ "contextName": attribute, "operator": operator, "inverted": inverted });
    match value {
        Value::Number(number) => constraint["value"] = number.to_string().into(),
        Value::Array(values) => constraint["values"] = values.into(),
        text => constraint["values"] = json!([text]),
    }
    constraint
}

/// `datalogic-rs`: `if` with five conditions in a row, and a custom operator for the bucket with the same hash. A map
/// has one rule for each variable. The context is already in its arena, and the arena is emptied between decisions.
pub struct Datalogic {
    engine: Engine,
    rules: HashMap<String, Logic, FixedState>,
    facts: String,
}

struct Bucket(Arc<[(u64, u64, u64)]>);

impl CustomOperator for Bucket {
    fn evaluate<'a>(
        &self,
        arguments: &[&'a DataValue<'a>],
        _: &mut EvalContext<'_, 'a>,
        arena: &'a Bump,
    ) -> datalogic_rs::Result<&'a DataValue<'a>> {
        let (text, number) = (arguments[0].as_str().unwrap(), arguments[1].as_i64().unwrap());
        let (salted, start, end) = self.0[usize::try_from(number).unwrap()];
        Ok(arena.bool((start..end).contains(&bucket_of(salted, text))))
    }
}

impl Datalogic {
    pub fn new(variables: usize, facts: &Value) -> Self {
        let engine = Engine::builder().add_operator("bucket", Bucket(buckets())).build();
        let rule = |number: usize| {
            let mut rule: Vec<Value> = Vec::new();
            for (place, qualifier) in shapes::rules(number).into_iter().enumerate() {
                let (comparisons, ..) = shapes::parts(qualifier);
                let [one, two] = comparisons.map(|(attribute, comparison)| json_logic(attribute, comparison));
                let bucket = json!({ "bucket": [{ "var": "account.id" }, qualifier] });
                rule.extend([json!({ "and": [one, two, bucket] }), place.into()]);
            }
            rule.push(5.into());
            (format!("v{number:05}"), engine.compile(json!({ "if": rule }).to_string().as_str()).unwrap())
        };
        let rules = (0..variables).map(rule).collect();
        Self { engine, rules, facts: facts.to_string() }
    }

    /// Calls `with` with a function that decides on attributes that were read once.
    pub fn with<T>(&self, with: impl FnOnce(&dyn Fn(&str) -> i64) -> T) -> T {
        let held = Bump::new();
        let facts: &DataValue<'_> = held.alloc(DataValue::from_str(&self.facts, &held).unwrap());
        let arena = std::cell::RefCell::new(Bump::new());
        with(&|id| {
            let number = {
                let arena = arena.borrow();
                self.engine.evaluate(&self.rules[id], facts, &arena).unwrap().as_i64().unwrap()
            };
            arena.borrow_mut().reset();
            number
        })
    }
}

fn json_logic(attribute: &str, comparison: &str) -> Value {
    let (op, value) = parts(comparison);
    let attribute = json!({ "var": attribute });
    match op {
        "eq" => json!({ "===": [attribute, value] }),
        "neq" => json!({ "!==": [attribute, value] }),
        "in" => json!({ "in": [attribute, value] }),
        "not_in" => json!({ "!": [{ "in": [attribute, value] }] }),
        "gt" => json!({ ">": [attribute, value] }),
        "gte" => json!({ ">=": [attribute, value] }),
        _ => json!({ "<": [attribute, value] }),
    }
}

/// `cel`: a chain of `? :`, and a custom function for the bucket with the same hash. A map has one program for each
/// variable.
pub struct Cel {
    programs: HashMap<String, Program, FixedState>,
    context: CelContext<'static, 'static>,
}

impl Cel {
    pub fn new(variables: usize, facts: &Value) -> Self {
        let mut context = CelContext::with_env(Arc::new(Env::stdlib()));
        for (name, value) in facts.as_object().unwrap() {
            context.add_variable_from_value(name.as_str(), cel_value(value));
        }
        let buckets = buckets();
        let bucket = move |text: Arc<String>, number: i64| {
            let (salted, start, end) = buckets[usize::try_from(number).unwrap()];
            (start..end).contains(&bucket_of(salted, &text))
        };
        context.add_function("bucket", bucket).unwrap();
        let program = |number: usize| {
            let mut text = String::new();
            for (place, qualifier) in shapes::rules(number).into_iter().enumerate() {
                let (comparisons, ..) = shapes::parts(qualifier);
                let [one, two] = comparisons.map(|(attribute, comparison)| expression(attribute, comparison));
                text.push_str(&format!("{one} && {two} && bucket(account.id, {qualifier}) ? {place} : "));
            }
            (format!("v{number:05}"), Program::compile(&format!("{text}5")).unwrap())
        };
        Self { programs: (0..variables).map(program).collect(), context }
    }

    pub fn decide(&self, id: &str) -> i64 {
        match self.programs[id].execute(&self.context).unwrap() {
            cel::Value::Int(number) => number,
            other => panic!("{other:?}"),
        }
    }
}

fn cel_value(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(bool) => cel::Value::Bool(*bool),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => cel::Value::Int(integer),
            None => cel::Value::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(values) => cel::Value::List(Arc::new(values.iter().map(cel_value).collect())),
        Value::Object(map) => {
            let map: HashMap<String, cel::Value> =
                map.iter().map(|(key, value)| (key.clone(), cel_value(value))).collect();
            map.into()
        }
    }
}

fn expression(attribute: &str, comparison: &str) -> String {
    let (op, value) = parts(comparison);
    match op {
        "eq" => format!("{attribute} == {value}"),
        "neq" => format!("{attribute} != {value}"),
        "in" => format!("{attribute} in {value}"),
        "not_in" => format!("!({attribute} in {value})"),
        "gt" => format!("{attribute} > {value}"),
        "gte" => format!("{attribute} >= {value}"),
        _ => format!("{attribute} < {value}"),
    }
}
