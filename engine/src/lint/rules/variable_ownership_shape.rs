//! An `owner` that is no text, or an `expires` that is no date.

use crate::diagnostic::Entity;
use crate::document::text::Span;
use crate::lint::{Check, DocumentEntry, Finding, Findings, WorkspaceIndex};
use crate::parse::{Field, Ownership, Variable};
use crate::value::date::Date;

pub(super) const CHECKS: &[Check] = &[Check::Variable(check)];

fn check(
    workspace: &WorkspaceIndex<'_>,
    (id, path, variable): DocumentEntry<'_, Variable>,
    findings: &mut Findings<'_>,
) {
    let mut of = |entity: Entity, ownership: &Ownership| {
        if let Field::Invalid(span) = ownership.owner {
            let finding = Finding::new(entity.clone(), path, Some(span), "`owner` must be a string");
            findings.add(finding.key("owner"));
        }
        if let Field::Invalid(span) = ownership.expires {
            let message = "`expires` must be a date as a string, such as \"2026-12-31\"";
            let finding = Finding::new(entity, path, Some(span), message).key("expires");
            findings.add(finding.fix(Some(span), quoted_date(workspace, path, span)));
        }
    };
    of(Entity::variable(id), &variable.ownership);
    for (index, rule) in variable.rules().iter().enumerate() {
        of(Entity::rule(id, index), &rule.ownership);
    }
}

/// A date of TOML as a string. TOML has dates, but they are no values of the format.
fn quoted_date(workspace: &WorkspaceIndex<'_>, path: &str, span: Span) -> Option<String> {
    let document = workspace.parsed.tree().get(path)?;
    let text = std::str::from_utf8(document.bytes.get(span.start..span.end)?).ok()?;
    let date: Date = text.parse().ok()?;
    Some(format!("\"{date}\""))
}
