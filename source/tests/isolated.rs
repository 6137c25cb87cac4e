//! An isolated git, as an operator has it: what a repository or a host brings along has no effect on this machine.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rototo_source::{Access, GitSetup, Limits, Reader, ReaderOptions, Source};
use support::git_http::serve_git;
use support::https::{HttpsServer, respond};
use support::{MANIFEST, Repository, credentials, paths, read};

fn isolated() -> Reader {
    Reader::new(ReaderOptions { git: GitSetup::Isolated, ..ReaderOptions::default() }).unwrap()
}

fn access(server: &HttpsServer) -> Access {
    let source: Source = format!("git+https://{}/.git#main", server.address()).parse().unwrap();
    Access::new(source, credentials(&[("ca.crt", &server.authority.pem())]))
}

/// Serves `repository` over https.
fn serve(repository: &Repository) -> HttpsServer {
    let root = repository.path().to_owned();
    HttpsServer::start(move |request| serve_git(&root, request))
}

#[tokio::test]
async fn a_directory_that_inflates_beyond_the_memory_of_git_fails_alone() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let blob = repository.git(&["rev-parse", "HEAD:rototo-workspace.toml"]);
    let good = repository.git(&["rev-parse", "HEAD"]);
    let variables = repository.inflated_tree(320);
    let root = format!("100644 blob {blob}\trototo-workspace.toml\n040000 tree {variables}\tvariables\n");
    repository.commit_tree(&repository.make_tree(&root));
    let server = serve(&repository);
    let reader = isolated();
    let error = reader.read(access(&server)).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("git_out_of_memory", false), "{error}");
    assert!(error.to_string().contains("268435456 bytes of memory"), "{error}");

    // The same reader reads what the branch is put back to.
    repository.git(&["update-ref", "refs/heads/main", &good]);
    assert_eq!(paths(&reader.read(access(&server)).await.unwrap().1), ["rototo-workspace.toml"]);
}

#[tokio::test]
async fn a_host_that_lists_refs_without_end_fails_alone() {
    let server = HttpsServer::start(|_| {
        Box::new(|to| {
            to.write_all(b"HTTP/1.1 200 Fine\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n")?;
            to.write_all(b"001e# service=git-upload-pack\n0000")?;
            let line = format!("{} refs/heads/{}\n", "a".repeat(40), "b".repeat(1000));
            let lines = format!("{:04x}{line}", line.len() + 4).repeat(1000);
            loop {
                to.write_all(lines.as_bytes())?;
            }
        })
    });
    // A busy machine fills the memory of git only after a while.
    let limits = Limits { git_timeout: Duration::from_secs(600), ..Limits::default() };
    for setup in [GitSetup::Isolated, GitSetup::Own] {
        let reader =
            Reader::new(ReaderOptions { git: setup, limits: limits.clone(), ..ReaderOptions::default() }).unwrap();
        let error = reader.pin(access(&server)).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("git_out_of_memory", false), "{setup:?}: {error}");
    }
}

#[tokio::test]
async fn a_large_directory_above_the_workspace_is_refused_by_its_size() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    // It fits into the memory of git, and is above what is read of directories above a workspace.
    let parent = repository.inflated_tree(32);
    repository.commit_tree(&repository.make_tree(&format!("040000 tree {parent}\tteams\n")));
    for (fragment, code) in [("main:teams/a", "too_large"), ("main:teams/a/b", "no_directory")] {
        let error = read(&isolated(), &repository.source(fragment)).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), (code, false), "{fragment}: {error}");
    }
}

/// Sets up everything in `repository` that makes some program of git run another program, which would make `canary`.
fn booby_trap(repository: &Repository, canary: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let script = repository.path().join("trap.sh");
    std::fs::write(&script, format!("#!/bin/sh\necho ran >> '{}'\n", canary.display())).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let trap = script.display().to_string();
    for hook in ["post-checkout", "post-merge", "reference-transaction", "pre-auto-gc", "post-upload-pack"] {
        std::fs::copy(&script, repository.path().join(".git/hooks").join(hook)).unwrap();
    }
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "core.askPass",
        "core.pager",
        "credential.helper",
        "diff.external",
        "filter.trap.smudge",
        "filter.trap.process",
        "uploadpack.packObjectsHook",
        "uploadarchive.hook",
        "alias.cat-file",
        "alias.fetch",
    ] {
        let value = if key.starts_with("alias") { format!("!{trap}") } else { trap.clone() };
        repository.git(&["config", key, &value]);
    }
    repository.git(&["config", "protocol.ext.allow", "always"]);
    repository.git(&["config", &format!("url.ext::{trap}.insteadOf"), "https://"]);
    std::fs::create_dir_all(repository.path().join(".git/objects/info")).unwrap();
    std::fs::write(repository.path().join(".git/objects/info/alternates"), "/nowhere/objects\n").unwrap();
}

#[tokio::test]
async fn nothing_that_a_repository_names_is_run() {
    let repository = Repository::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let canary = elsewhere.path().join("canary");
    let head = repository.commit(&[
        MANIFEST,
        ("variables/a.toml", "a"),
        (".gitattributes", "* filter=trap diff=trap merge=trap\n"),
        (
            ".gitmodules",
            "[submodule \"x\"]\n\tpath = sub\n\turl = ext::sh -c 'touch canary'\n\tupdate = !touch canary\n",
        ),
        (".lfsconfig", "[lfs]\n\turl = ext::sh\n"),
    ]);
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},sub")]);
    repository.git(&["commit", "--quiet", "-m", "a submodule"]);
    booby_trap(&repository, &canary);
    let server = serve(&repository);
    for setup in [GitSetup::Isolated, GitSetup::Own] {
        let reader = Reader::new(ReaderOptions { git: setup, ..ReaderOptions::default() }).unwrap();
        let files = ["rototo-workspace.toml", "variables/a.toml"];
        assert_eq!(paths(&read(&reader, &repository.source("main")).await.unwrap()), files);
        assert_eq!(paths(&reader.read(access(&server)).await.unwrap().1), files);
        assert!(!canary.exists(), "{setup:?}: {}", std::fs::read_to_string(&canary).unwrap());
    }
}

#[tokio::test]
async fn names_that_begin_with_a_dash_are_no_options() {
    let repository = Repository::new();
    repository.commit(&[
        MANIFEST,
        ("-c/rototo-workspace.toml", MANIFEST.1),
        ("--all/rototo-workspace.toml", MANIFEST.1),
    ]);
    let head = repository.head();
    // Git itself makes no such branch.
    let packed = format!("# pack-refs with: peeled fully-peeled sorted \n{head} refs/heads/--upload-pack=touch\n");
    std::fs::write(repository.path().join(".git/packed-refs"), packed).unwrap();
    for source in ["--upload-pack=touch", "-x", "-"] {
        let text = format!("git+file://{}#{source}", repository.path().display());
        assert!(text.parse::<Source>().is_err(), "{text}");
    }
    for source in ["git+ssh://-oProxyCommand=touch/r.git#main", "git+https://-x/r.git", "git+ssh://git@-x/r.git"] {
        assert!(source.parse::<Source>().is_err(), "{source}");
    }
    for fragment in ["refs/heads/--upload-pack=touch", "main:-c", "main:--all"] {
        let read = read(&isolated(), &repository.source(fragment)).await.unwrap();
        assert!(paths(&read).contains(&"rototo-workspace.toml".to_owned()), "{fragment}");
    }
}

/// Reads what the parent test names, with the environment that it sets, and prints the code of the error.
#[tokio::test]
async fn reads_the_source_that_its_environment_names() {
    let (Ok(source), Ok(ca)) = (std::env::var("ROTOTO_TEST_SOURCE"), std::env::var("ROTOTO_TEST_CA")) else { return };
    let access = Access::new(source.parse().unwrap(), credentials(&[("ca.crt", &ca)]));
    let code = isolated().read(access).await.map_or_else(|error| error.code(), |_| "opened");
    println!("the source: {code}");
}

#[test]
fn what_is_in_the_home_directory_opens_no_source_of_others() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let root = repository.path().to_owned();
    let server = HttpsServer::start(move |request| match request.header("authorization") {
        // `user:hunter2`
        Some("Basic dXNlcjpodW50ZXIy") => serve_git(&root, request),
        _ => respond(401, &[("WWW-Authenticate", "Basic realm=\"test\"")], ""),
    });
    let helper = "[credential]\n\thelper = \"!f() { echo username=user; echo password=hunter2; }; f\"\n";
    let login = format!("[url \"https://user:hunter2@{0}/\"]\n\tinsteadOf = https://{0}/\n", server.address());
    for (path, text) in [
        (".netrc", "machine 127.0.0.1 login user password hunter2\n"),
        (".gitconfig", helper),
        (".gitconfig", &*login),
        (".config/git/config", &*login),
    ] {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(".config/git")).unwrap();
        std::fs::write(home.path().join(path), text).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "reads_the_source_that_its_environment_names", "--nocapture"]);
        command.env("HOME", home.path()).env("XDG_CONFIG_HOME", home.path().join(".config"));
        command.env("ROTOTO_TEST_SOURCE", format!("git+https://{}/.git#main", server.address()));
        let output = command.env("ROTOTO_TEST_CA", server.authority.pem()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("the source: access_denied"), "{path}: {text}{said}");
    }
}
