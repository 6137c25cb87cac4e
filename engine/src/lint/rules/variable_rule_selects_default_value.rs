//! A rule selects what would be selected anyway.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Variable;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-rule-selects-default-value",
    severity: Severity::Warning,
    entity: "rule",
    stage: Stage::Graph,
    title: "a rule selects the default",
    why: "It changes nothing unless a later rule would have matched, and then it is easily taken for a mistake.",
    help: "remove the rule, or select another value; to keep later rules from matching, exclude the case in their qualifiers",
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
value = "small"
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
    checks: &[Check::Variable(check)],
};

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let Some(default) = variable.default().and_then(|default| default.present()) else { return };
    for (index, rule) in variable.rules().iter().enumerate() {
        let Some(value) = rule.value.present().filter(|value| value.value == default.value) else { continue };
        let message = format!("the rule selects `{}`, which is the default", value.value);
        let finding = Finding::new(Entity::rule(id, index), path, Some(value.span), message);
        findings.add(finding.key("value").related(path, Some(default.span), "the default"));
    }
}
