//! A variable is not TOML.

use super::super::{Facts, Findings, Rule};
use super::unreadable;
use crate::diagnostic::{Entity, Severity, Stage};

pub(super) static RULE: Rule = Rule {
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
    check,
};

fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for (id, document) in &facts.parsed.variables {
        unreadable(findings, document, Entity::variable(id));
    }
}
