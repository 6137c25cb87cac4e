//! A predicate compares with a text that is not what it looks like.

use serde_json::Value;

use crate::diagnostic::Entity;
use crate::lint::bounds::PairBudget;
use crate::lint::similar::unseen;
use crate::lint::workspace_index::{context_field, listed_values};
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Op, Predicate, Qualifier};

pub(super) const CHECKS: &[Check] = &[Check::Qualifier(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, qualifier): DocumentEntry<'_, Qualifier>,
    findings: &mut Findings<'_>,
) {
    let schema = workspace.context_schema().map(|schema| &schema.json);
    let mut budget = PairBudget::default();
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let (Some(attribute), Some(value)) = (predicate.context_path(), &predicate.value) else { continue };
        // An author who writes a blank in the context schema, too, means it.
        let allowed = schema.and_then(|schema| listed_values(context_field(schema, attribute)?)).unwrap_or_default();
        if let Some(message) = fault(predicate, allowed, &mut budget) {
            findings.add(Finding::new(Entity::predicate(id, index), path, Some(value.span), message).key("value"));
        }
    }
}

/// The first text with a fault. The message does not quote it: it is a value of the context.
fn fault(predicate: &Predicate, allowed: &[Value], budget: &mut PairBudget) -> Option<String> {
    let operand = &*predicate.value.as_ref()?.value;
    let mut reason = |value: &Value| {
        let reason = unseen(value.as_str()?)?;
        budget.pairs(1, allowed.len())?;
        (!allowed.contains(value)).then_some(reason)
    };
    match predicate.operator()? {
        Op::Eq | Op::Neq => Some(format!("the text that this compares with {}", reason(operand)?)),
        Op::In | Op::NotIn => {
            let mut items = operand.as_array()?.iter().zip(1..);
            items.find_map(|(item, number)| Some(format!("item {number} of the list {}", reason(item)?)))
        }
        Op::Gt | Op::Gte | Op::Lt | Op::Lte | Op::Bucket => None,
    }
}
