//! Nothing uses a qualifier.

use super::super::{Check, Finding, Findings, LintRule, References};
use crate::diagnostic::{Entity, Severity, Stage};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-unreferenced",
    severity: Severity::Warning,
    entity: "qualifier",
    stage: Stage::Graph,
    title: "nothing uses a qualifier",
    why: "It decides nothing, though a reader will think that it does.",
    help: "name it in a rule or in another qualifier, or remove the file",
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
    let referenced = references.referenced();
    for (number, (id, document)) in references.parsed.qualifiers.iter().enumerate() {
        let refers_to_itself = references.edges.get(number).is_some_and(|to| to.contains(&number));
        if document.content().is_some() && !referenced.contains(&number) && !refers_to_itself {
            let message = format!("nothing uses qualifier `{id}`");
            findings.add(Finding::new(Entity::qualifier(id), &document.path, None, message));
        }
    }
}
