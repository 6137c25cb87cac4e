//! Repositories behind a real sshd: the key of the user, and the key of the host.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use rototo_source::Access;
use support::sshd::Sshd;
use support::{MANIFEST, Repository, credentials, reader, tree};

fn access(source: &str, identity: &str, known_hosts: &str) -> Access {
    let keys = [("identity", identity), ("known_hosts", known_hosts)];
    Access::new(source.parse().unwrap(), credentials(&keys))
}

#[tokio::test]
async fn a_key_opens_a_repository_on_a_known_host() {
    let sshd = Sshd::start();
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let source = sshd.source(repository.path(), "main");
    let (pinned, read) = reader().read(access(&source, &sshd.identity(), &sshd.known_hosts())).await.unwrap();
    assert_eq!(read.fingerprint(), tree(&[MANIFEST]).fingerprint());
    assert_eq!(pinned.revision().unwrap().commit().as_str(), repository.head());

    let changed = access(&source, &sshd.identity(), &sshd.known_otherwise());
    let unknown = access(&source, &sshd.identity(), "elsewhere ssh-ed25519 AAAA");
    for access in [changed, unknown] {
        let error = reader().pin(access).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("host_not_trusted", false), "{error}");
    }

    let foreign = access(&source, &sshd.foreign_identity(), &sshd.known_hosts());
    let error = reader().pin(foreign).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("access_denied", false), "{error}");

    let missing = sshd.source(&repository.path().join("none"), "main");
    let error = reader().pin(access(&missing, &sshd.identity(), &sshd.known_hosts())).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("no_repository", false), "{error}");
}

#[tokio::test]
async fn a_host_that_closes_the_connection_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for mut connection in listener.incoming().flatten() {
            // A client whose greeting was read sees the end of the connection, and no reset.
            let _ = connection.write_all(b"SSH-2.0-Test\r\n").and_then(|()| connection.read(&mut [0; 4096]));
        }
    });
    let source = format!("git+ssh://git@127.0.0.1:{port}/r.git#main");
    let error = reader().pin(&source.parse::<rototo_source::Source>().unwrap()).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("interrupted", true), "{error}");
    assert!(error.to_string().contains("Connection"), "{error}");
}
