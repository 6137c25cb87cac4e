//! The manifest is not TOML.

use super::super::{Check, LintRule};
use crate::diagnostic::{Severity, Stage};
use crate::tree::DocumentKind;

pub(super) static RULE: LintRule = LintRule {
    id: "rototo/workspace-manifest-parse-failed",
    severity: Severity::Error,
    entity: "workspace",
    stage: Stage::Parse,
    title: "the manifest is not valid TOML",
    why: "Nothing of the workspace can be trusted while its manifest cannot be read.",
    help: "correct the TOML at this place",
    bad: &[(
        "rototo-workspace.toml",
        r#"schema_version =
"#,
    )],
    good: &[(
        "rototo-workspace.toml",
        r#"schema_version = 1
"#,
    )],
    checks: &[Check::Unreadable(DocumentKind::Manifest)],
};
