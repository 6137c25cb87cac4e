//! An object of a resource is not TOML, or holds what JSON cannot say.

use super::super::{Check, LintRule};
use crate::diagnostic::{Severity, Stage};
use crate::tree::DocumentKind;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/resource-object-parse-failed",
    severity: Severity::Error,
    entity: "resource_object",
    stage: Stage::Parse,
    title: "a resource object is not valid TOML",
    why: "Objects are handed to applications as JSON. A document that cannot be read, or that holds a date or an infinite number, has no JSON.",
    help: "correct the TOML at this place; a text stands in quotes, a date must be a string, a number must be finite",
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
            r#"seats = 1
reviewed = 2026-06-01
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
            r#"seats = 1
reviewed = "2026-06-01"
"#,
        ),
    ],
    checks: &[Check::Unreadable(DocumentKind::ResourceObject)],
};
