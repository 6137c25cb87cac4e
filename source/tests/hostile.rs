//! Sources made to do harm are refused by the default limits before they cost anything. The other bombs are in
//! `archives.rs`, and the file of 300 MiB in `large.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::io::Write;

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
    // Its directory is never in memory.
    assert_eq!(code_of_archive("a.zip", zip.finish().unwrap().into_inner()).await, "archive_too_many_entries");
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

#[tokio::test]
async fn entries_of_a_zip_that_share_their_content_count_each() {
    // One entry of 30 MiB, and a directory that names it as ten documents: 300 MiB from 30 KiB.
    const COPIES: usize = 10;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("variables/0.toml", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&vec![b'#'; 30 << 20]).unwrap();
    let whole = zip.finish().unwrap().into_inner();
    let find = |signature: &[u8]| whole.windows(4).rposition(|bytes| bytes == signature).unwrap();
    let (directory, end) = (find(b"PK\x01\x02"), find(b"PK\x05\x06"));
    let entry = &whole[directory..end];
    let mut bomb = whole[..directory].to_vec();
    for copy in 0..COPIES {
        let mut named = entry.to_vec();
        let digit = named.windows(6).position(|bytes| bytes == b"0.toml").unwrap();
        named[digit] = b'0' + u8::try_from(copy).unwrap();
        bomb.extend(named);
    }
    let mut tail = whole[end..].to_vec();
    let count = u16::try_from(COPIES).unwrap().to_le_bytes();
    tail[8..10].copy_from_slice(&count);
    tail[10..12].copy_from_slice(&count);
    tail[12..16].copy_from_slice(&u32::try_from(entry.len() * COPIES).unwrap().to_le_bytes());
    bomb.extend(tail);
    assert!(bomb.len() < 64 << 10, "{}", bomb.len());
    assert_eq!(code_of_archive("a.zip", bomb).await, "too_large");
}
