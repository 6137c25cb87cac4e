//! The addresses that a reader connects to for the sources of others. Each server is real, and on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use rototo_source::{Access, Egress, EgressRules, Lookup, Reader, ReaderOptions, Source, SourceError};
use support::git_http::serve_git;
use support::https::{HttpsServer, NAME, Request, redirect, respond};
use support::proxy::Proxy;
use support::sshd::Sshd;
use support::{MANIFEST, Repository, credentials, write_directory};

/// The forms of an address of this machine that programs understand.
const LOOPBACK: [&str; 10] = [
    "127.0.0.1",
    "localhost",
    "[::ffff:127.0.0.1]",
    "[::1]",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "127.1",
    "127.0.0.1.",
];

fn reader_with(egress: Egress) -> Reader {
    Reader::new(ReaderOptions { egress, ..ReaderOptions::default() }).unwrap()
}

fn checked(rules: EgressRules) -> Reader {
    reader_with(Egress::Checked(rules))
}

fn rules(loopback: bool, lookup: Lookup) -> EgressRules {
    EgressRules { loopback, lookup, ..EgressRules::default() }
}

fn this_machine(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(vec![SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port)])
}

/// Returns the sources of each kind at a host.
fn at(host: &str, port: u16) -> [Source; 3] {
    let git = format!("git+https://{host}:{port}/acme/r.git#main");
    let ssh = format!("git+ssh://git@{host}:{port}/acme/r.git#main");
    [git, ssh, format!("https://{host}:{port}/a.tar.gz")].map(|text| text.parse().unwrap())
}

/// A port that counts its connections.
struct Port {
    listener: TcpListener,
}

impl Port {
    /// The port is outside of the range from which the kernel takes ports. In that range a client of another test might
    /// still try a server that has ended, and whose port this one would get.
    fn open() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(10_000);
        let mut ports = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed)).take(1000);
        let listener = ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    fn number(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Fails if anybody has connected. The kernel has completed a connection before a client notices.
    fn nobody_connected(&self, what: &impl std::fmt::Display) {
        let accepted = self.listener.accept().map_err(|error| error.kind());
        assert!(matches!(accepted, Err(io::ErrorKind::WouldBlock)), "a connection arrived: {what}");
    }
}

async fn refused(reader: &Reader, access: impl Into<Access>) -> SourceError {
    let error = reader.read(access).await.unwrap_err();
    assert_eq!((error.code(), error.is_transient()), ("address_refused", false), "{error}");
    error
}

#[tokio::test]
async fn no_source_reaches_the_machine_itself_in_any_form_of_its_address() {
    let port = Port::open();
    for host in LOOPBACK {
        for source in at(host, port.number()) {
            refused(&checked(EgressRules::default()), &source).await;
            port.nobody_connected(&source);
        }
    }
    for source in at(NAME, port.number()) {
        let error = refused(&checked(rules(false, this_machine)), &source).await;
        assert!(error.to_string().contains("--allow-loopback-sources"), "{error}");
        port.nobody_connected(&source);
    }
}

#[tokio::test]
async fn a_persons_own_program_reaches_this_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    let mut before = 0;
    for source in LOOPBACK[..2].iter().flat_map(|host| at(host, port)) {
        reader_with(Egress::Anything).pin(&source).await.unwrap_err();
        let after = connections.load(Ordering::SeqCst);
        assert!(after > before, "{source}");
        before = after;
    }
}

#[tokio::test]
async fn no_source_names_the_metadata_service_of_a_cloud() {
    for host in ["169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "168.63.129.16", "[64:ff9b::a9fe:a9fe]"] {
        for source in at(host, 443) {
            refused(&checked(EgressRules { loopback: true, ..EgressRules::default() }), &source).await;
        }
    }
}

#[tokio::test]
async fn a_layer_is_checked_as_a_source_is() {
    let port = Port::open();
    for parent in at("localhost", port.number()) {
        let manifest = format!("schema_version = 1\nextends = [\"{parent}\"]\n");
        let (_directory, root) = write_directory(&[("rototo-workspace.toml", &manifest)]);
        let source: Source = root.to_str().unwrap().parse().unwrap();
        refused(&checked(EgressRules::default()), &source).await;
        port.nobody_connected(&parent);
    }
}

fn repository() -> (Repository, impl Fn(&Request) -> support::https::Response + Send + Sync + 'static) {
    let repository = Repository::new();
    repository.commit(&[MANIFEST]);
    let root = repository.path().to_owned();
    (repository, move |request: &Request| serve_git(&root, request))
}

fn trusted(server: &HttpsServer, source: &str) -> Access {
    Access::new(source.parse().unwrap(), credentials(&[("ca.crt", &server.authority.pem())]))
}

fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_ustar();
    header.set_size(MANIFEST.1.len() as u64);
    archive.append_data(&mut header, MANIFEST.0, MANIFEST.1.as_bytes()).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    // No name server knows the name, so only the checked address leads to the server.
    let (_repository, answer) = repository();
    let server = HttpsServer::start(answer);
    let git = trusted(&server, &format!("git+https://{NAME}:{}/.git#main", server.port()));
    checked(rules(true, this_machine)).read(git).await.unwrap();

    let server = HttpsServer::start(|_| respond(200, &[], archive()));
    let archive = trusted(&server, &format!("https://{NAME}:{}/a.tar.gz", server.port()));
    checked(rules(true, this_machine)).read(archive).await.unwrap();

    let (sshd, repository) = (Sshd::start(), Repository::new());
    repository.commit(&[MANIFEST]);
    let source = sshd.source(repository.path(), "main").replace("127.0.0.1", NAME);
    let access = |known_hosts: &str| {
        let keys = [("identity", &*sshd.identity()), ("known_hosts", known_hosts)];
        Access::new(source.parse().unwrap(), credentials(&keys))
    };
    // The host key is that of the name, and not of the address.
    let named = sshd.known_hosts().replace("127.0.0.1", NAME);
    checked(rules(true, this_machine)).read(access(&named)).await.unwrap();
    let error = checked(rules(true, this_machine)).read(access(&sshd.known_hosts())).await.unwrap_err();
    assert_eq!(error.code(), "host_not_trusted", "{error}");
}

/// Ssh knows a host at another port than 22 as `[host]:port`, and without such a line as `host`.
#[tokio::test]
async fn known_hosts_means_what_it_means_to_ssh() {
    let (sshd, repository) = (Sshd::start_certified(NAME), Repository::new());
    repository.commit(&[MANIFEST]);
    let source = sshd.source(repository.path(), "main").replace("127.0.0.1", NAME);
    let (right, wrong, authority) = (sshd.host_key(), sshd.other_key(), sshd.authority());
    let at_port = format!("[{NAME}]:{}", sshd.port());
    let hashed = sshd.hashed(&format!("{NAME} {right}"));
    let hashed_at_port = sshd.hashed(&format!("{at_port} {right}"));
    for (known_hosts, is_known) in [
        (format!("{NAME} {right}"), true),
        (hashed.clone(), true),
        (format!("{at_port} {right}"), true),
        (hashed_at_port.clone(), true),
        (format!("*.example.com,{at_port} {right}"), true),
        // The line of the port counts alone.
        (format!("{NAME} {wrong}{at_port} {right}"), true),
        (format!("{NAME} {right}{at_port} {wrong}"), false),
        (format!("{NAME} {wrong}{hashed_at_port}"), true),
        (format!("{hashed}{at_port} {wrong}"), false),
        // The certificate of the server is for its name.
        (format!("@cert-authority *.example.com {authority}"), true),
        (format!("@cert-authority {at_port} {authority}"), true),
        (format!("@cert-authority * {authority}"), true),
        (format!("@cert-authority *.example.org {authority}"), false),
        (format!("@cert-authority *.example.com {wrong}"), false),
        (format!("@revoked * {wrong}{NAME} {right}"), true),
        (format!("@revoked * {right}{NAME} {right}"), false),
        (format!("@revoked {at_port} {right}{NAME} {right}"), false),
        (format!("[{NAME}]:1 {right}"), false),
        (format!("[127.0.0.1]:{} {right}127.0.0.1 {right}", sshd.port()), false),
    ] {
        let keys = [("identity", &*sshd.identity()), ("known_hosts", &*known_hosts)];
        let access = Access::new(source.parse().unwrap(), credentials(&keys));
        let code = checked(rules(true, this_machine)).pin(access).await.err().map(|error| error.code());
        assert_eq!(code, (!is_known).then_some("host_not_trusted"), "{known_hosts}");
    }
}

#[tokio::test]
async fn a_name_whose_address_changes_after_the_check_is_checked_again() {
    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
    fn rebound(_: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let first = LOOKUPS.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(vec![SocketAddr::new(IpAddr::from(if first { [127, 0, 0, 1] } else { [169, 254, 169, 254] }), port)])
    }
    let server = HttpsServer::start(|_| respond(200, &[], archive()));
    let reader = checked(rules(true, rebound));
    let access = trusted(&server, &format!("https://{NAME}:{}/a.tar.gz", server.port()));
    reader.pin(&access).await.unwrap();
    assert_eq!(LOOKUPS.load(Ordering::SeqCst), 1, "one lookup for one connection");
    refused(&reader, &access).await;

    // Git makes several connections in one run, and each is checked.
    LOOKUPS.store(0, Ordering::SeqCst);
    let (_repository, answer) = repository();
    let server = HttpsServer::start(answer);
    refused(&reader, trusted(&server, &format!("git+https://{NAME}:{}/.git#main", server.port()))).await;
    assert_eq!((LOOKUPS.load(Ordering::SeqCst), server.requests().len()), (2, 1));
}

#[tokio::test]
async fn a_redirect_leads_to_no_address_that_a_source_may_not_have() {
    let port = Port::open();
    let denied = vec![("127.0.0.1".to_owned(), port.number())];
    let rules = EgressRules { loopback: true, denied, lookup: this_machine };
    for host in ["127.0.0.1", NAME] {
        let target = format!("https://{host}:{}/.git/info/refs?service=git-upload-pack", port.number());
        let server = HttpsServer::start(move |_| redirect(&target));
        for source in
            [format!("git+https://{}/.git#main", server.address()), format!("https://{}/a.zip", server.address())]
        {
            let error = refused(&checked(rules.clone()), trusted(&server, &source)).await;
            assert!(error.to_string().contains("API server"), "{error}");
            port.nobody_connected(&source);
        }
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_redirect_to_an_allowed_address_is_followed() {
    let (_repository, answer) = repository();
    let server = HttpsServer::start(move |request| match request.path.strip_prefix("/old") {
        Some(path) => redirect(&format!("{path}?{}", request.query)),
        None => answer(request),
    });
    let access = trusted(&server, &format!("git+https://{}/old/.git#main", server.address()));
    checked(EgressRules { loopback: true, ..EgressRules::default() }).read(access).await.unwrap();
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_unreachable_and_not_refused() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for source in at("127.0.0.1", closed) {
        let reader = checked(EgressRules { loopback: true, ..EgressRules::default() });
        let error = reader.pin(&source).await.unwrap_err();
        assert_eq!((error.code(), error.is_transient()), ("unreachable", true), "{error}");
    }
}

#[tokio::test]
async fn behind_a_proxy_names_and_written_addresses_are_still_checked() {
    let (_repository, answer) = repository();
    let server = HttpsServer::start(answer);
    let proxy = Proxy::start();
    let through = |loopback| {
        let egress = Egress::Checked(EgressRules { loopback, ..EgressRules::default() });
        let options = ReaderOptions { proxy: Some(proxy.url().parse().unwrap()), egress, ..ReaderOptions::default() };
        Reader::new(options).unwrap()
    };
    for host in LOOPBACK {
        let [git, _, archive] = at(host, server.port());
        refused(&through(false), &git).await;
        refused(&through(false), &archive).await;
    }
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
    through(true).read(trusted(&server, &format!("git+https://{}/.git#main", server.address()))).await.unwrap();
    assert!(!proxy.asked().is_empty());
}

#[tokio::test]
async fn a_host_of_plain_files_names_no_other_host_for_its_objects() {
    let port = Port::open();
    let alternate = format!("https://127.0.0.1:{}/objects\n", port.number());
    let commit = "1".repeat(40);
    let server = HttpsServer::start(move |request| match &*request.path {
        "/r.git/info/refs" => respond(200, &[("Content-Type", "text/plain")], format!("{commit}\trefs/heads/main\n")),
        "/r.git/HEAD" => respond(200, &[], "ref: refs/heads/main\n"),
        "/r.git/objects/info/http-alternates" | "/r.git/objects/info/alternates" => {
            respond(200, &[], alternate.clone())
        }
        _ => respond(404, &[], ""),
    });
    for egress in [Egress::Anything, Egress::Checked(EgressRules { loopback: true, ..EgressRules::default() })] {
        for fragment in ["main", "1111111111111111111111111111111111111111"] {
            let access = trusted(&server, &format!("git+https://{}/r.git#{fragment}", server.address()));
            reader_with(egress.clone()).read(access).await.unwrap_err();
            port.nobody_connected(&fragment);
        }
    }
}
