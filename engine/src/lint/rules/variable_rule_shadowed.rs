//! A rule never matches, because an earlier one has the same qualifier.

use std::collections::BTreeMap;

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use super::repeats;
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Variable;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-rule-shadowed",
    severity: Severity::Warning,
    entity: "rule",
    stage: Stage::Graph,
    title: "a rule can never match",
    why: "The first rule whose qualifier is true wins, so a second one with the same qualifier is never reached.",
    help: "remove the rule, or give it another qualifier",
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
value = "large"

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
    if !repeats(variable.rules().iter().filter_map(|rule| rule.qualifier.value())) {
        return;
    }
    let mut first = BTreeMap::new();
    for (index, rule) in variable.rules().iter().enumerate() {
        let Some(qualifier) = rule.qualifier.present() else { continue };
        if let Some(earlier) = first.get(&qualifier.value) {
            let message = format!("an earlier rule already decides for qualifier `{}`", qualifier.value);
            let finding = Finding::new(Entity::rule(id, index), path, Some(qualifier.span), message);
            findings.add(finding.key("qualifier").related(path, Some(*earlier), "the earlier rule"));
        } else {
            first.insert(&qualifier.value, qualifier.span);
        }
    }
}
