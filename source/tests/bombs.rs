//! Archives whose headers are larger than any name: they cost no memory. The test is the only one of its process, as it
//! measures the memory of the process.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use rototo_source::{Access, Source};
use support::https::{HttpsServer, respond};
use support::{credentials, reader};

const MIB: usize = 1 << 20;

/// Returns the peak memory of this process.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn header(kind: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path("variables/a.toml").unwrap();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header
}

/// Returns an archive that begins with a header, and goes on with mebibytes of one block.
fn bomb(mut header: tar::Header, block: &[u8; 512], mebibytes: usize) -> Vec<u8> {
    header.set_cksum();
    // A gzip file may have many members.
    [gzipped(header.as_bytes()), gzipped(&block.repeat(MIB / 512)).repeat(mebibytes)].concat()
}

#[tokio::test]
async fn a_header_of_mebibytes_is_refused_before_it_is_in_memory() {
    const LARGE: usize = 96;
    let mut sparse = header(tar::EntryType::GNUSparse, 0);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.set_is_extended(true);
    gnu.set_real_size(0);
    // Each block lists 21 empty pieces of the file, and continues in the next block.
    let mut pieces = [b'0'; 512];
    pieces[504] = 1;
    let bombs = [
        ("a long name", bomb(header(tar::EntryType::GNULongName, LARGE * MIB), &[b'a'; 512], LARGE)),
        ("a pax header", bomb(header(tar::EntryType::XHeader, LARGE * MIB), &[b'1'; 512], LARGE)),
        ("a sparse file", bomb(sparse, &pieces, LARGE / 2)),
    ];
    let mut grown = Vec::new();
    for (what, archive) in bombs {
        assert!(archive.len() < 2 * MIB, "{what}: {}", archive.len());
        let server = HttpsServer::start(move |_| respond(200, &[], archive.clone()));
        let source: Source = format!("https://{}/a.tar.gz", server.address()).parse().unwrap();
        let trusted = credentials(&[("ca.crt", &server.authority.pem())]);
        let before = peak();
        let error = reader().read(Access::new(source, trusted)).await.unwrap_err();
        assert!(!error.is_transient(), "{what}: {error}");
        grown.push((what, (peak() - before) / MIB, error.to_string()));
    }
    assert!(grown.iter().all(|(_, mebibytes, _)| *mebibytes < 16), "{grown:#?}");
}
