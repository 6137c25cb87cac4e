//! Sources made to do harm are refused by the default limits before they cost anything. The other bombs are in
//! `archives.rs`, and the file of 300 MiB in `large.rs`.

#![allow(clippy::unwrap_used)]

mod support;

use flate2::Compression;
use flate2::write::GzEncoder;
use rototo_source::{Access, Source};
use support::https::{HttpsServer, respond};
use support::{MANIFEST, Repository, credentials, read, reader};

const MANY: usize = 100_000;

fn names() -> impl Iterator<Item = String> {
    (0..MANY).map(|number| format!("variables/v{number}.toml"))
}

async fn code_of_archive(name: &str, bytes: Vec<u8>) -> &'static str {
    let server = HttpsServer::start(move |_| respond(200, &[], bytes.clone()));
    let source: Source = format!("https://{}/{name}", server.address()).parse().unwrap();
    let trusted = credentials(&[("ca.crt", &server.authority.pem())]);
    reader().read(Access::new(source, trusted)).await.unwrap_err().code()
}

#[tokio::test]
async fn an_archive_of_a_hundred_thousand_entries_is_refused() {
    // A thousand entries, a hundred times: a gzip file may have many members.
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    for name in names().take(MANY / 100) {
        tar.append_data(&mut header, name, std::io::empty()).unwrap();
    }
    // The archive is dropped without the blocks that end it.
    let member = std::mem::replace(tar.get_mut(), GzEncoder::new(Vec::new(), Compression::fast())).finish().unwrap();
    assert_eq!(code_of_archive("a.tar.gz", member.repeat(100)).await, "too_many_entries");

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for name in names() {
        zip.start_file(name, stored).unwrap();
    }
    assert_eq!(code_of_archive("a.zip", zip.finish().unwrap().into_inner()).await, "too_many_entries");
}

#[tokio::test]
async fn a_directory_in_git_of_a_hundred_thousand_entries_is_refused() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let manifest = repository.git(&["rev-parse", "HEAD:rototo-workspace.toml"]);
    let blobs = |names: &mut dyn Iterator<Item = String>| {
        names.map(|name| format!("100644 blob {manifest}\t{}\n", name.rsplit('/').next().unwrap())).collect::<String>()
    };
    let variables = repository.make_tree(&blobs(&mut names()));
    let root = repository
        .make_tree(&format!("100644 blob {manifest}\trototo-workspace.toml\n040000 tree {variables}\tvariables\n"));
    repository.commit_tree(&root);
    let error = read(&reader(), &repository.source("main")).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("too_many_entries", false), "{error}");
}
