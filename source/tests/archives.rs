//! Archives behind real HTTPS servers, honest and dishonest ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rototo_source::{Access, Credentials, Limits, Reader, ReaderOptions, Source, SourceError, Version};
use support::https::{Clients, HttpsServer, Request, Response, redirect, respond};
use support::proxy::Proxy;
use support::{MANIFEST, credentials, paths, reader, tree};

const FILES: [(&str, &str); 3] = [MANIFEST, ("variables/a.toml", "a"), ("docs/x.md", "hello")];

fn tar_gz(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// Makes a tar archive with one additional entry, of any kind, name, and size.
fn tar_gz_with(kind: tar::EntryType, path: &str, size: u64) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    archive.append(&header, std::io::Read::take(std::io::repeat(0), size)).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (path, text) in files {
        archive.start_file(*path, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn serve(bytes: Vec<u8>) -> HttpsServer {
    HttpsServer::start(move |_| respond(200, &[], bytes.clone()))
}

fn access(server: &HttpsServer, path: &str) -> Access {
    let source: Source = format!("https://{}/{path}", server.address()).parse().unwrap();
    Access::new(source, trust(server))
}

fn trust(server: &HttpsServer) -> Credentials {
    credentials(&[("ca.crt", &server.authority.pem())])
}

async fn failure(server: &HttpsServer, path: &str, limits: Limits) -> SourceError {
    let reader = Reader::new(ReaderOptions { limits, ..ReaderOptions::default() }).unwrap();
    let error = reader.read(access(server, path)).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    error
}

async fn code(server: &HttpsServer, path: &str) -> &'static str {
    failure(server, path, Limits::default()).await.code()
}

#[tokio::test]
async fn archives_of_each_kind_are_read() {
    let within = |root: &str| FILES.map(|(path, text)| (format!("{root}{path}"), text));
    for root in ["", "config-1.0/"] {
        let files = within(root);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, *text)).collect();
        for (path, bytes) in [("a.tar.gz", tar_gz(&files)), ("a.tgz", tar_gz(&files)), ("a.zip", zip(&files))] {
            let server = serve(bytes);
            let (pinned, read) = reader().read(access(&server, path)).await.unwrap();
            assert_eq!(read.fingerprint(), tree(&FILES).fingerprint(), "{root}{path}: {:?}", paths(&read));
            assert!(matches!(pinned.version(), Some(Version::Content(_))));
            assert!(pinned.revision().is_none() && !pinned.immutable());
        }
    }
}

#[tokio::test]
async fn what_stands_beside_the_documents_reaches_lint() {
    let files = [MANIFEST, ("Qualifiers/q.toml", "q"), ("variables/team/b.toml", "b")];
    let nested = files.map(|(path, text)| (format!("config-1.0/{path}"), text));
    let nested: Vec<(&str, &str)> = nested.iter().map(|(path, text)| (&**path, *text)).collect();
    let expected = ["error Qualifiers", "warning variables/team"];
    for bytes in [zip(&files), zip(&nested)] {
        let (_, read) = reader().read(access(&serve(bytes), "a.zip")).await.unwrap();
        assert_eq!(support::beside(&read), expected);
    }
    let (_, read) = reader().read(access(&serve(tar_gz(&files)), "a.tar.gz")).await.unwrap();
    assert_eq!(support::beside(&read), expected);
}

#[tokio::test]
async fn a_workspace_in_a_directory_of_an_archive_may_extend_its_neighbour() {
    let own = "schema_version = 1\nextends = [\"../base\"]\n";
    let files = [
        ("r-1/envs/prod/rototo-workspace.toml", own),
        ("r-1/envs/base/rototo-workspace.toml", MANIFEST.1),
        ("r-1/envs/base/variables/a.toml", "base"),
    ];
    let server = serve(tar_gz(&files));
    let (pinned, read) = reader().read(access(&server, "a.tar.gz#:envs/prod")).await.unwrap();
    assert_eq!(paths(&read), ["rototo-workspace.toml", "variables/a.toml"]);
    assert_eq!(pinned.layers().count(), 2);
    assert_eq!(code(&server, "a.tar.gz#:envs/none").await, "no_directory");
    assert_eq!(code(&server, "a.tar.gz").await, "no_workspace");
}

#[tokio::test]
async fn an_unchanged_archive_is_not_sent_again() {
    let text = Arc::new(Mutex::new("1"));
    let now = Arc::clone(&text);
    let server = HttpsServer::start(move |request| {
        let text = *now.lock().unwrap();
        let etag = format!("\"v{text}\"");
        if request.header("if-none-match") == Some(&etag) {
            return respond(304, &[], "");
        }
        respond(200, &[("ETag", &etag)], tar_gz(&[MANIFEST, ("variables/a.toml", text)]))
    });
    let reader = reader();
    let access = access(&server, "a.tar.gz");
    let (first, before) = reader.read(&access).await.unwrap();
    let Some(Version::Validator(validator)) = first.version() else { panic!("{first:?}") };
    assert!(validator.starts_with("etag:\"v1\" sha256:"), "{validator}");
    assert!(reader.pin(&access).await.unwrap().is_same_content(&first));
    assert_eq!(server.requests().len(), 2);
    assert!(reader.pin_within(&access, Duration::from_secs(3600)).await.unwrap().is_same_content(&first));
    assert_eq!(server.requests().len(), 2, "a young answer will do");

    *text.lock().unwrap() = "2";
    let news = reader.pin(&access).await.unwrap();
    assert_ne!(news, first);
    let after = reader.fetch(&news).await.unwrap();
    assert_ne!(after.fingerprint(), before.fingerprint());
    let error = reader.fetch(&first).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("archive_changed", true), "{error}");
}

#[tokio::test]
async fn an_archive_that_changes_under_the_same_validator_is_another_version() {
    for validator in [("Last-Modified", "Thu, 01 Jan 1970 00:00:01 GMT"), ("ETag", "W/\"1\"")] {
        let text = Arc::new(Mutex::new("1"));
        let now = Arc::clone(&text);
        let server = HttpsServer::start(move |_| {
            respond(200, &[validator], tar_gz(&[MANIFEST, ("variables/a.toml", *now.lock().unwrap())]))
        });
        let (reader, access) = (reader(), access(&server, "a.tar.gz"));
        let (first, before) = reader.read(&access).await.unwrap();
        assert!(reader.pin(&access).await.unwrap().is_same_content(&first), "{validator:?}");

        *text.lock().unwrap() = "2";
        let second = reader.pin(&access).await.unwrap();
        assert_ne!(second.version(), first.version(), "{validator:?}");
        assert_ne!(reader.fetch(&second).await.unwrap().fingerprint(), before.fingerprint(), "{validator:?}");
    }
}

/// A server that compares dates says that an archive which is older than the known one has not changed.
#[tokio::test]
async fn an_archive_that_was_rolled_back_is_read() {
    const DATES: [&str; 3] =
        ["Thu, 01 Jan 1970 00:00:01 GMT", "Thu, 01 Jan 1970 00:00:02 GMT", "Thu, 01 Jan 1970 00:00:03 GMT"];
    let served = Arc::new(Mutex::new(2));
    let now = Arc::clone(&served);
    let server = HttpsServer::start(move |request| {
        let number: usize = *now.lock().unwrap();
        let known = request.header("if-modified-since").map(|date| DATES.iter().position(|known| *known == date));
        if known.is_some_and(|known| Some(number) <= known) {
            return respond(304, &[], "");
        }
        let archive = tar_gz(&[MANIFEST, ("variables/a.toml", &number.to_string())]);
        respond(200, &[("Last-Modified", DATES[number])], archive)
    });
    let (reader, access) = (reader(), access(&server, "a.tar.gz"));
    let (new, _) = reader.read(&access).await.unwrap();
    assert!(reader.pin(&access).await.unwrap().is_same_content(&new));
    *served.lock().unwrap() = 1;
    let (_, old) = reader.read(&access).await.unwrap();
    assert_eq!(old.fingerprint(), tree(&[MANIFEST, ("variables/a.toml", "1")]).fingerprint());
}

#[tokio::test]
async fn a_confirmation_that_nobody_asked_for_is_none() {
    let answers = Arc::new(Mutex::new(0));
    let server = HttpsServer::start(move |_| {
        *answers.lock().unwrap() += 1;
        if *answers.lock().unwrap() == 1 { respond(200, &[], tar_gz(&FILES)) } else { respond(304, &[], "") }
    });
    let (reader, access) = (reader(), access(&server, "a.tar.gz"));
    reader.read(&access).await.unwrap();
    assert_eq!(reader.pin(&access).await.unwrap_err().code(), "unexpected_answer");
}

#[tokio::test]
async fn a_token_or_a_password_opens_an_archive() {
    for (keys, wanted) in [
        (&[("bearerToken", "hunter2")][..], "Bearer hunter2"),
        (&[("username", "user"), ("password", "hunter2")], "Basic dXNlcjpodW50ZXIy"),
    ] {
        let server = HttpsServer::start(move |request| match request.header("authorization") {
            Some(said) if said == wanted => respond(200, &[], tar_gz(&FILES)),
            _ => respond(401, &[], "hunter2"),
        });
        let ca = server.authority.pem();
        let keys: Vec<(&str, &str)> = keys.iter().copied().chain([("ca.crt", &*ca)]).collect();
        let source: Source = format!("https://{}/a.tar.gz", server.address()).parse().unwrap();
        reader().read(Access::new(source, credentials(&keys))).await.unwrap();
        assert_eq!(code(&server, "a.tar.gz").await, "access_denied");
    }
}

#[tokio::test]
async fn a_client_certificate_opens_an_archive() {
    let server = HttpsServer::start_for(Clients::Certified, |_| respond(200, &[], tar_gz(&FILES)));
    let client = server.authority.sign("client");
    let ca = server.authority.pem();
    let keys = [("ca.crt", &*ca), ("tls.crt", &*client.certificate), ("tls.key", &*client.key)];
    let source: Source = format!("https://{}/a.tar.gz", server.address()).parse().unwrap();
    reader().read(Access::new(source, credentials(&keys))).await.unwrap();
    assert!(reader().read(access(&server, "a.tar.gz")).await.is_err());
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_trusted() {
    let server = serve(tar_gz(&FILES));
    let source: Source = format!("https://{}/a.tar.gz", server.address()).parse().unwrap();
    let error = reader().pin(&source).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("host_not_trusted", false), "{error}");
}

#[tokio::test]
async fn an_archive_is_read_through_the_proxy() {
    let server = serve(tar_gz(&FILES));
    let proxy = Proxy::start();
    let options = ReaderOptions { proxy: Some(proxy.url().parse().unwrap()), ..ReaderOptions::default() };
    Reader::new(options).unwrap().read(access(&server, "a.tar.gz")).await.unwrap();
    let asked = proxy.asked();
    assert!(asked[0].starts_with(&format!("CONNECT {}", server.address())), "{asked:?}");
}

#[tokio::test]
async fn a_redirect_is_followed_to_https_without_the_token() {
    let elsewhere = Arc::new(serve(tar_gz(&FILES)));
    let target = format!("https://{}/signed.bin?signature=hunter2", elsewhere.address());
    let server = HttpsServer::start(move |request| match &*request.path {
        "/a.tar.gz" => redirect("b.tar.gz"),
        _ => redirect(&target),
    });
    let both = server.authority.pem() + &elsewhere.authority.pem();
    let source: Source = format!("https://{}/a.tar.gz", server.address()).parse().unwrap();
    let access = Access::new(source, credentials(&[("bearerToken", "hunter2"), ("ca.crt", &both)]));
    reader().read(access).await.unwrap();
    let sends_credentials = |request: &Request| request.header("authorization").is_some();
    assert_eq!(server.requests().iter().filter(|request| sends_credentials(request)).count(), 2);
    assert!(elsewhere.requests().len() == 1 && !elsewhere.requests().iter().any(sends_credentials));
}

#[tokio::test]
async fn a_redirect_to_another_protocol_or_in_circles_is_not_followed() {
    for target in ["http://127.0.0.1:1/a.tar.gz", "file:///etc/passwd", "/a.tar.gz?hunter2"] {
        let server = HttpsServer::start(move |_| redirect(target));
        assert_eq!(code(&server, "a.tar.gz").await, "redirected", "{target}");
    }
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up() {
    let trickle = |head: &'static [u8]| -> Box<dyn Fn(&Request) -> Response + Send + Sync> {
        Box::new(move |_| {
            Box::new(move |to: &mut dyn Write| {
                to.write_all(head)?;
                // Until the client has gone.
                loop {
                    to.write_all(b"1")?;
                    to.flush()?;
                    std::thread::sleep(Duration::from_millis(10));
                }
            })
        })
    };
    for head in [&b"HTTP/1.1 200 Fine\r\nX-"[..], b"HTTP/1.1 200 Fine\r\nContent-Length: 1000000\r\n\r\n"] {
        let server = HttpsServer::start(trickle(head));
        let limits = Limits { http_timeout: Duration::from_millis(500), ..Limits::default() };
        let error = failure(&server, "a.tar.gz", limits).await;
        assert_eq!((error.code(), error.is_transient()), ("http_timed_out", true), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_content_length_is_detected() {
    let raw = |head: String, body: Vec<u8>| {
        HttpsServer::start(move |_| {
            let (head, body) = (head.clone(), body.clone());
            Box::new(move |to: &mut dyn Write| {
                to.write_all(head.as_bytes())?;
                to.write_all(&body)
            })
        })
    };
    let archive = tar_gz(&FILES);
    let longer = raw(format!("HTTP/1.1 200 Fine\r\nContent-Length: {}\r\n\r\n", archive.len() + 10), archive.clone());
    let error = failure(&longer, "a.tar.gz", Limits::default()).await;
    assert_eq!((error.code(), error.is_transient()), ("interrupted", true), "{error}");

    let shorter = raw(format!("HTTP/1.1 200 Fine\r\nContent-Length: {}\r\n\r\n", archive.len() - 10), archive.clone());
    assert_eq!(code(&shorter, "a.tar.gz").await, "archive_damaged");

    let huge = raw("HTTP/1.1 200 Fine\r\nContent-Length: 99999999999\r\n\r\n".to_owned(), archive);
    assert_eq!(code(&huge, "a.tar.gz").await, "transfer_too_large");

    let endless = HttpsServer::start(|_| {
        Box::new(|to: &mut dyn Write| {
            to.write_all(b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                to.write_all(b"400\r\n")?;
                to.write_all(&[b'x'; 1024])?;
                to.write_all(b"\r\n")?;
            }
        })
    });
    let limits = Limits { download_bytes: 100_000, ..Limits::default() };
    assert_eq!(failure(&endless, "a.tar.gz", limits).await.code(), "transfer_too_large");
}

#[tokio::test]
async fn bombs_are_refused_before_they_go_off() {
    const MIB: u64 = 1 << 20;
    let huge = tar_gz_with(tar::EntryType::Regular, "variables/a.toml", 300 * MIB);
    assert!(huge.len() < 4 << 20);
    assert_eq!(code(&serve(huge), "a.tar.gz").await, "too_large");
    // A name without an end, before the first entry and outside of the documents.
    let aside = tar_gz_with(tar::EntryType::Regular, "docs/a", 300 * MIB);
    let error = failure(&serve(aside), "a.tar.gz", Limits::default()).await;
    assert!(error.to_string().contains("the archive unpacks to more than 268435456 bytes"), "{error}");
    let limits = Limits { unpacked_bytes: MIB, entries: 10, ..Limits::default() };
    let name = tar_gz_with(tar::EntryType::GNULongName, "././@LongLink", 3 * MIB);
    let error = failure(&serve(name), "a.tar.gz", limits.clone()).await;
    assert!(error.code() == "archive_damaged" && error.to_string().contains("of more than 64 KiB"), "{error}");

    let names: Vec<String> = (0..20).map(|index| format!("variables/{index}.toml")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
    assert_eq!(failure(&serve(tar_gz(&many)), "a.tar.gz", limits.clone()).await.code(), "too_many_entries");
    assert_eq!(failure(&serve(zip(&many)), "a.zip", limits.clone()).await.code(), "too_many_entries");

    let zeros = "0".repeat(2 << 20);
    let honest = zip(&[MANIFEST, ("variables/a.toml", &zeros)]);
    assert_eq!(failure(&serve(honest.clone()), "a.zip", limits.clone()).await.code(), "too_large");
    // The same, with a claim of 10 bytes in both of its directories.
    let mut lying = honest;
    let size = (2_u32 << 20).to_le_bytes();
    while let Some(place) = lying.windows(4).position(|bytes| bytes == size) {
        lying[place..place + 4].copy_from_slice(&10_u32.to_le_bytes());
    }
    assert_eq!(failure(&serve(lying), "a.zip", limits).await.code(), "archive_damaged");
}

#[tokio::test]
async fn what_stands_beside_the_documents_is_charged_apart() {
    let image = "0".repeat(1 << 20);
    let names: Vec<String> = (0..9).map(|index| format!("images/{index}.png")).collect();
    let images = names.iter().map(|name| (&**name, &*image));
    let files: Vec<(&str, &str)> = FILES.into_iter().chain(images).collect();
    let limits = Limits { unpacked_bytes: 8 << 20, entries: 5, ..Limits::default() };
    let reader = Reader::new(ReaderOptions { limits: limits.clone(), ..ReaderOptions::default() }).unwrap();
    for (path, bytes) in [("a.tar.gz", tar_gz(&files)), ("a.zip", zip(&files))] {
        let (_, read) = reader.read(access(&serve(bytes), path)).await.unwrap();
        assert_eq!(read.fingerprint(), tree(&FILES).fingerprint(), "{path}");
    }
    // The same bytes in documents.
    let names: Vec<String> = (0..9).map(|index| format!("variables/{index}.toml")).collect();
    let documents = names.iter().map(|name| (&**name, &*image));
    let files: Vec<(&str, &str)> = FILES.into_iter().chain(documents).collect();
    for (path, bytes) in [("a.tar.gz", tar_gz(&files)), ("a.zip", zip(&files))] {
        let limits = Limits { entries: 100, ..limits.clone() };
        assert_eq!(failure(&serve(bytes), path, limits).await.code(), "too_large", "{path}");
    }
}

#[tokio::test]
async fn an_archive_of_too_many_entries_is_refused_whatever_they_are() {
    let mut packed = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut listed = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for index in 0..=50_000 {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        packed.append_data(&mut header, format!("docs/{index}"), &b""[..]).unwrap();
        listed.start_file(format!("docs/{index}"), zip::write::SimpleFileOptions::default()).unwrap();
    }
    let (tar, zip) = (packed.into_inner().unwrap().finish().unwrap(), listed.finish().unwrap().into_inner());
    for (path, bytes) in [("a.tar.gz", tar), ("a.zip", zip)] {
        let error = failure(&serve(bytes), path, Limits::default()).await;
        assert!(error.to_string().contains("the archive has more than 50000 entries"), "{path}: {error}");
    }
}

#[tokio::test]
async fn devices_and_paths_that_lead_out_are_refused() {
    for (kind, path, expected) in [
        (tar::EntryType::Symlink, "rototo-workspace.toml", "not_a_file"),
        (tar::EntryType::Link, "x/rototo-workspace.toml", "not_a_file"),
        (tar::EntryType::Fifo, "rototo-workspace.toml", "not_a_file"),
        (tar::EntryType::Char, "docs/x", "no_workspace"),
        (tar::EntryType::Regular, "/etc/passwd", "unsafe_path"),
        (tar::EntryType::Regular, "a/../../x", "unsafe_path"),
    ] {
        assert_eq!(code(&serve(tar_gz_with(kind, path, 0)), "a.tar.gz").await, expected, "{kind:?} {path}");
    }
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.add_symlink("rototo-workspace.toml", "/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
    assert_eq!(code(&serve(archive.finish().unwrap().into_inner()), "a.zip").await, "not_a_file");
    assert_eq!(code(&serve(zip(&[("../x", "")])), "a.zip").await, "unsafe_path");
}

#[tokio::test]
async fn a_file_that_is_no_archive_is_refused() {
    for bytes in [b"<!-- -->".to_vec(), Vec::new(), tar_gz(&FILES)[..40].to_vec()] {
        for path in ["a.tar.gz", "a.zip"] {
            let error = failure(&serve(bytes.clone()), path, Limits::default()).await;
            assert_eq!((error.code(), error.is_transient()), ("archive_damaged", false), "{path} {error}");
        }
    }
}

#[tokio::test]
async fn each_status_code_has_its_fault() {
    for (status, expected, transient) in [
        (401, "access_denied", false),
        (403, "access_denied", false),
        (404, "no_archive", false),
        (418, "unexpected_answer", false),
        (500, "interrupted", true),
    ] {
        let server = HttpsServer::start(move |_| respond(status, &[], "hunter2"));
        let error = failure(&server, "a.tar.gz?token=hunter2", Limits::default()).await;
        assert_eq!((error.code(), error.is_transient()), (expected, transient), "{error}");
    }
    let server = HttpsServer::start(|_| respond(429, &[("Retry-After", "120")], ""));
    let reader = reader();
    let error = reader.pin(access(&server, "a.tar.gz")).await.unwrap_err();
    assert_eq!(error.code(), "throttled");
    assert!(error.retry_after().unwrap() > Duration::from_secs(110));
    let other = reader.pin(access(&server, "b.tar.gz")).await.unwrap_err();
    assert_eq!((other.code(), server.requests().len()), ("host_left_alone", 1));
}

#[tokio::test]
async fn a_redirect_to_what_no_request_can_name_is_no_fault_of_the_host() {
    for target in ["/a b.zip", "https://h h/a.zip", "https://h:x/a.zip", &*format!("/{}.zip", "a".repeat(70_000))] {
        let to = target.to_owned();
        let server = HttpsServer::start(move |request| match &*request.path {
            "/moved.zip" => redirect(&to),
            _ => respond(200, &[], zip(&FILES)),
        });
        let reader = reader();
        let error = reader.read(access(&server, "moved.zip")).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("redirected", false), "{error}");
        reader.read(access(&server, "a.zip")).await.unwrap();
    }
}
