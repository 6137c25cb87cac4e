//! A predicate reads something that the context schema does not declare.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use super::context_field;
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Qualifier;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/workspace-context-schema-attribute",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Reference,
    title: "a predicate reads an attribute that the context schema does not declare",
    why: "The context schema is the agreement with the application about what it sends. What is not in it may never arrive, and then nothing resolves.",
    help: "declare the attribute under `properties` of schemas/context.schema.json, or correct its spelling here",
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
attribute = "account.tier"
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

fn check(facts: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    let Some(schema) = facts.context_schema() else { return };
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(attribute) = predicate.context_path() else { continue };
        if context_field(&schema.json, attribute).is_none() {
            let message = format!("the context schema does not declare `{attribute}`");
            let span = predicate.attribute.span();
            findings.add(Finding::new(Entity::predicate(id, index), path, span, message).key("attribute"));
        }
    }
}
