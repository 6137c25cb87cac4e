//! The manifest does not say what a manifest must say.

use crate::diagnostic::Entity;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};
use crate::parse::Extends;

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(facts: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(document) = &facts.parsed.manifest else { return };
    let Some(manifest) = document.content() else { return };
    let mut add = |span, key, message: &str| {
        findings.add(Finding::new(Entity::Manifest, &document.path, span, message).key(key));
    };
    if manifest.schema_version.value() != Some(&1) {
        add(manifest.schema_version.span(), "schema_version", "the manifest must declare `schema_version = 1`");
    }
    match &manifest.extends {
        Extends::Missing => {}
        Extends::Invalid(span) => add(Some(*span), "extends", "`extends` must be a list of sources"),
        Extends::Sources(sources) => {
            for source in sources {
                if let Some(message) = fault(source.value().map(|text| &**text)) {
                    add(source.span(), "extends", message);
                }
            }
        }
    }
}

fn fault(source: Option<&str>) -> Option<&'static str> {
    match source {
        None => Some("a source in `extends` must be a string"),
        Some(text) if text.trim().is_empty() => Some("a source in `extends` must not be blank"),
        Some(text) if text.trim() != text => Some("a source in `extends` must not begin or end with a space"),
        Some(_) => None,
    }
}
