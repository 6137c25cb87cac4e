//! A resource names no schema, or one that is not there.

use super::super::{Check, DocumentEntry, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};
use crate::parse::{BadReference, Field, Resource};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/resource-schema-ref",
    severity: Severity::Error,
    entity: "resource",
    stage: Stage::Reference,
    title: "a resource does not name a schema of the workspace",
    why: "The schema is what makes the objects of a resource safe to change in a hurry: lint refuses what an application would not understand.",
    help: "set `schema` to the path of a file in `schemas`, relative to this file, such as \"../schemas/plan.schema.json\"",
    bad: &[(
        "resources/plan.toml",
        r#"schema_version = 1
schema = "../schemas/plan.schema.json"
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
    ],
    checks: &[Check::Resource(check)],
};

fn check(facts: &WorkspaceIndex<'_>, (id, path, resource): DocumentEntry<'_, Resource>, findings: &mut Findings<'_>) {
    let message = match (&resource.schema, facts.named_schema(path, &resource.schema)) {
        (Field::Missing(_), _) => format!("resource `{id}` must name a `schema`"),
        (Field::Invalid(_), _) => "`schema` must be a string".to_owned(),
        (_, Some(Err(BadReference::Outside))) => "`schema` must be a relative path inside the workspace".to_owned(),
        (_, Some(Err(BadReference::NotFound(target)))) => format!("there is no schema at {target}"),
        (_, Some(Ok(_)) | None) => return,
    };
    findings.add(Finding::new(Entity::resource(id), path, resource.schema.span(), message).key("schema"));
}
