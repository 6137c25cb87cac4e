//! A qualifier has no predicate.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Predicates, Qualifier};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-predicate-missing",
    severity: Severity::Error,
    entity: "qualifier",
    stage: Stage::Project,
    title: "a qualifier has no predicate",
    why: "A qualifier is true when all of its predicates are. Without any it would be true for everybody, which is hardly ever meant.",
    help: "add a [[predicate]] with `attribute`, `op`, and `value`",
    bad: &[(
        "qualifiers/pro.toml",
        r#"schema_version = 1
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
    let none = match &qualifier.predicates {
        Predicates::Missing => true,
        Predicates::List(predicates) => predicates.is_empty(),
        Predicates::Invalid(_) => false,
    };
    if none {
        let message = format!("qualifier `{id}` has no predicate");
        findings.add(Finding::new(Entity::qualifier(id), path, None, message));
    }
}
