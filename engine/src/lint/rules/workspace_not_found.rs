//! Nothing of a workspace is there at all.

use super::super::{Check, Finding, Findings, LintRule, WorkspaceIndex};
use crate::diagnostic::{Entity, Severity, Stage};

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/workspace-not-found",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Discover,
    title: "there is no workspace here",
    why: "A source that holds no document of a workspace is most often the wrong directory, or the wrong subdirectory of a repository.",
    help: "point to the directory that holds rototo-workspace.toml; in a source string the subdirectory follows the colon after the ref",
    bad: &[],
    good: &[
        ("rototo-workspace.toml", "schema_version = 1\n"),
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
    if facts.parsed.tree().iter().next().is_none() {
        findings.add(Finding::new(Entity::Workspace, "", None, "there is no document of a workspace here"));
    }
}
