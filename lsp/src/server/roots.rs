//! The directories of workspaces: they come and go on the disk, and with the folders of the client.

use std::path::{Path, PathBuf};

use gen_lsp_types as lsp;

use crate::features::uri;
use crate::server::Server;
use crate::workspace::{MANIFEST, Workspace};

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
        let mut workspace = Workspace::open(root.to_owned(), self.from_workspaces.clone(), self.last_job);
        let here: Vec<PathBuf> = self.outside.keys().filter(|path| path.starts_with(root)).cloned().collect();
        for absolute in here {
            let Some(path) = workspace.path_of(&absolute) else { continue };
            if let Some(buffer) = self.outside.remove(&absolute) {
                workspace.put_buffer(path, buffer);
            }
        }
        self.workspaces.insert(root.to_owned(), workspace);
    }

    /// Closes the workspaces that are gone, and opens those that have come to a folder or an open document.
    pub(super) fn follow_disk(&mut self) {
        self.close_where(|workspace| workspace.is_gone() || workspace.is_removed && workspace.buffers.is_empty());
        let documents = self.outside.keys().filter_map(|path| path.parent());
        let places: Vec<PathBuf> = documents.map(Path::to_owned).chain(self.client.folders.clone()).collect();
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

    /// Closes workspaces: the client shows no findings in them any more.
    fn close_where(&mut self, is_over: impl Fn(&Workspace) -> bool) {
        let roots: Vec<PathBuf> =
            self.workspaces.iter().filter(|(_, workspace)| is_over(workspace)).map(|(root, _)| root.clone()).collect();
        for root in roots {
            let Some(workspace) = self.workspaces.remove(&root) else { continue };
            self.last_job = self.last_job.max(workspace.last_job());
            for path in workspace.published.keys() {
                let (uri, diagnostics) = (uri(&workspace, path), Vec::new());
                let message = lsp::PublishDiagnosticsParams { uri, version: None, diagnostics };
                self.notify("textDocument/publishDiagnostics", message);
            }
            let buffers = workspace.buffers.into_iter();
            self.outside.extend(buffers.map(|(path, buffer)| (root.join(path), buffer)));
        }
    }
}
