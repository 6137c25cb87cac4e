//! Repositories that no host of git's own would send.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::credentials::Credentials;
use crate::git::GitSetup;
use crate::hosts::Hosts;
use crate::limits::memory::SharedMemory;
use crate::spec::{GitSource, Source};

/// A cached repository, in which objects of any content are written.
struct Copy {
    directory: tempfile::TempDir,
}

impl Copy {
    async fn new() -> Self {
        let copy = Self { directory: tempfile::tempdir().unwrap() };
        CachedRepository::new(copy.path(), u64::MAX).prepare().await.unwrap();
        copy
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("a.git")
    }

    fn write(&self, kind: &str, content: &[u8]) -> String {
        let mut command = Command::new("git");
        command.env("GIT_DIR", self.path()).args(["hash-object", "-t", kind, "-w", "--stdin", "--literally"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    }

    /// Writes a directory with one entry.
    fn directory(&self, entry: &str, id: &str) -> String {
        self.write("tree", &[entry.as_bytes(), b"\0", &id_of(id)].concat())
    }

    /// Reads the workspace of a commit with this root.
    async fn read(&self, root: &str, fragment: &str) -> Result<Tree, SourceFault> {
        let commit = format!("tree {root}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n");
        let commit: Commit = self.write("commit", commit.as_bytes()).parse().unwrap();
        let Source::Git(git) = format!("git+file:///nowhere.git#{fragment}").parse().unwrap() else { panic!() };
        let limits = Limits::default();
        let program = program(&git, &limits);
        let place = CommitDirectory {
            commit: &commit,
            reference: git.reference(),
            part: &WorkspacePart { subdirectory: git.subdirectory().cloned(), ..WorkspacePart::default() },
        };
        let (mut trees, infos) = (Trees::new(SharedMemory::new(u64::MAX)), CommitInfos::default());
        read(&program, &limits, &CachedRepository::new(self.path(), u64::MAX), (&mut trees, &infos), place).await
    }
}

/// Returns an object's id as a directory has it.
fn id_of(hex: &str) -> Vec<u8> {
    (0..40).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn program(git: &GitSource, limits: &Limits) -> Program {
    let hosts = Hosts::new(|| 0.0);
    let setup = (GitSetup::Isolated, crate::egress::Egress::default(), None);
    Program::new(git.remote(), &Credentials::default(), setup, &hosts, Arc::default(), limits)
}

#[tokio::test]
async fn objects_that_are_not_what_they_should_be_are_named_and_are_no_damage() {
    let copy = Copy::new().await;
    let file = copy.write("blob", b"a");
    let cut_off = copy.write("tree", b"100644 a\0short");
    let empty = copy.write("tree", b"");
    for (root, path) in [
        (copy.directory("40000 variables", &file), "variables"),
        (copy.directory("40000 variables", &cut_off), "variables"),
        (cut_off.clone(), "the workspace's directory"),
        (copy.directory("40000 variables", &copy.directory("100644 a.toml", &empty)), &empty),
    ] {
        let fault = copy.read(&root, "").await.unwrap_err();
        assert_eq!((fault.code(), fault.is_transient()), ("garbled", false), "{root}: {fault}");
        assert!(fault.to_string().contains(path), "{fault}");
    }
    let above = copy.directory("40000 teams", &cut_off);
    assert_eq!(copy.read(&above, "main:teams/a").await.unwrap_err().code(), "garbled");
}

#[tokio::test]
async fn a_directory_that_only_resembles_one_of_documents_may_be_unreadable() {
    let copy = Copy::new().await;
    let (file, cut_off) = (copy.write("blob", b"a"), copy.write("tree", b"100644 a\0short"));
    for object in [file, cut_off, "1".repeat(40)] {
        let root = copy.directory("40000 Variables", &object);
        assert_eq!(copy.read(&root, "").await.unwrap().iter().count(), 0, "{object}");
    }
}

#[tokio::test]
async fn many_tests_hide_no_directory_with_a_slip_in_its_name() {
    let copy = Copy::new().await;
    let file = id_of(&copy.write("blob", b"a"));
    let entries = (0..HINT_ENTRIES).map(|at| [format!("100644 {at:04}.txt\0").as_bytes(), &file].concat());
    let tests = id_of(&copy.write("tree", &entries.collect::<Vec<_>>().concat()));
    let slip = id_of(&copy.directory("100644 limit.toml", &copy.write("blob", b"a")));
    let root: [&[u8]; 4] = [b"40000 Tests\0", &tests, b"40000 Variables\0", &slip];
    let read = copy.read(&copy.write("tree", &root.concat()), "").await.unwrap();
    let findings = rototo_engine::lint::lint(&rototo_engine::parse::parse(read)).diagnostics;
    assert!(findings.iter().any(|finding| finding.message.contains("`Variables`")), "{findings:?}");
}

#[tokio::test]
async fn an_answer_that_is_no_line_ends_git() {
    let (copy, limits) = (Copy::new().await, Limits { git_timeout: Duration::from_secs(20), ..Limits::default() });
    let Source::Git(git) = "git+file:///nowhere.git".parse().unwrap() else { panic!() };
    let (program, path) = (program(&git, &limits), copy.path());
    let mut objects = ObjectReader::start(&program, &path).unwrap();
    let fault = objects.read(&["a".repeat(5_000)], |_, _| Ok(())).await.unwrap_err();
    assert_eq!(fault.code(), "git_failed", "{fault}");
}

#[tokio::test]
async fn a_file_that_the_disk_has_lost_bytes_of_is_damage() {
    let copy = Copy::new().await;
    let noise: String = (0_u64..5_000).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()).collect();
    let file = copy.write("blob", noise.as_bytes());
    let root = copy.directory("100644 rototo-workspace.toml", &file);
    let object = copy.path().join("objects").join(&file[..2]).join(&file[2..]);
    make_writable(&object);
    let bytes = fs::read(&object).unwrap();
    fs::write(&object, &bytes[..bytes.len() / 2]).unwrap();
    let fault = copy.read(&root, "").await.unwrap_err();
    assert_eq!((fault.code(), fault.is_transient()), ("kept_copy_damaged", true), "{fault}");
}

fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}
