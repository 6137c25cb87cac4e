//! `resolve` is no table.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Resolve, Variable};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-resolve-shape",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Project,
    title: "`resolve` of a variable is not a table",
    why: "[resolve] holds the default and the rules; anything else says neither.",
    help: "write a [resolve] table with `default`, and [[resolve.rule]] tables below it",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"
resolve = "small"

[values]
small = 10

"#,
    )],
    good: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"

[values]
small = 10

[resolve]
default = "small"
"#,
    )],
    checks: &[Check::Variable(check)],
};

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    if let Resolve::Invalid(span) = variable.resolve {
        let message = "`resolve` must be a table";
        findings.add(Finding::new(Entity::variable(id), path, Some(span), message).key("resolve"));
    }
}
