//! A variable has no default.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Field, Resolve, Variable};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-resolve-missing-default",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Project,
    title: "a variable has no default",
    why: "When no rule matches, the default is the answer. With it, every context has one.",
    help: "add `default` to [resolve], with the key of a value",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"

[values]
small = 10

[resolve]
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
    let (span, message) = match &variable.resolve {
        Resolve::Missing => (None, format!("variable `{id}` has no [resolve]")),
        Resolve::Table { default: Field::Missing(span), .. } => {
            (*span, format!("[resolve] of `{id}` has no `default`"))
        }
        Resolve::Table { default: Field::Invalid(span), .. } => {
            (Some(*span), "`default` must be the key of a value, as a string".to_owned())
        }
        Resolve::Table { .. } | Resolve::Invalid(_) => return,
    };
    findings.add(Finding::new(Entity::variable(id), path, span, message).key("resolve.default"));
}
