//! A file of 300 MiB is refused by its size, before anybody reads it. The test is the only one of its process, as it
//! measures the memory of the process.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs::File;

use flate2::Compression;
use flate2::write::GzEncoder;
use rototo_source::{Access, Source};
use support::https::{HttpsServer, respond};
use support::{MANIFEST, Repository, credentials, peak_memory, read, reader};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn a_file_of_300_mib_is_refused_before_it_is_read() {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    std::fs::create_dir(repository.path().join("variables")).unwrap();
    // The file is sparse, so that it costs nothing.
    File::create(repository.path().join("variables/a.toml")).unwrap().set_len(300 * MIB).unwrap();
    repository.commit(&[]);
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    // Where the disk tells of holes, the builder would write an entry for sparse files, which is refused by its kind.
    archive.sparse(false);
    archive.append_path_with_name(repository.path().join("variables/a.toml"), "variables/a.toml").unwrap();
    let archive = archive.into_inner().unwrap().finish().unwrap();
    let server = HttpsServer::start(move |_| respond(200, &[], archive.clone()));
    let trusted = credentials(&[("ca.crt", &server.authority.pem())]);

    let before = peak_memory();
    let directory: Source = repository.path().to_str().unwrap().parse().unwrap();
    for source in [directory, repository.source("main")] {
        let error = read(&reader(), &source).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("too_large", false), "{error}");
        assert!(error.to_string().contains("larger than 209715200 bytes"), "{error}");
    }
    let packed = format!("https://{}/a.tar.gz", server.address()).parse().unwrap();
    let error = reader().read(Access::new(packed, trusted)).await.unwrap_err();
    assert_eq!(error.code(), "too_large", "{error}");
    assert!(peak_memory() - before < 50 * MIB, "{} MiB more than before", (peak_memory() - before) / MIB);
}
