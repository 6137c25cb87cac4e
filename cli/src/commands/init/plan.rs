//! Plans the directories and files that `rototo init` makes. Pure: the caller checks for existing files.

use serde::Serialize;

use crate::commands::init::templates;
use crate::workspace::MANIFEST;

/// The thing to make.
pub(super) enum InitTarget {
    Workspace,
    Qualifier(String),
    Variable(String),
    Resource(String),
    /// The context schema, with its text.
    ContextSchema(String),
}

/// The presence of a workspace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkspacePresence {
    Missing,
    Present,
}

/// One directory or file, at a path below the workspace.
pub(super) struct PlannedEntry {
    pub(super) kind: EntryKind,
    pub(super) path: String,
    /// The text of a file; a directory has none.
    pub(super) text: Option<String>,
}

/// The kind of an entry, in the words of the JSON report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EntryKind {
    Directory,
    WorkspaceManifest,
    Qualifier,
    Variable,
    Resource,
    Schema,
    ResourceObject,
    ContextSchema,
}

/// Returns the entries that `target` needs, in the order in which to make them.
pub(super) fn plan(target: InitTarget, workspace: WorkspacePresence) -> Vec<PlannedEntry> {
    let mut entries = match (&target, workspace) {
        (InitTarget::Workspace, _) | (_, WorkspacePresence::Missing) => skeleton(),
        (_, WorkspacePresence::Present) => target.folders().iter().map(|folder| directory(*folder)).collect(),
    };
    entries.extend(target.entries());
    entries
}

fn skeleton() -> Vec<PlannedEntry> {
    let mut entries = vec![directory("."), file(EntryKind::WorkspaceManifest, MANIFEST, templates::manifest())];
    entries.extend(["qualifiers", "variables", "resources", "schemas", "lint"].map(directory));
    entries
}

impl InitTarget {
    /// Returns the directories of its files.
    fn folders(&self) -> &'static [&'static str] {
        match self {
            Self::Workspace => &[],
            Self::Qualifier(_) => &["qualifiers"],
            Self::Variable(_) => &["variables"],
            Self::Resource(_) => &["resources", "schemas"],
            Self::ContextSchema(_) => &["schemas"],
        }
    }

    fn entries(self) -> Vec<PlannedEntry> {
        match self {
            Self::Workspace => Vec::new(),
            Self::Qualifier(id) => {
                vec![file(EntryKind::Qualifier, format!("qualifiers/{id}.toml"), templates::qualifier(&id))]
            }
            Self::Variable(id) => {
                vec![file(EntryKind::Variable, format!("variables/{id}.toml"), templates::variable(&id))]
            }
            Self::Resource(id) => vec![
                directory(format!("resources/{id}-objects")),
                file(EntryKind::Resource, format!("resources/{id}.toml"), templates::resource(&id)),
                file(EntryKind::Schema, format!("schemas/{id}.schema.json"), templates::resource_schema()),
                file(
                    EntryKind::ResourceObject,
                    format!("resources/{id}-objects/default.toml"),
                    templates::resource_object(),
                ),
            ],
            Self::ContextSchema(text) => {
                vec![file(EntryKind::ContextSchema, rototo_engine::parse::CONTEXT_SCHEMA, text)]
            }
        }
    }
}

fn directory(path: impl Into<String>) -> PlannedEntry {
    PlannedEntry { kind: EntryKind::Directory, path: path.into(), text: None }
}

fn file(kind: EntryKind, path: impl Into<String>, text: String) -> PlannedEntry {
    PlannedEntry { kind, path: path.into(), text: Some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: InitTarget, workspace: WorkspacePresence, expected: &[&str]) {
        let paths: Vec<String> = plan(target, workspace).into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_new_workspace_comes_with_all_its_folders() {
        let folders = [".", MANIFEST, "qualifiers", "variables", "resources", "schemas", "lint"];
        check(InitTarget::Workspace, WorkspacePresence::Missing, &folders);
        check(InitTarget::Workspace, WorkspacePresence::Present, &folders);
        let with_qualifier = [&folders[..], &["qualifiers/a.toml"]].concat();
        check(InitTarget::Qualifier("a".to_owned()), WorkspacePresence::Missing, &with_qualifier);
    }

    #[test]
    fn an_existing_workspace_gets_only_the_requested_files() {
        let resource = [
            "resources",
            "schemas",
            "resources/a-objects",
            "resources/a.toml",
            "schemas/a.schema.json",
            "resources/a-objects/default.toml",
        ];
        check(InitTarget::Resource("a".to_owned()), WorkspacePresence::Present, &resource);
        check(InitTarget::Variable("a".to_owned()), WorkspacePresence::Present, &["variables", "variables/a.toml"]);
        let context = ["schemas", "schemas/context.schema.json"];
        check(InitTarget::ContextSchema(String::new()), WorkspacePresence::Present, &context);
    }
}
