//! A variable is not TOML.

use super::super::{Check, LintRule};
use crate::diagnostic::{Severity, Stage};
use crate::tree::DocumentKind;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/variable-parse-failed",
    severity: Severity::Error,
    entity: "variable",
    stage: Stage::Parse,
    title: "a variable is not valid TOML",
    why: "A document that cannot be read decides nothing; publishing the rest would silently drop it.",
    help: "correct the TOML at this place; a text stands in quotes, a date must be a string, a number must be finite",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"
[values]
small = 10 20
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
    checks: &[Check::Unreadable(DocumentKind::Variable)],
};
