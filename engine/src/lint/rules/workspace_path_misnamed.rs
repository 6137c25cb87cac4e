//! A path differs from one of the format only in case or separators.

use crate::diagnostic::Entity;
use crate::document::kind::LONGEST_NAME;
use crate::document::unread::UnreadReason;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    for (path, reason) in workspace.parsed.tree().unread().iter() {
        let message = match reason {
            UnreadReason::Misnamed(meant) => format!("nothing reads `{path}`: it must be named `{meant}`"),
            UnreadReason::TooLong => format!("nothing reads `{path}`: a name has at most {LONGEST_NAME} bytes"),
            UnreadReason::Resembles(_) | UnreadReason::Nested(_) | UnreadReason::Extension(..) => continue,
        };
        findings.add(Finding::new(Entity::Workspace, path, None, message));
    }
}
