//! A resource is not TOML.

use super::super::{Check, LintRule};
use crate::diagnostic::{Severity, Stage};
use crate::tree::DocumentKind;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/resource-parse-failed",
    severity: Severity::Error,
    entity: "resource",
    stage: Stage::Parse,
    title: "a resource is not valid TOML",
    why: "A document that cannot be read decides nothing; publishing the rest would silently drop it.",
    help: "correct the TOML at this place; a text stands in quotes, a date must be a string, a number must be finite",
    bad: &[
        (
            "resources/plan.toml",
            r#"schema_version = 1
schema "../schemas/plan.schema.json"
"#,
        ),
        (
            "schemas/plan.schema.json",
            r#"{"type": "object", "properties": {"seats": {"type": "integer", "minimum": 1}}}
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
    ],
    checks: &[Check::Unreadable(DocumentKind::Resource)],
};
