//! A qualifier is not TOML.

use super::super::{Check, LintRule};
use crate::diagnostic::{Severity, Stage};
use crate::tree::DocumentKind;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/qualifier-parse-failed",
    severity: Severity::Error,
    entity: "qualifier",
    stage: Stage::Parse,
    title: "a qualifier is not valid TOML",
    why: "A document that cannot be read decides nothing; publishing the rest would silently drop it.",
    help: "correct the TOML at this place; a text stands in quotes, a date must be a string, a number must be finite",
    bad: &[(
        "qualifiers/pro.toml",
        r#"schema_version = 1
[[predicate]]
attribute = "account.plan"
op = eq
value = "pro"
"#,
    )],
    good: &[(
        "qualifiers/pro.toml",
        r#"schema_version = 1
[[predicate]]
attribute = "account.plan"
op = "eq"
value = "pro"
"#,
    )],
    checks: &[Check::Unreadable(DocumentKind::Qualifier)],
};
