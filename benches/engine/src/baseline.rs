//! The minimum that no engine can beat by much: the same decision written by hand, with the same guard, lookup, and
//! context.

use std::collections::HashMap;

use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use serde_json::Value;

use crate::shapes;

pub struct Baseline(ArcSwap<HashMap<String, Variable, FixedState>>);

pub struct Variable {
    rules: Vec<[Predicate; 3]>,
    values: Vec<Value>,
}

struct Predicate {
    path: usize,
    segments: Vec<String>,
    test: Test,
}

enum Test {
    Is(String, bool),
    OneOf(Vec<String>, bool),
    Order(f64, fn(f64, f64) -> bool),
    Bucket(u64, u64, u64),
}

const PRIME: u64 = 1_099_511_628_211;

impl Baseline {
    pub fn new(variables: usize) -> Self {
        let variable = |number: usize| {
            let rules = shapes::rules(number).iter().map(|qualifier| predicates(*qualifier)).collect();
            let values = (0..6).map(Value::from).collect();
            (format!("v{number:05}"), Variable { rules, values })
        };
        Self(ArcSwap::from_pointee((0..variables).map(variable).collect()))
    }

    pub fn resolve<T>(&self, id: &str, context: &Value, read: impl FnOnce(&Value) -> T) -> T {
        let current = self.0.load();
        let variable = &current[id];
        let mut known = [None; 16];
        let matching = variable.rules.iter().position(|rule| rule.iter().all(|one| one.holds(context, &mut known)));
        read(&variable.values[matching.unwrap_or(5)])
    }
}

impl Predicate {
    fn holds<'c>(&self, context: &'c Value, known: &mut [Option<&'c Value>; 16]) -> bool {
        let read = || self.segments.iter().try_fold(context, |value, segment| value.as_object()?.get(segment));
        let value = match known[self.path] {
            Some(value) => value,
            None => *known[self.path].insert(read().unwrap()),
        };
        match &self.test {
            Test::Is(expected, wanted) => (value.as_str() == Some(expected)) == *wanted,
            Test::OneOf(all, wanted) => all.iter().any(|one| value.as_str() == Some(one)) == *wanted,
            Test::Order(than, holds) => holds(value.as_f64().unwrap(), *than),
            Test::Bucket(salted, start, end) => {
                let text = value.as_str().unwrap();
                (*start..*end).contains(&bucket_of(*salted, text))
            }
        }
    }
}

/// Returns the state of the hash after a salt and its colon.
pub fn salted(salt: &str) -> u64 {
    hash(14_695_981_039_346_656_037, &format!("{salt}:"))
}

#[inline]
pub fn bucket_of(salted: u64, text: &str) -> u64 {
    hash(salted, text) % 10_000
}

#[inline]
fn hash(from: u64, text: &str) -> u64 {
    text.bytes().fold(from, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

fn predicates(qualifier: usize) -> [Predicate; 3] {
    let (comparisons, salt, (start, end)) = shapes::parts(qualifier);
    let salted = salted(&salt);
    let [one, two] = comparisons.map(|(attribute, comparison)| predicate(attribute, test(comparison)));
    [one, two, predicate("account.id", Test::Bucket(salted, start.into(), end.into()))]
}

fn predicate(attribute: &str, test: Test) -> Predicate {
    const PATHS: &[&str] = &[
        "account.id",
        "account.plan",
        "account.region.code",
        "account.seats",
        "account.region.tier",
        "user.role",
        "user.age_days",
        "user.client.os",
        "user.client.version",
        "request.path",
        "service.queue.pressure",
    ];
    let path = PATHS.iter().position(|path| *path == attribute).unwrap();
    Predicate { path, segments: attribute.split('.').map(str::to_owned).collect(), test }
}

fn test(comparison: &str) -> Test {
    let (op, value) = comparison.split_once('\n').unwrap();
    let value: Value = serde_json::from_str(value.strip_prefix("value = ").unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match op {
        "op = \"eq\"" => Test::Is(text(&value), true),
        "op = \"neq\"" => Test::Is(text(&value), false),
        "op = \"in\"" => Test::OneOf(value.as_array().unwrap().iter().map(text).collect(), true),
        "op = \"not_in\"" => Test::OneOf(value.as_array().unwrap().iter().map(text).collect(), false),
        "op = \"gt\"" => Test::Order(value.as_f64().unwrap(), |a, b| a > b),
        "op = \"gte\"" => Test::Order(value.as_f64().unwrap(), |a, b| a >= b),
        _ => Test::Order(value.as_f64().unwrap(), |a, b| a < b),
    }
}
