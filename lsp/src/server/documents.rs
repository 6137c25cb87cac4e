//! Notifications: documents that are opened, changed, saved, and closed, and files that change on the disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gen_lsp_types as lsp;
use lsp_server::Notification;
use serde::de::DeserializeOwned;

use crate::position::{path_of, span_at};
use crate::server::Server;
use crate::server::capabilities::{directory_globs, watchers_of_directories, watchers_of_files};
use crate::workspace::{Buffer, MANIFEST, Workspace, is_read, real_path};

impl Server {
    /// Reacts to a notification. Unknown ones, and those without the parameters that they need, are ignored, as the
    /// protocol asks.
    pub(super) fn notification(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        match method.as_str() {
            "textDocument/didOpen" => with(params, |params| self.opened(params)),
            "textDocument/didChange" => with(params, |params| self.changed(params)),
            "textDocument/didSave" => with(params, |params: lsp::DidSaveTextDocumentParams| {
                self.saved(&params.text_document.uri);
            }),
            "textDocument/didClose" => with(params, |params: lsp::DidCloseTextDocumentParams| {
                self.closed(&params.text_document.uri);
            }),
            "workspace/didChangeWatchedFiles" => with(params, |params: lsp::DidChangeWatchedFilesParams| {
                let changed: Vec<PathBuf> = params.changes.iter().filter_map(|change| path_of(&change.uri)).collect();
                self.files_changed(&changed);
            }),
            "workspace/didChangeWorkspaceFolders" => with(params, |params: lsp::DidChangeWorkspaceFoldersParams| {
                let paths = |folders: Vec<lsp::WorkspaceFolder>| -> Vec<PathBuf> {
                    folders.iter().filter_map(|folder| path_of(&folder.uri)).collect()
                };
                self.folders_changed(paths(params.event.added), &paths(params.event.removed));
            }),
            _ => {}
        }
    }

    /// Asks the client to watch the files of workspaces, if it can.
    pub(super) fn watch_files(&mut self) {
        if self.client.watches_files {
            self.register(watchers_of_files());
        }
    }

    /// Asks the client to report when a directory or one around it comes or goes, if it can, and does not yet.
    pub(super) fn watch_directory(&mut self, directory: &Path) {
        if !self.client.watches_files {
            return;
        }
        let globs = directory_globs(directory, &self.client.folders);
        let new: Vec<String> = globs.into_iter().filter(|glob| self.watched.insert(glob.clone())).collect();
        if !new.is_empty() {
            let id = format!("directories-{}", self.watched.len());
            self.register(watchers_of_directories(id, &new));
        }
    }

    fn register(&mut self, params: lsp::RegistrationParams) {
        self.next_request += 1;
        let id = self.next_request.into();
        self.send(lsp_server::Request::new(id, "client/registerCapability".to_owned(), params));
    }

    fn opened(&mut self, params: lsp::DidOpenTextDocumentParams) {
        let document = params.text_document;
        let Some(path) = path_of(&document.uri) else { return };
        self.open_around(path.parent().unwrap_or(&path));
        // A manifest that is not saved yet makes a workspace, too.
        if path.ends_with(MANIFEST)
            && let Some(root) = path.parent()
        {
            self.open_root(root);
        }
        self.catch_up(&path);
        let buffer = Buffer { uri: document.uri, version: document.version, text: document.text };
        self.put_buffer(path, buffer);
    }

    fn changed(&mut self, params: lsp::DidChangeTextDocumentParams) {
        let lsp::VersionedTextDocumentIdentifier { version, text_document_identifier } = params.text_document;
        let Some(path) = path_of(&text_document_identifier.uri) else { return };
        if let Some(buffer) = self.outside.get_mut(&path) {
            buffer.version = version;
            params.content_changes.into_iter().for_each(|change| apply(&mut buffer.text, change));
            return;
        }
        self.in_workspace(&path, |workspace, path| {
            if let Some(mut buffer) = workspace.buffers.remove(&path) {
                params.content_changes.into_iter().for_each(|change| apply(&mut buffer.text, change));
                workspace.put_buffer(path, Buffer { version, ..buffer });
            }
        });
    }

    fn saved(&mut self, uri: &lsp::Uri) {
        let Some(path) = path_of(uri) else { return };
        if path.ends_with(MANIFEST) {
            self.in_workspace(&path, |workspace, path| workspace.file_changed(&path));
        }
        self.catch_up(&path);
        self.layers_changed(&[path]);
        self.follow_disk();
    }

    fn closed(&mut self, uri: &lsp::Uri) {
        let Some(path) = path_of(uri) else { return };
        self.outside.remove(&path);
        self.in_workspace(&path, |workspace, path| workspace.close_buffer(&path));
        self.follow_disk();
    }

    /// Reads a whole workspace again for a client that does not report changed files.
    fn catch_up(&mut self, path: &Path) {
        if !self.client.watches_files {
            self.in_workspace(path, |workspace, _| workspace.catch_up());
        }
    }

    /// Reads the layers of each workspace of which one holds a path that has changed, whether or not the client shows the
    /// layer itself as a workspace. The files count, and no open documents.
    fn layers_changed(&mut self, changed: &[PathBuf]) {
        if self.workspaces.values().all(|workspace| workspace.layer_directories().is_empty()) {
            return;
        }
        let changed: Vec<PathBuf> = changed.iter().map(|path| real_path(path)).collect();
        for workspace in self.workspaces.values_mut() {
            if changed.iter().any(|path| workspace.has_in_layer(path)) {
                workspace.layers_changed();
            }
        }
    }

    /// Reads the files that have changed. Anything but a document or a test may be a directory with some in it.
    fn files_changed(&mut self, changed: &[PathBuf]) {
        let mut whole: BTreeSet<PathBuf> = BTreeSet::new();
        for absolute in changed {
            let Some(root) = self.around(absolute).map(|workspace| workspace.root().to_owned()) else { continue };
            let Some(workspace) = self.workspaces.get_mut(&root) else { continue };
            match workspace.path_of(absolute).filter(|path| is_read(path)) {
                Some(path) => workspace.file_changed(&path),
                None => drop(whole.insert(root)),
            }
        }
        for root in whole {
            if let Some(workspace) = self.workspaces.get_mut(&root) {
                workspace.read_again();
            }
        }
        self.layers_changed(changed);
        self.follow_disk();
    }

    /// Calls `change` with the workspace around a document, and its path there.
    fn in_workspace(&mut self, absolute: &Path, change: impl FnOnce(&mut Workspace, String)) {
        let root = self.around(absolute).map(|workspace| workspace.root().to_owned());
        if let Some(workspace) = root.and_then(|root| self.workspaces.get_mut(&root))
            && let Some(path) = workspace.path_of(absolute)
        {
            change(workspace, path);
        }
    }
}

fn with<P: DeserializeOwned>(params: serde_json::Value, act: impl FnOnce(P)) {
    if let Ok(params) = serde_json::from_value(params) {
        act(params);
    }
}

/// Applies one change to a text.
fn apply(text: &mut String, change: lsp::TextDocumentContentChangeEvent) {
    match change {
        lsp::TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(whole) => *text = whole.text,
        lsp::TextDocumentContentChangeEvent::TextDocumentContentChangePartial(part) => {
            let span = span_at(text.as_bytes(), part.range);
            text.replace_range(span.start..span.end, &part.text);
        }
    }
}
