//! A predicate has the same result whatever the context holds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diagnostic::Entity;
use crate::lint::bounds::{Bounds, PairBudget};
use crate::lint::workspace_index::{context_field, listed_values};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Op, Predicate, Qualifier};
use crate::value::number::equal;

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, qualifier): DocumentEntry<'_, Qualifier>,
    findings: &mut Findings<'_>,
) {
    let schema = workspace.context_schema().map(|schema| &schema.json);
    let mut bounds: BTreeMap<&str, Bounds<'_>> = BTreeMap::new();
    let mut budget = PairBudget::default();
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let (Some(attribute), Some(op)) = (predicate.attribute.value(), predicate.operator()) else { continue };
        let alone = if predicate.qualifier_reference().is_some() {
            of_a_qualifier(predicate, op)
        } else {
            let declared = schema.and_then(|schema| context_field(schema, attribute));
            of_a_list(predicate, op).or_else(|| outside_of_the_schema(predicate, op, declared?, &mut budget))
        };
        let message = match alone {
            Some(message) => message,
            None if bounds.entry(attribute).or_default().narrow(predicate, op, &mut budget) => {
                format!("no value of `{attribute}` meets this predicate and those before it")
            }
            None => continue,
        };
        let key = if op == Op::Bucket { "range" } else { "value" };
        findings.add(Finding::new(Entity::predicate(id, index), path, Some(predicate.span), message).key(key));
    }
}

/// A qualifier is true or false, so other comparisons have one result.
fn of_a_qualifier(predicate: &Predicate, op: Op) -> Option<String> {
    let value = predicate.value.as_ref().map(|value| &*value.value);
    match op {
        Op::Gt | Op::Gte | Op::Lt | Op::Lte => {
            Some(format!("`{}` orders numbers, and a qualifier is true or false: this always fails", op.name()))
        }
        Op::Bucket => {
            Some("`bucket` looks for an attribute `qualifier` in the context, and fails without it".to_owned())
        }
        Op::Eq if !value?.is_boolean() => Some("a qualifier is true or false: this is never true".to_owned()),
        Op::Neq if !value?.is_boolean() => Some("a qualifier is true or false: this is always true".to_owned()),
        Op::Eq | Op::Neq => None,
        Op::In | Op::NotIn => {
            let list = value?.as_array()?;
            let has = |wanted: bool| list.iter().any(|value| value.as_bool() == Some(wanted));
            of_a_list(predicate, op).or_else(|| match (has(true), has(false)) {
                (true, true) if op == Op::In => Some("a qualifier is true or false: this is always true".to_owned()),
                (true, true) => Some("a qualifier is true or false: this is never true".to_owned()),
                _ if list.iter().all(Value::is_boolean) => None,
                _ => Some("a qualifier is true or false, and is no other value of this list".to_owned()),
            })
        }
    }
}

fn of_a_list(predicate: &Predicate, op: Op) -> Option<String> {
    let list = predicate.value.as_ref()?.value.as_array()?;
    match op {
        Op::In if list.is_empty() => Some("nothing is in an empty list: this is never true".to_owned()),
        Op::NotIn if list.is_empty() => Some("nothing is in an empty list: this is always true".to_owned()),
        _ => None,
    }
}

/// A comparison with a value that the context schema does not allow.
fn outside_of_the_schema(predicate: &Predicate, op: Op, declared: &Value, budget: &mut PairBudget) -> Option<String> {
    let operand = &*predicate.value.as_ref()?.value;
    let allowed = listed_values(declared)?;
    let operands = match op {
        Op::Eq | Op::Neq => std::slice::from_ref(operand),
        Op::In | Op::NotIn => operand.as_array()?,
        Op::Gt | Op::Gte | Op::Lt | Op::Lte | Op::Bucket => return None,
    };
    budget.pairs(operands.len(), allowed.len())?;
    let is_allowed = |operand: &Value| allowed.iter().any(|one| equal(one, operand));
    let never = operands.iter().filter(|operand| !is_allowed(operand)).count();
    let result = match op {
        _ if never == 0 => return None,
        _ if never < operands.len() => "the context schema does not allow some values of this list",
        Op::Eq | Op::In => "the context schema does not allow what this compares with: it is never true",
        _ => "the context schema does not allow what this compares with: it is always true",
    };
    Some(result.to_owned())
}
