//! A qualifier does not say that it is written in version 1.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Qualifier;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-schema-version",
    severity: Severity::Error,
    entity: "qualifier",
    stage: Stage::Project,
    title: "a qualifier does not declare `schema_version = 1`",
    why: "The version tells a reader how to understand the document. A reader that guesses would resolve something that nobody reviewed.",
    help: "write `schema_version = 1` at the top of the file",
    bad: &[(
        "qualifiers/pro.toml",
        r#"[[predicate]]
attribute = "account.plan"
op = "eq"
value = "pro"
"#,
    )],
    good: &[(
        "qualifiers/pro.toml",
        r#"schema_version = 1

[[predicate]]
attribute = "account.plan"
op = "eq"
value = "pro"
"#,
    )],
    checks: &[Check::Qualifier(check)],
};

fn check(_: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    if qualifier.schema_version.value() != Some(&1) {
        let message = format!("qualifier `{id}` must declare `schema_version = 1`");
        let span = qualifier.schema_version.span();
        findings.add(Finding::new(Entity::qualifier(id), path, span, message).key("schema_version"));
    }
}
