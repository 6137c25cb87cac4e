//! The abilities of the server, and those of its client.

use std::path::{Path, PathBuf};

use gen_lsp_types as lsp;
use serde_json::Value;

use crate::features::rename::EditForms;
use crate::position::path_of;
use crate::workspace::MANIFEST;

/// The file events that concern a directory: it comes, or it goes.
const COMES_OR_GOES: u8 = 1 | 4;

/// The properties of a client that change what the server does.
pub(super) struct Client {
    /// The process, if it has told its id.
    pub(super) process: Option<u32>,
    /// It can watch files for the server.
    pub(super) watches_files: bool,
    /// The edits that it can apply.
    pub(super) edits: EditForms,
    /// The folders that it has opened.
    pub(super) folders: Vec<PathBuf>,
}

impl Client {
    /// Reads the parameters of `initialize` one by one: a value that is none in the protocol counts as left out, and does
    /// not hide the others.
    pub(super) fn of(params: &Value) -> Self {
        let is_able = |pointer: &str| params.pointer(pointer) == Some(&Value::Bool(true));
        let operations = params.pointer("/capabilities/workspace/workspaceEdit/resourceOperations");
        let moves_files = elements(operations).any(|operation| operation == "rename");
        // Neovim says that it can rename files, and leaves out that it takes edits in an order, which includes that.
        let ordered = moves_files || is_able("/capabilities/workspace/workspaceEdit/documentChanges");
        Self {
            process: params.get("processId").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok()),
            watches_files: is_able("/capabilities/workspace/didChangeWatchedFiles/dynamicRegistration"),
            edits: EditForms { ordered, moves_files },
            folders: folders(params),
        }
    }
}

fn folders(params: &Value) -> Vec<PathBuf> {
    let path = |uri: Option<&Value>| path_of(&lsp::Uri(uri?.as_str()?.to_owned()));
    let folders = elements(params.get("workspaceFolders")).filter_map(|folder| path(folder.get("uri")));
    let folders: Vec<PathBuf> = folders.collect();
    if folders.is_empty() { path(params.get("rootUri")).into_iter().collect() } else { folders }
}

fn elements(array: Option<&Value>) -> impl Iterator<Item = &Value> {
    array.and_then(Value::as_array).into_iter().flatten()
}

/// Returns the abilities of the server.
pub(super) fn capabilities() -> lsp::ServerCapabilities {
    let files = |glob: &str| lsp::FileOperationFilter {
        scheme: Some("file".to_owned()),
        pattern: lsp::FileOperationPattern { glob: glob.to_owned(), ..lsp::FileOperationPattern::default() },
    };
    let moved = ["**/variables/*.toml", "**/qualifiers/*.toml", "**/resources/*-objects/*.toml"].map(files).to_vec();
    lsp::ServerCapabilities {
        position_encoding: Some(lsp::PositionEncodingKind::UTF16),
        text_document_sync: Some(
            lsp::TextDocumentSyncOptions {
                open_close: Some(true),
                change: Some(lsp::TextDocumentSyncKind::Incremental),
                save: Some(true.into()),
                ..lsp::TextDocumentSyncOptions::default()
            }
            .into(),
        ),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: Some(["\"", "'", "=", ".", "[", ":"].map(str::to_owned).to_vec()),
            ..lsp::CompletionOptions::default()
        }),
        hover_provider: Some(true.into()),
        definition_provider: Some(true.into()),
        references_provider: Some(true.into()),
        document_highlight_provider: Some(true.into()),
        rename_provider: Some(
            lsp::RenameOptions { prepare_provider: Some(true), ..lsp::RenameOptions::default() }.into(),
        ),
        code_action_provider: Some(
            lsp::CodeActionOptions {
                code_action_kinds: Some(vec![lsp::CodeActionKind::QuickFix]),
                ..lsp::CodeActionOptions::default()
            }
            .into(),
        ),
        workspace: Some(lsp::WorkspaceOptions {
            workspace_folders: Some(lsp::WorkspaceFoldersServerCapabilities {
                supported: Some(true),
                change_notifications: Some(true.into()),
            }),
            file_operations: Some(lsp::FileOperationOptions {
                will_rename: Some(lsp::FileOperationRegistrationOptions { filters: moved }),
                ..lsp::FileOperationOptions::default()
            }),
            ..lsp::WorkspaceOptions::default()
        }),
        ..lsp::ServerCapabilities::default()
    }
}

/// Returns the request that the client watches the files of workspaces.
pub(super) fn watchers_of_files() -> lsp::RegistrationParams {
    let folders = ["variables", "qualifiers", "resources", "schemas", "lint"];
    // Directories below `tests` may hold much that belongs to other software.
    let others = ["**/tests", "**/tests/*.toml"].map(str::to_owned);
    let globs = folders.iter().map(|folder| format!("**/{folder}/**")).chain(others).chain([format!("**/{MANIFEST}")]);
    let watchers = globs.map(|glob| serde_json::json!({ "globPattern": glob })).collect();
    registration("files".to_owned(), watchers)
}

/// Returns the request that the client reports when directories come or go. The id must be one of its own.
pub(super) fn watchers_of_directories(id: String, globs: &[String]) -> lsp::RegistrationParams {
    let watcher = |glob: &String| serde_json::json!({ "globPattern": glob, "kind": COMES_OR_GOES });
    registration(id, globs.iter().map(watcher).collect())
}

fn registration(id: String, watchers: Vec<Value>) -> lsp::RegistrationParams {
    lsp::RegistrationParams {
        registrations: vec![lsp::Registration {
            id,
            method: "workspace/didChangeWatchedFiles".to_owned(),
            register_options: Some(serde_json::json!({ "watchers": watchers })),
        }],
    }
}

/// Returns patterns of a directory and of those around it, up to the outermost of the client's folders. A client that
/// deletes a directory may report nothing about the files in it.
pub(super) fn directory_globs(directory: &Path, folders: &[PathBuf]) -> Vec<String> {
    let around =
        folders.iter().filter(|folder| directory.starts_with(folder)).min_by_key(|folder| folder.as_os_str().len());
    let below = around.and_then(|folder| directory.strip_prefix(folder).ok()).filter(|below| *below != Path::new(""));
    let Some(below) = below.or_else(|| directory.file_name().map(Path::new)) else { return Vec::new() };
    let paths = below.ancestors().filter_map(Path::to_str).filter(|path| !path.is_empty());
    paths.map(|path| format!("**/{}", literal(path))).collect()
}

/// Returns a pattern of a path. Clients have no common way to write a special letter as itself.
fn literal(path: &str) -> String {
    path.replace(['*', '?', '[', ']', '{', '}', '!', ',', '\\'], "?")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_that_is_none_in_the_protocol_hides_no_other() {
        let client = Client::of(&json!({
            "processId": 7,
            "rootUri": 3,
            "workspaceFolders": [null, { "uri": 1 }, { "uri": "file:///a" }],
            "capabilities": { "general": [], "workspace": {
                "workspaceEdit": { "changeAnnotationSupport": true, "resourceOperations": [1, "rename"] },
                "didChangeWatchedFiles": { "dynamicRegistration": true, "relativePatternSupport": "yes" },
            } },
        }));
        assert_eq!((client.process, client.watches_files, client.folders), (Some(7), true, vec![PathBuf::from("/a")]));
        assert_eq!(client.edits, EditForms { ordered: true, moves_files: true });
        for nothing in [json!(null), json!([]), json!({ "processId": -1, "capabilities": 7, "workspaceFolders": {} })] {
            let client = Client::of(&nothing);
            assert_eq!((client.process, client.watches_files, client.folders), (None, false, Vec::new()), "{nothing}");
            assert_eq!(client.edits, EditForms { ordered: false, moves_files: false }, "{nothing}");
        }
        assert_eq!(Client::of(&json!({ "rootUri": "file:///b" })).folders, [Path::new("/b")]);
    }

    #[test]
    fn directories_up_to_the_folder_of_the_client_have_patterns() {
        let globs = |directory: &str, folders: &[&str]| {
            directory_globs(Path::new(directory), &folders.iter().map(PathBuf::from).collect::<Vec<_>>())
        };
        assert_eq!(globs("/home/all/x/a", &["/home/all/x", "/home/all", "/else"]), ["**/x/a", "**/x"]);
        assert_eq!(globs("/home/all", &["/home/all"]), ["**/all"]);
        assert_eq!(globs("/home/all/a", &[]), ["**/a"]);
        assert_eq!(globs("/all/{a}[1]", &["/all"]), ["**/?a??1?"]);
        assert!(globs("/", &["/"]).is_empty());
    }
}
