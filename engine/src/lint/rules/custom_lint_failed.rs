//! Custom rules that cannot be run.

use super::super::{Check, Facts, Finding, Findings, Rule};
use crate::diagnostic::{Entity, Severity, Stage};

pub(super) static RULE: Rule = Rule {
    id: "rototo/custom-lint-failed",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Register,
    title: "a custom rule cannot be run",
    why: "Whoever wrote a custom rule relies on it. To publish without having run it would be worse than not to publish.",
    help: "remove the file from `lint`: this version does not run custom rules",
    bad: &[(
        "lint/naming.lua",
        r#"function register(lint) end
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
    checks: &[Check::Workspace(check)],
};

fn check(facts: &Facts<'_>, findings: &mut Findings<'_>) {
    for path in &facts.parsed.custom_lints {
        let message = "this version does not run custom rules, and will not publish without them";
        findings.add(Finding::new(Entity::CustomLint { path: path.to_string() }, path, None, message));
    }
}
