//! Qualifiers read the context, and nothing says what is in it.

use super::super::{Check, Finding, Findings, LintRule, References};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::CONTEXT_SCHEMA;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/workspace-context-schema-missing",
    severity: Severity::Warning,
    entity: "workspace",
    stage: Stage::Reference,
    title: "there is no context schema",
    why: "Without schemas/context.schema.json nobody notices before it runs that an application does not send what a qualifier reads.",
    help: "add schemas/context.schema.json; `rototo init --context` infers it from the qualifiers",
    bad: &[
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
    if references.parsed.schemas.contains_key(CONTEXT_SCHEMA) || references.has_early_errors {
        return;
    }
    let Some(manifest) = &references.parsed.manifest else { return };
    let referenced = references.referenced();
    for (number, (_, document)) in references.parsed.qualifiers.iter().enumerate() {
        let Some(qualifier) = document.content().filter(|_| referenced.contains(&number)) else { continue };
        let reader = qualifier.predicates().iter().find_map(|predicate| Some((predicate, predicate.context_path()?)));
        if let Some((predicate, attribute)) = reader {
            let message = format!("qualifiers read `{attribute}` and more, but there is no {CONTEXT_SCHEMA}");
            let finding = Finding::new(Entity::Manifest, &manifest.path, None, message);
            findings.add(finding.related(&document.path, predicate.attribute.span(), "read here"));
            return;
        }
    }
}
