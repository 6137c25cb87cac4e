//! A predicate compares in a way that does not exist.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Op, Qualifier};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-predicate-unknown-op",
    severity: Severity::Error,
    entity: "qualifier",
    stage: Stage::Project,
    title: "a predicate uses an unknown operator",
    why: "An operator that no engine knows cannot be evaluated.",
    help: "use one of eq, neq, in, not_in, gt, gte, lt, lte, bucket",
    bad: &[(
        "qualifiers/pro.toml",
        r#"schema_version = 1

[[predicate]]
attribute = "account.plan"
op = "equals"
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
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(op) = predicate.op.present().filter(|op| Op::named(&op.value).is_none()) else { continue };
        let message = format!("there is no operator `{}`", op.value);
        findings.add(Finding::new(Entity::predicate(id, index), path, Some(op.span), message).key("op"));
    }
}
