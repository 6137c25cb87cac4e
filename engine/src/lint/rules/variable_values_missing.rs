//! A variable has no values.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Type, Values, Variable};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-values-missing",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Project,
    title: "a variable has no values",
    why: "A variable chooses between named values. Without any there is nothing to choose.",
    help: "add a [values] table with at least one entry, such as `standard = 10`",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"

[resolve]
default = "small"
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
    if let Some(Type::Resource(_)) = variable.value_type() {
        return;
    }
    let (span, message) = match &variable.values {
        Values::Missing => (None, format!("variable `{id}` has no [values]")),
        Values::Table(span, values) if values.is_empty() => (Some(*span), format!("[values] of `{id}` is empty")),
        Values::Invalid(span) => (Some(*span), "`values` must be a table".to_owned()),
        Values::Table(..) => return,
    };
    findings.add(Finding::new(Entity::variable(id), path, span, message).key("values"));
}
