//! Which directories and files `rototo init` makes for what was asked. Pure: what is there already is decided elsewhere.

use serde::Serialize;

use super::templates;

/// What to make.
pub(super) enum Target {
    Workspace,
    Qualifier(String),
    Variable(String),
    Resource(String),
    /// With the text of the schema.
    ContextSchema(String),
}

/// Whether there is a workspace already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Workspace {
    Missing,
    Present,
}

/// One directory or file, at a path below the workspace.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) path: String,
    /// The text of a file; a directory has none.
    pub(super) text: Option<String>,
}

/// What an entry is, in the words of the JSON report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Directory,
    WorkspaceManifest,
    Qualifier,
    Variable,
    Resource,
    Schema,
    ResourceObject,
    ContextSchema,
}

/// What it takes, in the order in which to make it.
pub(super) fn plan(target: Target, workspace: Workspace) -> Vec<Entry> {
    let mut entries = match (&target, workspace) {
        (Target::Workspace, _) | (_, Workspace::Missing) => skeleton(),
        (_, Workspace::Present) => target.folders().iter().map(|folder| directory(*folder)).collect(),
    };
    entries.extend(target.entries());
    entries
}

fn skeleton() -> Vec<Entry> {
    let mut entries = vec![directory("."), file(Kind::WorkspaceManifest, MANIFEST, templates::manifest())];
    entries.extend(["qualifiers", "variables", "resources", "schemas", "lint"].map(directory));
    entries
}

pub(super) const MANIFEST: &str = "rototo-workspace.toml";

impl Target {
    /// Where its files are to stand.
    fn folders(&self) -> &'static [&'static str] {
        match self {
            Self::Workspace => &[],
            Self::Qualifier(_) => &["qualifiers"],
            Self::Variable(_) => &["variables"],
            Self::Resource(_) => &["resources", "schemas"],
            Self::ContextSchema(_) => &["schemas"],
        }
    }

    fn entries(self) -> Vec<Entry> {
        match self {
            Self::Workspace => Vec::new(),
            Self::Qualifier(id) => {
                vec![file(Kind::Qualifier, format!("qualifiers/{id}.toml"), templates::qualifier(&id))]
            }
            Self::Variable(id) => vec![file(Kind::Variable, format!("variables/{id}.toml"), templates::variable(&id))],
            Self::Resource(id) => vec![
                directory(format!("resources/{id}-objects")),
                file(Kind::Resource, format!("resources/{id}.toml"), templates::resource(&id)),
                file(Kind::Schema, format!("schemas/{id}.schema.json"), templates::resource_schema()),
                file(
                    Kind::ResourceObject,
                    format!("resources/{id}-objects/default.toml"),
                    templates::resource_object(),
                ),
            ],
            Self::ContextSchema(text) => {
                vec![file(Kind::ContextSchema, rototo_engine::parse::CONTEXT_SCHEMA, text)]
            }
        }
    }
}

fn directory(path: impl Into<String>) -> Entry {
    Entry { kind: Kind::Directory, path: path.into(), text: None }
}

fn file(kind: Kind, path: impl Into<String>, text: String) -> Entry {
    Entry { kind, path: path.into(), text: Some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: Target, workspace: Workspace, expected: &[&str]) {
        let paths: Vec<String> = plan(target, workspace).into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_new_workspace_comes_with_all_its_folders() {
        let folders = [".", MANIFEST, "qualifiers", "variables", "resources", "schemas", "lint"];
        check(Target::Workspace, Workspace::Missing, &folders);
        check(Target::Workspace, Workspace::Present, &folders);
        let with_qualifier = [&folders[..], &["qualifiers/a.toml"]].concat();
        check(Target::Qualifier("a".to_owned()), Workspace::Missing, &with_qualifier);
    }

    #[test]
    fn a_workspace_that_is_there_gets_only_what_was_asked_for() {
        let resource = [
            "resources",
            "schemas",
            "resources/a-objects",
            "resources/a.toml",
            "schemas/a.schema.json",
            "resources/a-objects/default.toml",
        ];
        check(Target::Resource("a".to_owned()), Workspace::Present, &resource);
        check(Target::Variable("a".to_owned()), Workspace::Present, &["variables", "variables/a.toml"]);
        let context = ["schemas", "schemas/context.schema.json"];
        check(Target::ContextSchema(String::new()), Workspace::Present, &context);
    }
}
