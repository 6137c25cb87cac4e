//! One workspace as its client sees it: the documents and the tests of a directory, with the open ones in their place,
//! over the layers that it extends.

mod layers;
mod linter;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use gen_lsp_types as lsp;
use rototo_engine::parse::{Extends, Parse};
use rototo_engine::tree::is_test;
use rototo_engine::{Diagnostic, DocumentKind, Parsed, Tree, parse, parse_after};
use rototo_source::{Limits, read_directory, read_directory_with_tests, read_document};

use crate::workspace::layers::{LayerDocuments, Reading};
pub(crate) use crate::workspace::layers::{LayersRead, real_path};
pub(crate) use crate::workspace::linter::LintResult;
use crate::workspace::linter::{LintJob, Linter};

/// The document that makes a directory a workspace.
pub(crate) const MANIFEST: &str = "rototo-workspace.toml";

/// The largest document that is checked while somebody is typing in it. People write smaller ones.
pub(crate) const LARGEST_BUFFER: usize = 8 << 20;

/// The most tries of reading a directory whose files change meanwhile, as git does.
const MAX_TRIES: usize = 3;

/// Returns whether the file at a path is one that a workspace reads: a document or a test.
pub(crate) fn is_read(path: &str) -> bool {
    DocumentKind::at(path).is_some() || is_test(path)
}

/// An event from a thread of the server.
pub(crate) enum WorkspaceEvent {
    /// The findings of lint.
    Linted(LintResult),
    /// The documents of the layers that a workspace extends.
    Layers(LayersRead),
}

/// An open document.
pub(crate) struct Buffer {
    /// The address that the client uses for it.
    pub(crate) uri: lsp::Uri,
    /// The version that the client gave it.
    pub(crate) version: i32,
    /// The text.
    pub(crate) text: String,
}

/// A workspace.
pub(crate) struct Workspace {
    root: PathBuf,
    /// The open documents by path.
    pub(crate) buffers: BTreeMap<String, Buffer>,
    /// The documents of the layers, without those that the workspace replaces.
    base: LayerDocuments,
    /// The directories of this machine that hold layers.
    layer_directories: BTreeSet<PathBuf>,
    layers: Layers,
    /// The reading of layers that is going on.
    reading: Option<Reading>,
    /// True if a layer changed since that reading began.
    is_reading_outdated: bool,
    tree: Tree,
    parsed: Parsed,
    linter: Linter,
    events: Sender<WorkspaceEvent>,
    /// The reason for which the directory can't be read.
    fault: Option<String>,
    /// The reason for which the tests can't be read beside the documents.
    fault_of_tests: Option<String>,
    /// The newest findings, and what was linted.
    findings: LintResult,
    /// The numbers of the first and of the last job of the linter.
    first_job: u64,
    job: u64,
    /// True if the client has removed its folder, and some documents are still open.
    pub(crate) is_removed: bool,
    /// The findings that the client shows, by document.
    pub(crate) published: BTreeMap<String, Vec<lsp::Diagnostic>>,
    /// True if something changed since the last lint.
    is_changed: bool,
}

/// The layers that the workspace extends.
enum Layers {
    /// None, or they are read.
    Ready,
    /// They are being read. Without them, lint would report everything that they hold as missing.
    Reading,
    /// They can't be read.
    Failed(String),
}

impl Workspace {
    /// Reads the workspace in the directory `root`. A directory that can't be read is an empty workspace with a fault.
    /// `last_job` is the number of the last job of a linter that worked there before.
    pub(crate) fn open(root: PathBuf, events: Sender<WorkspaceEvent>, last_job: u64) -> Self {
        let linter = Linter::start(root.clone(), events.clone());
        let mut workspace = Self {
            root,
            buffers: BTreeMap::new(),
            base: LayerDocuments::default(),
            layer_directories: BTreeSet::new(),
            layers: Layers::Ready,
            reading: None,
            is_reading_outdated: false,
            tree: Tree::default(),
            parsed: Parsed::default(),
            linter,
            events,
            fault: None,
            fault_of_tests: None,
            findings: LintResult::default(),
            first_job: last_job + 1,
            job: last_job,
            is_removed: false,
            published: BTreeMap::new(),
            is_changed: false,
        };
        workspace.read_again();
        workspace.read_layers();
        workspace
    }

    /// Returns the directory of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns whether there is no manifest, neither on the disk nor among the open documents. A manifest that may not be
    /// looked at is there.
    pub(crate) fn is_gone(&self) -> bool {
        let has_none = |error: std::io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        !self.buffers.contains_key(MANIFEST) && self.root.join(MANIFEST).metadata().is_err_and(has_none)
    }

    /// Returns the number of the last job of the linter.
    pub(crate) fn last_job(&self) -> u64 {
        self.job
    }

    /// Returns whether findings come from the linter of this workspace, and not from one that worked in the directory
    /// before.
    pub(crate) fn has_made(&self, findings: &LintResult) -> bool {
        findings.number >= self.first_job
    }

    /// Returns the documents, parsed.
    pub(crate) fn parsed(&self) -> &Parsed {
        &self.parsed
    }

    /// Returns the bytes of a document or a test.
    pub(crate) fn bytes(&self, path: &str) -> Option<&[u8]> {
        let document = self.tree.get(path).map(|document| &document.bytes);
        document.or_else(|| self.tree.test(path)).map(|bytes| &**bytes)
    }

    /// Returns whether a document or a test belongs to the directory, and not to a layer.
    pub(crate) fn is_own(&self, path: &str) -> bool {
        self.base.tree.get(path).is_none() && self.bytes(path).is_some()
    }

    /// Returns the reason for which the tests can't be read, so that only the open ones are known.
    pub(crate) fn fault_of_tests(&self) -> Option<&str> {
        self.fault_of_tests.as_deref()
    }

    /// Returns the file of a document that comes from a layer in a directory of this machine.
    pub(crate) fn file_in_layer(&self, path: &str) -> Option<&Path> {
        self.base.files.get(path).map(PathBuf::as_path)
    }

    /// Returns the directories of this machine that hold layers of the workspace, without links on the way.
    pub(crate) fn layer_directories(&self) -> &BTreeSet<PathBuf> {
        &self.layer_directories
    }

    /// Returns whether a change at a path, which has no links on the way, may be one of a document of a layer. A path at
    /// which there is nothing any more may be that of a directory.
    pub(crate) fn has_in_layer(&self, path: &Path) -> bool {
        let may_be_one_of = |layer: &PathBuf| match path.strip_prefix(layer) {
            Ok(below) => {
                let kind = below.to_str().and_then(DocumentKind::at);
                // The tests of a layer are its own.
                kind.is_some() || !below.to_str().is_some_and(is_test) && !path.is_file()
            }
            Err(_) => layer.starts_with(path),
        };
        self.layer_directories.iter().any(may_be_one_of)
    }

    /// Returns the newest findings. Some may be about documents that have changed meanwhile.
    pub(crate) fn diagnostics(&self) -> &[Diagnostic] {
        &self.findings.diagnostics
    }

    /// Takes newer findings, and returns the versions that they are the first about.
    pub(crate) fn take_findings(&mut self, findings: LintResult) -> BTreeMap<String, i32> {
        let before = std::mem::replace(&mut self.findings, findings);
        let mut versions = self.findings.versions.clone();
        versions.retain(|path, version| before.versions.get(path) != Some(version));
        versions
    }

    /// Returns whether the findings are about the documents as they are now.
    pub(crate) fn findings_are_current(&self) -> bool {
        !self.is_changed && self.findings.number == self.job
    }

    /// Returns the version of an open document that the findings are about.
    pub(crate) fn linted_version(&self, path: &str) -> Option<i32> {
        self.findings.versions.get(path).copied()
    }

    /// Returns the faults of reading the workspace, which no rule of lint reports.
    pub(crate) fn faults(&self) -> impl Iterator<Item = String> {
        let layers = match &self.layers {
            Layers::Failed(reason) => Some(format!("the layers of this workspace can't be read: {reason}")),
            Layers::Ready | Layers::Reading => None,
        };
        let directory = self.fault.as_ref().map(|reason| format!("this workspace can't be read: {reason}"));
        directory.into_iter().chain(layers)
    }

    /// Returns the path of a document in the workspace: its name with `/` between the parts.
    pub(crate) fn path_of(&self, absolute: &Path) -> Option<String> {
        let relative = absolute.strip_prefix(&self.root).ok()?.to_str()?;
        Some(relative.to_owned())
    }

    /// Puts an open document in place of the file, or a new text in place of the last one.
    pub(crate) fn put_buffer(&mut self, path: String, buffer: Buffer) {
        self.buffers.insert(path.clone(), buffer);
        self.update(&path);
    }

    /// Puts the file back in place of a document that was closed.
    pub(crate) fn close_buffer(&mut self, path: &str) {
        self.buffers.remove(path);
        self.update(path);
    }

    /// Reads a file that may have changed. An open document stays what it is.
    pub(crate) fn file_changed(&mut self, path: &str) {
        if self.fault.is_some() || self.fault_of_tests.is_some() && is_test(path) {
            self.read_again();
        }
        let is_gone = !self.root.join(path).exists();
        self.update(path);
        // A document of a layer may come to light, and the manifest may name other layers. The tests of a layer are its own.
        if path == MANIFEST || is_gone && !is_test(path) && self.extends() {
            self.read_layers();
        }
    }

    /// Reads all files, of which any may have changed.
    pub(crate) fn read_again(&mut self) {
        let limits = Limits::default();
        let mut read = read_directory_with_tests(&self.root, &limits);
        for _ in 1..MAX_TRIES {
            if read.is_ok() {
                break;
            }
            read = read_directory_with_tests(&self.root, &limits);
        }
        self.fault_of_tests = read.as_ref().err().map(ToString::to_string);
        let read = read.or_else(|_| read_directory(&self.root, &limits));
        let own = match read {
            Ok(own) => {
                self.fault = None;
                own
            }
            Err(error) => {
                self.fault = Some(error.to_string());
                Tree::default()
            }
        };
        let mut tree = own.over(&self.base.tree);
        for (path, buffer) in self.buffers.iter().filter(|(_, buffer)| buffer.text.len() <= LARGEST_BUFFER) {
            tree.insert(path.as_str(), buffer.text.as_bytes());
        }
        self.take(tree.after(&self.tree));
    }

    /// Reads everything again, of which nobody reports changes.
    pub(crate) fn catch_up(&mut self) {
        self.read_again();
        if self.reading.is_none() && !self.layer_directories.is_empty() {
            self.begin_to_read_layers();
        }
    }

    /// Reads the layers again, of which one has changed on the disk. Meanwhile they stay what they were.
    pub(crate) fn layers_changed(&mut self) {
        if self.reading.is_some() {
            self.is_reading_outdated = true;
        } else {
            self.begin_to_read_layers();
        }
    }

    /// Takes the layers that were read, unless another reading has begun since. If one of them has changed meanwhile, they
    /// are read once more.
    pub(crate) fn take_layers(&mut self, read: LayersRead) {
        if self.reading.as_ref() != Some(&read.reading) {
            return;
        }
        self.reading = None;
        let is_outdated = self.is_reading_outdated;
        match read.documents {
            Ok(base) => self.put_layers(base),
            // The next reading may succeed.
            Err(_) if is_outdated => {}
            Err(reason) => {
                self.layers = Layers::Failed(reason);
                self.read_again();
            }
        }
        if is_outdated {
            self.begin_to_read_layers();
        }
    }

    fn put_layers(&mut self, base: LayerDocuments) {
        self.base = base;
        self.layers = Layers::Ready;
        self.read_again();
    }

    /// Lints what changed, unless the layers are still being read. The findings arrive as an event.
    pub(crate) fn lint_changes(&mut self) {
        if !self.is_changed || matches!(self.layers, Layers::Reading) {
            return;
        }
        self.is_changed = false;
        let versions = self.buffers.iter().map(|(path, buffer)| (path.clone(), buffer.version)).collect();
        self.job += 1;
        self.linter.lint(LintJob { number: self.job, parsed: self.parsed.clone(), versions });
    }

    /// Updates one document or test: what is open, or else the file, or else that of a layer.
    fn update(&mut self, path: &str) {
        let mut tree = self.tree.clone();
        match self.buffers.get(path) {
            // It keeps its last text.
            Some(buffer) if buffer.text.len() > LARGEST_BUFFER => {}
            Some(buffer) if is_read(path) => tree.insert(path, buffer.text.as_bytes()),
            Some(_) => {}
            None => match read_document(&self.root, path, &Limits::default()) {
                Ok(Some(bytes)) => tree.insert(path, bytes),
                _ => match self.base.tree.get(path) {
                    Some(document) => tree.insert(path, document.bytes.clone()),
                    None => tree.remove(path),
                },
            },
        }
        self.take(tree);
    }

    fn take(&mut self, tree: Tree) {
        self.tree = tree.clone();
        self.parsed = if self.parsed.summary().documents == 0 { parse(tree) } else { parse_after(&self.parsed, tree) };
        self.is_changed = true;
    }

    fn extends(&self) -> bool {
        let manifest = self.parsed.manifest.as_ref().and_then(Parse::content);
        manifest.is_some_and(|manifest| matches!(&manifest.extends, Extends::Sources(sources) if !sources.is_empty()))
    }

    /// Begins to read the layers that the manifest on the disk names, if there are any.
    fn read_layers(&mut self) {
        if self.extends() {
            self.layers = Layers::Reading;
            self.begin_to_read_layers();
            return;
        }
        self.reading = None;
        self.layer_directories.clear();
        if self.base.tree.iter().next().is_some() || !matches!(self.layers, Layers::Ready) {
            self.put_layers(LayerDocuments::default());
        }
    }

    /// Begins to read layers. A reading that is going on is of no use any more.
    fn begin_to_read_layers(&mut self) {
        self.is_reading_outdated = false;
        // They are known before the reading begins, so that no change during it is missed.
        self.layer_directories = layers::directories(&self.root);
        self.reading = Some(layers::read(self.root.clone(), self.events.clone()));
    }
}
