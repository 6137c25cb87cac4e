//! The directories of workspaces: they come and go on the disk, and with the folders of the client.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gen_lsp_types as lsp;

use crate::features::uri;
use crate::server::Server;
use crate::workspace::{Buffer, MANIFEST, Workspace};

impl Server {
    /// Opens the workspace in a directory or around it, if there is one.
    pub(super) fn open_around(&mut self, directory: &Path) {
        if let Some(root) = directory.ancestors().find(|directory| directory.join(MANIFEST).is_file()) {
            self.open_root(root);
        }
    }

    /// Opens the workspace in a directory, with the documents there that are open already.
    pub(super) fn open_root(&mut self, root: &Path) {
        if self.workspaces.contains_key(root) {
            return;
        }
        // The workspace around it begins anew if it loses documents, because its linter may still report on them.
        let around = self.around(root).filter(|around| open_documents(around).any(|path| path.starts_with(root)));
        let around = around.map(|around| (around.root().to_owned(), around.is_removed));
        let mut buffers = std::mem::take(&mut self.outside);
        if let Some((around, _)) = &around {
            buffers.extend(self.close(around));
        }
        self.begin(root, false);
        if let Some((around, is_removed)) = around {
            self.begin(&around, is_removed);
        }
        buffers.into_iter().for_each(|(path, buffer)| self.put_buffer(path, buffer));
    }

    /// Gives an open document to the innermost workspace around it, if there is one.
    pub(super) fn put_buffer(&mut self, absolute: PathBuf, buffer: Buffer) {
        let root = self.around(&absolute).map(|workspace| workspace.root().to_owned());
        let workspace = root.and_then(|root| self.workspaces.get_mut(&root));
        match workspace.and_then(|workspace| Some((workspace.path_of(&absolute)?, workspace))) {
            Some((path, workspace)) => workspace.put_buffer(path, buffer),
            None => drop(self.outside.insert(absolute, buffer)),
        }
    }

    /// Closes the workspaces that are gone, and opens those that have come to a folder or an open document. One may have
    /// come inside of another.
    pub(super) fn follow_disk(&mut self) {
        self.close_where(|workspace| workspace.is_gone() || workspace.is_removed && workspace.buffers.is_empty());
        let documents = self.outside.keys().cloned().chain(self.workspaces.values().flat_map(open_documents));
        let directories = documents.filter_map(|path| path.parent().map(Path::to_owned));
        let places: BTreeSet<PathBuf> = directories.chain(self.client.folders.iter().cloned()).collect();
        places.iter().for_each(|place| self.open_around(place));
    }

    /// Opens the workspaces of folders that the client has added, and closes those of the folders that it has removed. One
    /// of which documents are open lasts until they are closed.
    pub(super) fn folders_changed(&mut self, added: Vec<PathBuf>, removed: &[PathBuf]) {
        self.client.folders.retain(|folder| !removed.contains(folder));
        self.client.folders.extend(added);
        let is_of = |root: &Path, folders: &[PathBuf]| {
            folders.iter().any(|folder| root.starts_with(folder) || folder.starts_with(root))
        };
        for (root, workspace) in &mut self.workspaces {
            let is_removed = workspace.is_removed || is_of(root, removed);
            workspace.is_removed = is_removed && !is_of(root, &self.client.folders);
        }
        self.follow_disk();
    }

    /// Closes workspaces, and gives their open documents to those around them.
    fn close_where(&mut self, is_over: impl Fn(&Workspace) -> bool) {
        let roots: Vec<PathBuf> =
            self.workspaces.iter().filter(|(_, workspace)| is_over(workspace)).map(|(root, _)| root.clone()).collect();
        let buffers: Vec<(PathBuf, Buffer)> = roots.iter().flat_map(|root| self.close(root)).collect();
        buffers.into_iter().for_each(|(path, buffer)| self.put_buffer(path, buffer));
    }

    /// Opens the workspace in a directory without open documents.
    fn begin(&mut self, root: &Path, is_removed: bool) {
        let mut workspace = Workspace::open(root.to_owned(), self.from_workspaces.clone(), self.last_job);
        workspace.is_removed = is_removed;
        self.workspaces.insert(root.to_owned(), workspace);
        self.watch_directory(root);
    }

    /// Closes a workspace, and returns its open documents: the client shows no findings in it any more.
    fn close(&mut self, root: &Path) -> Vec<(PathBuf, Buffer)> {
        let Some(workspace) = self.workspaces.remove(root) else { return Vec::new() };
        self.last_job = self.last_job.max(workspace.last_job());
        for path in workspace.published.keys() {
            let (uri, diagnostics) = (uri(&workspace, path), Vec::new());
            let message = lsp::PublishDiagnosticsParams { uri, version: None, diagnostics };
            self.notify("textDocument/publishDiagnostics", message);
        }
        workspace.buffers.into_iter().map(|(path, buffer)| (root.join(path), buffer)).collect()
    }
}

/// Returns the paths of the open documents of a workspace.
fn open_documents(workspace: &Workspace) -> impl Iterator<Item = PathBuf> {
    workspace.buffers.keys().map(|path| workspace.root().join(path))
}
