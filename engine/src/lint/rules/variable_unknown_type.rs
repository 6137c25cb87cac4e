//! A variable has a type that does not exist.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Type, Variable};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-unknown-type",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Value,
    title: "a variable declares an unknown type",
    why: "The type says what an application may rely on; an unknown one promises nothing.",
    help: "use one of bool, int, number, string, list, object, or resource:<id>",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "integer"

[values]
small = 10

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
    if let Some(Type::Unknown(name)) = variable.value_type() {
        let message = format!("there is no type `{name}`");
        findings.add(Finding::new(Entity::variable(id), path, variable.type_name.span(), message).key("type"));
    }
}
