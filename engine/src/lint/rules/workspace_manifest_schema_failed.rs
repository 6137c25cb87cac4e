//! The manifest lacks required content.

use crate::diagnostic::Entity;
use crate::lint::version::with_version;
use crate::lint::{Check, Finding, Findings, WorkspaceIndex};
use crate::parse::{Extends, Manifest};

pub(super) const CHECKS: &[Check] = &[Check::Workspace(check)];

fn check(workspace: &WorkspaceIndex<'_>, findings: &mut Findings<'_>) {
    let Some(document) = &workspace.parsed.manifest else { return };
    let Some(manifest) = document.content() else { return };
    let version = &manifest.schema_version;
    if !manifest.has_version() {
        let finding = Finding::new(Entity::Manifest, &document.path, version.span(), Manifest::VERSION);
        let finding = finding.key("schema_version");
        findings.add(with_version(finding, version));
    }
    let blanks = match &manifest.extends {
        Extends::Sources(sources) => &sources[..],
        Extends::Missing | Extends::Invalid(_) => &[],
    };
    let blanks = blanks.iter().filter_map(|source| Some((source.span(), blank(source.value()?)?)));
    for (span, message) in manifest.extends.faults().chain(blanks) {
        findings.add(Finding::new(Entity::Manifest, &document.path, span, message).key("extends"));
    }
}

fn blank(source: &str) -> Option<&'static str> {
    match source.trim() {
        "" => Some("a source in `extends` must not be blank"),
        text if text != source => Some("a source in `extends` must not begin or end with a space"),
        _ => None,
    }
}
