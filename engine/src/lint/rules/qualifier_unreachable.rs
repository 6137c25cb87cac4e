//! A qualifier is used, but only by qualifiers that nothing uses.

use super::super::{Check, Finding, Findings, LintRule, References};
use crate::diagnostic::{Entity, Severity, Stage};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-unreachable",
    severity: Severity::Warning,
    entity: "qualifier",
    stage: Stage::Graph,
    title: "a qualifier cannot take part in any resolution",
    why: "Only qualifiers that lead to a rule of a variable decide anything. This one looks as if it did.",
    help: "name it, or one that refers to it, in a rule; or remove the file",
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
"#,
        ),
        (
            "qualifiers/old.toml",
            r#"schema_version = 1

[[predicate]]
attribute = "qualifier.pro"
op = "eq"
value = true
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
    checks: &[Check::References(check)],
};

fn check(references: &References<'_>, findings: &mut Findings<'_>) {
    let (referenced, reachable) = (references.referenced(), references.reachable());
    let broken = references.qualifiers_with_errors(findings);
    for (number, (id, document)) in references.parsed.qualifiers.iter().enumerate() {
        let unreachable = referenced.contains(&number) && !reachable.contains(&number);
        if unreachable && document.content().is_some() && !broken.contains(&**id) {
            let message = format!("no rule of any variable leads to qualifier `{id}`");
            findings.add(Finding::new(Entity::qualifier(id), &document.path, None, message));
        }
    }
}
