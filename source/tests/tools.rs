//! Archives as the tools of people and hosts make them, and hosts that answer with something else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rototo_source::{Access, Source, SourceError};
use support::https::{HttpsServer, redirect, respond};
use support::{MANIFEST, Repository, credentials, paths, reader, tree, write_directory};

/// An entry of an archive: a file, or a link.
#[derive(Clone, Copy)]
enum Entry {
    File(&'static str, &'static str),
    Link(&'static str, &'static str),
}

use Entry::{File, Link};

fn tar_gz(entries: &[Entry]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        match entry {
            File(path, text) => {
                header.set_size(text.len() as u64);
                archive.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn zip(entries: &[Entry]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for entry in entries {
        match entry {
            File(path, text) => {
                archive.start_file(*path, options).unwrap();
                archive.write_all(text.as_bytes()).unwrap();
            }
            Link(path, target) => archive.add_symlink(*path, *target, options).unwrap(),
        }
    }
    archive.finish().unwrap().into_inner()
}

async fn read_from(server: &HttpsServer, path: &str) -> Result<Vec<String>, SourceError> {
    let source: Source = format!("https://{}/{path}", server.address()).parse().unwrap();
    let access = Access::new(source, credentials(&[("ca.crt", &server.authority.pem())]));
    reader().read(access).await.map(|(_, tree)| paths(&tree))
}

/// Reads the entries packed in each way.
async fn read(entries: &[Entry], fragment: &str) -> Vec<Result<Vec<String>, SourceError>> {
    let mut outcomes = Vec::new();
    for (name, bytes) in [("a.tar.gz", tar_gz(entries)), ("a.zip", zip(entries))] {
        let server = HttpsServer::start(move |_| respond(200, &[], bytes.clone()));
        outcomes.push(read_from(&server, &format!("{name}{fragment}")).await);
    }
    outcomes
}

#[tokio::test]
async fn what_a_file_manager_adds_is_left_out() {
    let finder = [
        File("ws/rototo-workspace.toml", MANIFEST.1),
        File("ws/variables/v.toml", "v"),
        File("ws/.DS_Store", "\0"),
        File("__MACOSX/._ws", "\0"),
        File("__MACOSX/ws/._rototo-workspace.toml", "\0"),
        File("__MACOSX/ws/variables/._v.toml", "\0"),
        File("._ws", "\0"),
        File("ws/._rototo-workspace.toml", "\0"),
        File("ws/variables/._v.toml", "\0"),
    ];
    for outcome in read(&finder, "").await {
        assert_eq!(outcome.unwrap(), ["rototo-workspace.toml", "variables/v.toml"]);
    }
    let (_directory, root) = write_directory(&[MANIFEST, ("variables/v.toml", "v"), ("variables/._v.toml", "\0")]);
    let (_, read) = reader().read(&root.to_str().unwrap().parse::<Source>().unwrap()).await.unwrap();
    assert_eq!(read.fingerprint(), tree(&[MANIFEST, ("variables/v.toml", "v")]).fingerprint());
}

#[tokio::test]
async fn long_names_are_read_as_git_and_gnu_tar_write_them() {
    let long = format!("variables/{}.toml", "a".repeat(140));
    let repository = Repository::new();
    repository.commit(&[MANIFEST, (&long, "a")]);
    let git = repository.path().join("git.tar.gz");
    repository.git(&["archive", "--prefix=top/", "-o", git.to_str().unwrap(), "HEAD"]);
    let mut archives = vec![std::fs::read(git).unwrap()];
    for format in ["gnu", "posix", "ustar"] {
        let made = repository.path().join(format!("{format}.tar.gz"));
        let mut command = std::process::Command::new("tar");
        command.current_dir(repository.path()).arg(format!("--format={format}")).args(["--sort=name", "-czf"]);
        let short = if format == "ustar" { "variables" } else { &*long };
        assert!(command.arg(&made).args([MANIFEST.0, short]).status().is_ok() && made.exists());
        archives.push(std::fs::read(made).unwrap());
    }
    // ustar has no place for this name, and tar leaves it out.
    let expected = [true, true, true, false];
    for (bytes, long_is_read) in archives.into_iter().zip(expected) {
        let server = HttpsServer::start(move |_| respond(200, &[], bytes.clone()));
        let read = read_from(&server, "a.tar.gz").await.unwrap();
        assert_eq!(read.contains(&long), long_is_read, "{read:?}");
    }
}

#[tokio::test]
async fn an_entry_with_two_sizes_is_refused() {
    // Readers that believe one of them see other entries than readers that believe the other.
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (size, text) in [("1", "a"), ("512", "b")] {
        archive.append_pax_extensions([("size", size.as_bytes())]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, format!("variables/{text}.toml"), text.as_bytes()).unwrap();
    }
    let bytes = archive.into_inner().unwrap().finish().unwrap();
    let server = HttpsServer::start(move |_| respond(200, &[], bytes.clone()));
    let error = read_from(&server, "a.tar.gz").await.unwrap_err();
    assert!(
        error.code() == "archive_damaged" && error.to_string().contains("`variables/b.toml` has two sizes"),
        "{error}"
    );
}

#[tokio::test]
async fn links_beside_the_workspace_are_left_out_and_links_in_it_are_refused() {
    let repository = [
        File("mono-main/web/a.js", ""),
        Link("mono-main/web/b.js", "a.js"),
        Link("mono-main/schemas", "web"),
        Link("mono-main/config/current", "prod"),
        File("mono-main/config/prod/rototo-workspace.toml", MANIFEST.1),
        File("mono-main/config/prod/variables/a.toml", "a"),
        Link("mono-main/config/prod/README.md", "../README.md"),
        File("mono-main/config/linked/rototo-workspace.toml", MANIFEST.1),
        Link("mono-main/config/linked/variables/a.toml", "../../prod/variables/a.toml"),
        Link("mono-main/config/outside/rototo-workspace.toml", "/etc/passwd"),
    ];
    for outcome in read(&repository, "#:config/prod").await {
        assert_eq!(outcome.unwrap(), ["rototo-workspace.toml", "variables/a.toml"]);
    }
    for (fragment, code, named) in [
        ("#:config/linked", "not_a_file", "`mono-main/config/linked/variables/a.toml` is a link"),
        ("#:config/outside", "not_a_file", "`mono-main/config/outside/rototo-workspace.toml` is a link"),
        ("#:config/current", "no_directory", "config/current"),
    ] {
        for outcome in read(&repository, fragment).await {
            let error = outcome.unwrap_err();
            assert!(error.code() == code && error.to_string().contains(named), "{error}");
        }
    }
    for outcome in read(&[Link("rototo-workspace.toml", "/etc/passwd"), File("a.md", "")], "").await {
        assert_eq!(outcome.unwrap_err().code(), "not_a_file");
    }
}

#[tokio::test]
async fn documents_that_are_packed_with_backslashes_are_refused_and_not_lost() {
    let mixed = [File("rototo-workspace.toml", MANIFEST.1), File("variables\\v.toml", "v")];
    let all = [File("ws\\rototo-workspace.toml", MANIFEST.1), File("ws\\variables\\v.toml", "v")];
    for (entries, fragment) in [(&mixed, ""), (&all, ""), (&all, "#:ws")] {
        for outcome in read(entries, fragment).await {
            let error = outcome.unwrap_err();
            assert_eq!((error.code(), error.is_transient()), ("backslashes", false), "{error}");
            assert!(error.to_string().contains("packed with backslashes as separators"), "{error}");
        }
    }
    // A name of a file beside the documents, as of a unit of systemd.
    let beside = [File("rototo-workspace.toml", MANIFEST.1), File("units/a\\x2db.service", "")];
    for outcome in read(&beside, "").await {
        assert_eq!(outcome.unwrap(), ["rototo-workspace.toml"]);
    }
}

#[tokio::test]
async fn the_certificate_of_an_authority_is_named_with_what_to_do() {
    let server = HttpsServer::start_with_authority(|_| respond(200, &[], ""));
    let error = read_from(&server, "a.zip").await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("host_not_trusted", false), "{error}");
    let text = error.to_string();
    assert!(text.contains("issue one for the server, with CA:FALSE") && !text.contains("Other("), "{text}");
}

#[tokio::test]
async fn a_web_page_is_no_archive() {
    let login = HttpsServer::start(|request| match &*request.path {
        "/a.zip" => redirect("/login?next=hunter2"),
        "/b.zip" => respond(200, &[], "\n <!DOCTYPE html><title>Sign in</title>"),
        _ => respond(200, &[("Content-Type", "text/html; charset=utf-8")], "<html>Sign in</html>"),
    });
    for path in ["a.zip", "b.zip", "c.tar.gz"] {
        let error = read_from(&login, path).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("web_page", false), "{error}");
        assert!(error.to_string().contains("a web page") && !error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_wait_that_a_host_asks_for_holds_with_each_status_that_refuses() {
    for status in [403, 429, 500, 503] {
        let server = HttpsServer::start(move |_| respond(status, &[("Retry-After", "120")], ""));
        let trusted = credentials(&[("ca.crt", &server.authority.pem())]);
        let reader = reader();
        for (path, code) in [("a.zip", "throttled"), ("b.zip", "host_left_alone")] {
            let source: Source = format!("https://{}/{path}", server.address()).parse().unwrap();
            let error = reader.pin(Access::new(source, trusted.clone())).await.unwrap_err();
            assert_eq!((error.code(), error.is_transient()), (code, true), "{status} {error}");
            assert!(error.retry_after().unwrap() > Duration::from_secs(110), "{error:?}");
        }
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_host_is_not_blamed_for_one_that_it_redirects_to() {
    let elsewhere = Arc::new(HttpsServer::start(|_| respond(503, &[("Retry-After", "120")], "")));
    let target = format!("https://{}/a.zip", elsewhere.address());
    let good = zip(&[File("rototo-workspace.toml", MANIFEST.1)]);
    let server = HttpsServer::start(move |request| match &*request.path {
        "/good.zip" => respond(200, &[], good.clone()),
        _ => redirect(&target),
    });
    let trusted = credentials(&[("ca.crt", &(server.authority.pem() + &elsewhere.authority.pem()))]);
    let reader = reader();
    let access = |path: &str| {
        let source: Source = format!("https://{}/{path}", server.address()).parse().unwrap();
        Access::new(source, trusted.clone())
    };
    assert_eq!(reader.pin(access("bad.zip")).await.unwrap_err().code(), "throttled");
    reader.pin(access("good.zip")).await.unwrap();
    // The one that failed is left alone, whoever leads there.
    assert_eq!(reader.pin(access("other.zip")).await.unwrap_err().code(), "host_left_alone");
    assert_eq!(elsewhere.requests().len(), 1);
}
