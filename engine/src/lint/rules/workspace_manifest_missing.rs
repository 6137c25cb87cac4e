//! There are documents, but no manifest among them.

use super::super::{Check, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/workspace-manifest-missing",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Discover,
    title: "the workspace has no manifest",
    why: "The manifest says which version of the format the workspace is written in; without it, nothing else can be read with certainty.",
    help: "create rototo-workspace.toml with `schema_version = 1` beside the folders `variables` and `qualifiers`",
    bad: &[(
        "variables/limit.toml",
        r#"schema_version = 1
type = "int"
[values]
small = 10
[resolve]
default = "small"
"#,
    )],
    good: &[
        (
            "rototo-workspace.toml",
            r#"schema_version = 1
"#,
        ),
        (
            "variables/limit.toml",
            r#"schema_version = 1
type = "int"
[values]
small = 10
[resolve]
default = "small"
"#,
        ),
    ],
    checks: &[Check::Workspace(check)],
};

fn check(facts: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    if facts.parsed.manifest.is_none() && facts.parsed.tree().iter().next().is_some() {
        findings.add(Finding::new(
            Entity::Workspace,
            "rototo-workspace.toml",
            None,
            "rototo-workspace.toml is missing",
        ));
    }
}
