//! The abilities of the server, and those of its client.

use std::path::PathBuf;

use gen_lsp_types as lsp;

use crate::features::rename::EditForms;
use crate::position::path_of;
use crate::workspace::MANIFEST;

/// The abilities of a client that change what the server does.
pub(super) struct Client {
    /// It can watch files for the server.
    pub(super) watches_files: bool,
    /// The edits that it can apply.
    pub(super) edits: EditForms,
    /// The folders that it has opened.
    pub(super) folders: Vec<PathBuf>,
}

impl Client {
    pub(super) fn of(params: &lsp::InitializeParams) -> Self {
        let workspace = params.capabilities.workspace.as_ref();
        let watches = workspace.and_then(|workspace| workspace.did_change_watched_files.as_ref()?.dynamic_registration);
        let edit = workspace.and_then(|workspace| workspace.workspace_edit.as_ref());
        let operations = edit.and_then(|edit| edit.resource_operations.as_deref()).unwrap_or_default();
        let moves_files = operations.contains(&lsp::ResourceOperationKind::Rename);
        // Neovim says that it can rename files, and leaves out that it takes edits in an order, which includes that.
        let ordered = moves_files || edit.is_some_and(|edit| edit.document_changes == Some(true));
        let edits = EditForms { ordered, moves_files };
        Self { watches_files: watches == Some(true), edits, folders: folders(params) }
    }
}

#[allow(deprecated)]
fn folders(params: &lsp::InitializeParams) -> Vec<PathBuf> {
    let folders = match &params.workspace_folders_initialize_params.workspace_folders {
        Some(lsp::WorkspaceFolders::WorkspaceFolderList(folders)) => folders.as_slice(),
        Some(lsp::WorkspaceFolders::Null) | None => &[],
    };
    let uris = folders.iter().map(|folder| &folder.uri);
    let uris: Vec<&lsp::Uri> = if folders.is_empty() { params.root_uri.iter().collect() } else { uris.collect() };
    uris.into_iter().filter_map(path_of).collect()
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
pub(super) fn watchers() -> lsp::RegistrationParams {
    let folders = ["variables", "qualifiers", "resources", "schemas", "lint"];
    // Directories below `tests` may hold much that belongs to other software.
    let others = ["**/tests", "**/tests/*.toml"].map(str::to_owned);
    let globs = folders.iter().map(|folder| format!("**/{folder}/**")).chain(others).chain([format!("**/{MANIFEST}")]);
    let watchers: Vec<_> = globs.map(|glob| serde_json::json!({ "globPattern": glob })).collect();
    lsp::RegistrationParams {
        registrations: vec![lsp::Registration {
            id: "files".to_owned(),
            method: "workspace/didChangeWatchedFiles".to_owned(),
            register_options: Some(serde_json::json!({ "watchers": watchers })),
        }],
    }
}
