//! A variable does not say what type it has.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{BadReference, Field, Primitive, Type, Variable};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-type-source",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Project,
    title: "a variable does not declare a usable type",
    why: "The type says what an application may rely on. A schema beside it is for variables of type `object`, whose values stand in the file.",
    help: "declare `type` as bool, int, number, string, list, object, or resource:<id>; keep `schema` for type object, relative to this file",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1

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

fn check(facts: &WorkspaceIndex<'_>, (id, path, variable): DocumentEntry<'_, Variable>, findings: &mut Findings<'_>) {
    let mut add = |span, key, message: String| {
        findings.add(Finding::new(Entity::variable(id), path, span, message).key(key));
    };
    match &variable.type_name {
        Field::Present(_) => {}
        Field::Invalid(span) => add(Some(*span), "type", "`type` must be a string".to_owned()),
        Field::Missing(_) => add(variable.type_name.span(), "type", format!("variable `{id}` must declare `type`")),
    }
    let is_object = variable.value_type() == Some(Type::Primitive(Primitive::Object));
    let fault = match (&variable.schema, facts.named_schema(path, &variable.schema)) {
        (Field::Missing(_), _) => return,
        _ if !is_object => "only a variable of type `object` has a `schema`".to_owned(),
        (Field::Invalid(_), _) => "`schema` must be a string".to_owned(),
        (_, Some(Err(BadReference::Outside))) => "`schema` must be a relative path inside the workspace".to_owned(),
        (_, Some(Err(BadReference::NotFound(target)))) => format!("there is no schema at {target}"),
        _ => return,
    };
    add(variable.schema.span(), "schema", fault);
}
