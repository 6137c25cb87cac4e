//! A rule names a qualifier that is not there.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use super::nearest;
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Variable;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-rule-unknown-qualifier",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Reference,
    title: "a rule names a qualifier that does not exist",
    why: "A rule whose qualifier does not exist could never be decided.",
    help: "create the qualifier, or correct the id",
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
qualifier = "prof"
value = "large"
"#,
        ),
    ],
    good: &[
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

fn check(facts: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let known = &facts.parsed.qualifiers;
    for (index, rule) in variable.rules().iter().enumerate() {
        let Some(named) = rule.qualifier.present().filter(|named| !known.contains_key(&named.value)) else {
            continue;
        };
        let hint = nearest(&named.value, known.keys().map(|id| &**id));
        let message = format!("there is no qualifier `{}`{hint}", named.value);
        findings.add(Finding::new(Entity::rule(id, index), path, Some(named.span), message).key("qualifier"));
    }
}
