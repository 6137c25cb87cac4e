//! A qualifier says the same twice.

use std::collections::BTreeMap;

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use super::repeats;
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Op, Predicate, Qualifier};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-predicate-duplicate",
    severity: Severity::Warning,
    entity: "qualifier",
    stage: Stage::Graph,
    title: "a predicate repeats an earlier one",
    why: "All predicates must hold, so a repeated one changes nothing; most often one of the two was meant to be different.",
    help: "remove the predicate, or make it what it was meant to be",
    bad: &[
        (
            "schemas/context.schema.json",
            r#"{
  "type": "object",
  "properties": {
    "account": { "type": "object", "properties": { "plan": { "type": "string" } } }
  }
}
"#,
        ),
        (
            "qualifiers/pro.toml",
            r#"schema_version = 1

[[predicate]]
attribute = "account.plan"
op = "eq"
value = "pro"

[[predicate]]
attribute = "account.plan"
op = "eq"
value = "pro"
"#,
        ),
        (
            "variables/limit.toml",
            r#"schema_version = 1
type = "int"

[values]
small = 10
large = 50

[resolve]
default = "small"

[[resolve.rule]]
qualifier = "pro"
value = "large"
"#,
        ),
    ],
    good: &[
        (
            "schemas/context.schema.json",
            r#"{
  "type": "object",
  "properties": {
    "account": { "type": "object", "properties": { "plan": { "type": "string" } } }
  }
}
"#,
        ),
        (
            "qualifiers/pro.toml",
            r#"schema_version = 1

[[predicate]]
attribute = "account.plan"
op = "eq"
value = "pro"
"#,
        ),
        (
            "variables/limit.toml",
            r#"schema_version = 1
type = "int"

[values]
small = 10
large = 50

[resolve]
default = "small"

[[resolve.rule]]
qualifier = "pro"
value = "large"
"#,
        ),
    ],
    checks: &[Check::Qualifier(check)],
};

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    let comparisons =
        qualifier.predicates().iter().map(|predicate| (predicate.attribute.value(), predicate.op.value()));
    if !repeats(comparisons) {
        return;
    }
    let mut first = BTreeMap::new();
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(meaning) = meaning(predicate) else { continue };
        if let Some(earlier) = first.get(&meaning) {
            let message = "the predicate repeats an earlier one";
            let finding = Finding::new(Entity::predicate(id, index), path, Some(predicate.span), message);
            findings.add(finding.related(path, Some(*earlier), "the earlier predicate"));
        } else {
            first.insert(meaning, predicate.span);
        }
    }
}

/// A text that is the same for predicates that decide the same.
fn meaning(predicate: &Predicate) -> Option<String> {
    let (attribute, op) = (predicate.attribute.value()?, predicate.op.value()?);
    let operand = if predicate.operator() == Some(Op::Bucket) {
        format!("{:?} {:?}", predicate.range.as_ref()?.value, predicate.salt.value()?)
    } else {
        predicate.value.as_ref()?.value.to_string()
    };
    Some(format!("{attribute}\n{op}\n{operand}"))
}
