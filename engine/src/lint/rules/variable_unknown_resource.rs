//! A variable has the type of a resource that is not there.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use super::nearest;
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{Type, Variable};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-unknown-resource",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Reference,
    title: "a variable is of a resource that does not exist",
    why: "The objects of the resource are the values of the variable; without it there are none.",
    help: "create the resource, or correct the id after `resource:`",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "resource:plan"

[resolve]
default = "basic"
"#,
    )],
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

fn check(facts: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let known = &facts.parsed.resources;
    let Some(Type::Resource(resource)) = variable.value_type() else { return };
    if !known.contains_key(resource) {
        let hint = nearest(resource, known.keys().map(|id| &**id));
        let message = format!("there is no resource `{resource}`{hint}");
        findings.add(Finding::new(Entity::variable(id), path, variable.type_name.span(), message).key("type"));
    }
}
