//! The authorities that a host is checked against, and those of the hosts that it redirects to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::io::Write;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use rototo_source::{Access, Source};
use support::https::{HttpsServer, redirect, respond};
use support::{MANIFEST, credentials, reader};

const URL: &str = "ROTOTO_TEST_ARCHIVE";
const CA: &str = "ROTOTO_TEST_CA";

/// Reads the archive that the parent test names, with its `ca.crt`, and the authorities of a machine that the parent made.
#[tokio::test]
async fn reads_the_archive_that_its_environment_names() {
    let (Ok(url), Ok(ca)) = (std::env::var(URL), std::env::var(CA)) else { return };
    let access = Access::new(url.parse::<Source>().unwrap(), credentials(&[("ca.crt", &ca)]));
    let read = reader().read(access).await;
    println!("code={}", read.err().map_or("read", |error| error.code()));
}

/// Runs the test above on a machine with these authorities. Returns the code of the error, or `read`.
fn read_on_a_machine_with(authorities: &str, ca: &str, server: &HttpsServer) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(authorities.as_bytes()).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "reads_the_archive_that_its_environment_names", "--nocapture"]);
    command.env(URL, format!("https://{}/a.tar.gz", server.address())).env(CA, ca);
    command.env("SSL_CERT_FILE", file.path()).env_remove("SSL_CERT_DIR");
    for (name, _) in std::env::vars_os() {
        if name.to_ascii_lowercase().to_string_lossy().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let code = output.lines().find_map(|line| line.split_once("code=")).map(|(_, code)| code.to_owned());
    code.unwrap_or_else(|| panic!("{output}"))
}

fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let (path, text) = MANIFEST;
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

/// A server behind a private authority often redirects to an object store with a public certificate.
#[test]
fn a_host_that_is_redirected_to_may_have_a_certificate_of_the_machines_authorities() {
    let bytes = archive();
    let store = HttpsServer::start(move |_| respond(200, &[], bytes.clone()));
    let target = format!("https://{}/signed.tar.gz", store.address());
    let server = HttpsServer::start(move |_| redirect(&target));
    let (private, public) = (server.authority.pem(), store.authority.pem());
    assert_eq!(read_on_a_machine_with(&public, &private, &server), "read");
    let both = private.clone() + &public;
    assert_eq!(read_on_a_machine_with("", &both, &server), "read");
    assert_eq!(read_on_a_machine_with("", &private, &server), "host_not_trusted");
}

#[test]
fn the_host_of_a_source_with_an_authority_is_checked_against_it_alone() {
    let bytes = archive();
    let server = HttpsServer::start(move |_| respond(200, &[], bytes.clone()));
    let other = HttpsServer::start(|_| respond(200, &[], ""));
    let (own, foreign) = (server.authority.pem(), other.authority.pem());
    assert_eq!(read_on_a_machine_with(&foreign, &own, &server), "read");
    assert_eq!(read_on_a_machine_with(&own, &foreign, &server), "host_not_trusted");
}
