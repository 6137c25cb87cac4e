//! A git repository in a temporary directory, with methods named after the actions of its users.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod git_http;
pub mod https;
pub mod proxy;
pub mod sshd;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rototo_engine::Tree;
use rototo_source::{Credentials, PinnedSource, Reader, ReaderOptions, Source, SourceError};

pub const MANIFEST: (&str, &str) = ("rototo-workspace.toml", "schema_version = 1\n");

pub struct Repository {
    directory: tempfile::TempDir,
}

impl Repository {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// Makes a repository with options of `git init`.
    pub fn with(options: &[&str]) -> Self {
        let repository = Self { directory: tempfile::tempdir().unwrap() };
        repository.git(&[&["init", "--quiet", "--initial-branch=main"], options].concat());
        repository
    }

    /// Makes a directory of which a few hundred kilobytes in a pack are `mib` MiB in memory.
    pub fn inflated_tree(&self, mib: usize) -> String {
        let blob = self.git(&["rev-parse", "HEAD:rototo-workspace.toml"]);
        let id: Vec<u8> = (0..40).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16).unwrap()).collect();
        let entry = [b"100644 ".as_slice(), &[b'a'; 4000], b"\0", &id].concat().repeat(64);
        let mut command = Command::new("git");
        command.current_dir(self.path()).args(["hash-object", "-t", "tree", "-w", "--stdin", "--literally"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for _ in 0..(mib << 20) / entry.len() {
            stdin.write_all(&entry).unwrap();
        }
        drop(stdin);
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
            command.env_remove(name);
        }
        let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
        let output = command.current_dir(self.path()).args(identity).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            self.write(path, text);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "a change"]);
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes a tree object from lines such as `100644 blob ID\tNAME`, and returns its name.
    pub fn make_tree(&self, entries: &str) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.path()).arg("mktree").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(entries.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Writes an object of any content, as git would not, and returns its name.
    pub fn write_object(&self, kind: &str, content: &[u8]) -> String {
        let mut command = Command::new("git");
        command.current_dir(self.path()).args(["hash-object", "-t", kind, "-w", "--stdin", "--literally"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Makes `main` a commit of this tree.
    pub fn commit_tree(&self, tree: &str) {
        let commit = self.git(&["commit-tree", "-m", "a tree", tree]);
        self.git(&["update-ref", "refs/heads/main", &commit]);
    }

    pub fn source(&self, fragment: &str) -> Source {
        format!("git+file://{}#{fragment}", self.path().display()).parse().unwrap()
    }
}

pub fn credentials(keys: &[(&str, &str)]) -> Credentials {
    let keys: BTreeMap<_, _> = keys.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    Credentials::from_keys(&keys).unwrap()
}

pub fn reader() -> Reader {
    Reader::new(ReaderOptions::default()).unwrap()
}

pub async fn pin(reader: &Reader, source: &Source) -> PinnedSource {
    reader.pin(source).await.unwrap()
}

pub async fn read(reader: &Reader, source: &Source) -> Result<Tree, SourceError> {
    reader.read(source).await.map(|(_, tree)| tree)
}

/// Returns what lint says about paths that are no documents.
pub fn beside(tree: &Tree) -> Vec<String> {
    let lint = rototo_engine::lint(&rototo_engine::parse(tree.clone()));
    let found = lint.diagnostics.iter().filter(|found| found.rule.starts_with("rototo/workspace-path-"));
    let severity = |found: &rototo_engine::Diagnostic| match found.severity {
        rototo_engine::Severity::Error => "error",
        rototo_engine::Severity::Warning => "warning",
    };
    found.map(|found| format!("{} {}", severity(found), found.location.path)).collect()
}

pub fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

pub fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

/// Returns the peak memory of this process.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

pub fn write_directory(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = directory.path().to_owned();
    (directory, path)
}
