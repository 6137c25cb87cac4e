//! A variable does not say that it is written in version 1.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::Variable;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-schema-version",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Project,
    title: "a variable does not declare `schema_version = 1`",
    why: "The version tells a reader how to understand the document. A reader that guesses would resolve something that nobody reviewed.",
    help: "write `schema_version = 1` at the top of the file",
    bad: &[(
        "variables/limit.toml",
        r#"type = "int"

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
    if variable.schema_version.value() != Some(&1) {
        let message = format!("variable `{id}` must declare `schema_version = 1`");
        let span = variable.schema_version.span();
        findings.add(Finding::new(Entity::variable(id), path, span, message).key("schema_version"));
    }
}
