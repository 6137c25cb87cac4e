//! A value of a variable is not of its type, or not as its schema says.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{PathStep, Type, Variable};
use crate::violation::Violation;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-value-type-mismatch",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Value,
    title: "a value does not match the type of its variable",
    why: "Applications read the variable as its type says. A value of another type would fail in every process that is handed it.",
    help: "change the value to fit the type and the schema of the variable",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"

[values]
small = "10"

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

fn check(facts: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let Some(Type::Primitive(primitive)) = variable.value_type() else { return };
    let schema = facts.named_schema(path, &variable.schema).and_then(Result::ok);
    let schema = schema.and_then(|schema| schema.content());
    for (key, named) in variable.inline_values() {
        if !primitive.admits(&named.value) {
            let message = format!("`{key}` must be of type {}", primitive.name());
            let finding = Finding::new(Entity::value(id, key), path, Some(named.span), message);
            findings.add(finding.key(format!("values.{key}")));
            continue;
        }
        let Some(schema) = schema else { continue };
        for mut violation in Violation::all(schema, &named.value) {
            violation.steps.splice(0..0, [PathStep::Key("values".to_owned()), PathStep::Key(key.to_string())]);
            let span = findings.place(path, &violation.steps).or(Some(named.span));
            let message = format!("`{key}` does not match its schema: {}", violation.message);
            findings.add(Finding::new(Entity::value(id, key), path, span, message).key(violation.key()));
        }
    }
}
