//! A schema is not JSON.

use super::super::{Check, LintRule};
use crate::diagnostic::{Severity, Stage};
use crate::tree::DocumentKind;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/schema-parse-failed",
    severity: Severity::Error,
    entity: "schema",
    stage: Stage::Parse,
    title: "a schema is not valid JSON",
    why: "Nothing can be checked against a schema that cannot be read.",
    help: "correct the JSON at this place; JSON has no comments and no comma after the last entry",
    bad: &[
        (
            "resources/plan.toml",
            r#"schema_version = 1
schema = "../schemas/plan.schema.json"
"#,
        ),
        (
            "schemas/plan.schema.json",
            r#"{"type": "object",}
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
    checks: &[Check::Unreadable(DocumentKind::Schema)],
};
