//! A variable of a resource has values of its own.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Type, Values, Variable};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-values-disallowed",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Project,
    title: "a resource variable has values of its own",
    why: "The objects of the resource are the values. A second set in the variable would be ignored, and never checked against the schema.",
    help: "move each value to an object of the resource, and remove [values]",
    bad: &[
        (
            "resources/plan.toml",
            r#"schema_version = 1
schema = "../schemas/plan.schema.json"
"#,
        ),
        (
            "schemas/plan.schema.json",
            r#"{"type": "object", "properties": {"seats": {"type": "integer", "minimum": 1}}}
"#,
        ),
        (
            "resources/plan-objects/basic.toml",
            r#"seats = 5
"#,
        ),
        (
            "variables/limit.toml",
            r#"schema_version = 1
type = "resource:plan"

[resolve]
default = "basic"

[values]
basic = 5
"#,
        ),
    ],
    good: &[
        (
            "resources/plan.toml",
            r#"schema_version = 1
schema = "../schemas/plan.schema.json"
"#,
        ),
        (
            "schemas/plan.schema.json",
            r#"{"type": "object", "properties": {"seats": {"type": "integer", "minimum": 1}}}
"#,
        ),
        (
            "resources/plan-objects/basic.toml",
            r#"seats = 5
"#,
        ),
        (
            "variables/limit.toml",
            r#"schema_version = 1
type = "resource:plan"

[resolve]
default = "basic"
"#,
        ),
    ],
    checks: &[Check::Variable(check)],
};

fn check(_: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let Some(Type::Resource(resource)) = variable.value_type() else { return };
    let span = match &variable.values {
        Values::Table(span, values) if !values.is_empty() => *span,
        Values::Invalid(span) => *span,
        Values::Table(..) | Values::Missing => return,
    };
    let message = format!("the values of `{id}` are the objects of resource `{resource}`; [values] must go");
    findings.add(Finding::new(Entity::variable(id), path, Some(span), message).key("values"));
}
