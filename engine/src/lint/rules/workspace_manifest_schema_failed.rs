//! The manifest lacks required content.

use crate::diagnostic::Entity;
use crate::lint::version::with_version;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};
use crate::parse::Extends;

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(document) = &workspace.parsed.manifest else { return };
    let Some(manifest) = document.content() else { return };
    let version = &manifest.schema_version;
    if version.value() != Some(&1) {
        let message = "the manifest must declare `schema_version = 1`";
        let finding = Finding::new(Entity::Manifest, &document.path, version.span(), message).key("schema_version");
        findings.add(with_version(finding, version));
    }
    let mut add = |span, key, message: &str| {
        findings.add(Finding::new(Entity::Manifest, &document.path, span, message).key(key));
    };
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
