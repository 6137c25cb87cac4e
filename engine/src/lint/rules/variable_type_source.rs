//! A variable does not declare its type.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{BadReference, Field, Primitive, Type, Variable};

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    let mut add = |span, key, message: String| {
        findings.add(Finding::new(Entity::variable(id), path, span, message).key(key));
    };
    match &variable.type_name {
        Field::Present(_) => {}
        Field::Invalid(span) => add(Some(*span), "type", "`type` must be a string".to_owned()),
        Field::Missing(_) => add(variable.type_name.span(), "type", format!("variable `{id}` must declare `type`")),
    }
    let is_object = variable.value_type() == Some(Type::Primitive(Primitive::Object));
    let fault = match (&variable.schema, workspace.named_schema(path, &variable.schema)) {
        (Field::Missing(_), _) => return,
        _ if !is_object => "only a variable of type `object` has a `schema`".to_owned(),
        (Field::Invalid(_), _) => "`schema` must be a string".to_owned(),
        (_, Some(Err(BadReference::Outside))) => "`schema` must be a relative path inside the workspace".to_owned(),
        (_, Some(Err(BadReference::NotFound(target)))) => format!("there is no schema at {target}"),
        _ => return,
    };
    add(variable.schema.span(), "schema", fault);
}
