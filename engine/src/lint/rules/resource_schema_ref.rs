//! A resource names no schema, or one that does not exist.

use crate::diagnostic::Entity;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{BadReference, Field, Resource};

pub(super) const CHECKS: &[Check] = &[Check::Resource(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, resource): DocumentEntry<'_, Resource>,
    findings: &mut Findings<'_>,
) {
    let message = match (&resource.schema, workspace.named_schema(path, &resource.schema)) {
        (Field::Missing(_), _) => format!("resource `{id}` must name a `schema`"),
        (Field::Invalid(_), _) => "`schema` must be a string".to_owned(),
        (_, Some(Err(BadReference::Outside))) => "`schema` must be a relative path inside the workspace".to_owned(),
        (_, Some(Err(BadReference::NotFound(target)))) => format!("there is no schema at {target}"),
        (_, Some(Ok(_)) | None) => return,
    };
    findings.add(Finding::new(Entity::resource(id), path, resource.schema.span(), message).key("schema"));
}
