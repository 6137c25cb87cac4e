//! A predicate reads a qualifier that is not there.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use super::nearest;
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Qualifier;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-predicate-unknown-qualifier",
    severity: Severity::Error,
    entity: "qualifier",
    stage: Stage::Reference,
    title: "a predicate reads a qualifier that does not exist",
    why: "`qualifier.<id>` reads another qualifier of the workspace; one that is not there cannot be decided.",
    help: "create the qualifier, or correct the id after `qualifier.`",
    bad: &[
        (
            "qualifiers/pro.toml",
            r#"schema_version = 1

[[predicate]]
attribute = "qualifier.paid"
op = "eq"
value = true
"#,
        ),
        (
            "qualifiers/paying.toml",
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
            "qualifiers/pro.toml",
            r#"schema_version = 1

[[predicate]]
attribute = "qualifier.paying"
op = "eq"
value = true
"#,
        ),
        (
            "qualifiers/paying.toml",
            r#"schema_version = 1

[[predicate]]
attribute = "account.plan"
op = "eq"
value = "pro"
"#,
        ),
    ],
    checks: &[Check::Qualifier(check)],
};

fn check(facts: &WorkspaceIndex<'_>, (id, path, qualifier): DocumentEntry<'_, Qualifier>, findings: &mut Findings<'_>) {
    let known = &facts.parsed.qualifiers;
    for (index, predicate) in qualifier.predicates().iter().enumerate() {
        let Some(unknown) = predicate.qualifier_reference().filter(|id| !known.contains_key(id)) else { continue };
        let hint = nearest(unknown, known.keys().map(|id| &**id));
        let message = format!("there is no qualifier `{unknown}`{hint}");
        let span = predicate.attribute.span();
        findings.add(Finding::new(Entity::predicate(id, index), path, span, message).key("attribute"));
    }
}
