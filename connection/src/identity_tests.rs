//! Client certificates that are replaced while a client runs. The server checks the certificate of the connection at each
//! request, as the API server does.

use std::sync::Mutex;

use kube::config::ExecConfig;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::api_error;

const PATIENCE: Duration = Duration::from_secs(20);
const AT_ONCE: Pace = Pace { read_every: Duration::ZERO, pause: Duration::ZERO };
const WHEN_REFUSED: Pace = Pace { read_every: Duration::MAX, pause: Duration::ZERO };

/// A certificate with its key, as PEM.
struct Signed {
    certificate: String,
    key: String,
    der: Vec<u8>,
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn signs(&self, name: &str) -> Signed {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        Signed { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }
}

/// A server that accepts one client certificate, and answers any other with 401.
#[derive(Clone, Default)]
struct ApiServer {
    accepts: Arc<Mutex<Vec<u8>>>,
}

impl ApiServer {
    async fn start(authority: &Authority) -> (Self, Config) {
        let own = authority.signs("127.0.0.1");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        let tls = tls.with_client_cert_verifier(verifier).with_single_cert(vec![own.der.into()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
        config.root_cert = Some(vec![CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap().to_vec()]);
        let (server, acceptor) = (Self::default(), TlsAcceptor::from(Arc::new(tls)));
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, server) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        server.answer(stream).await;
                    }
                });
            }
        });
        (server, config)
    }

    async fn answer(&self, mut stream: TlsStream<TcpStream>) {
        let presented = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        let mut request = Vec::new();
        while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            request.clear();
            let is_accepted = *self.accepts.lock().unwrap() == presented;
            let status = if is_accepted { "200 OK" } else { "401 Unauthorized" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn accept(&self, signed: &Signed) {
        self.accepts.lock().unwrap().clone_from(&signed.der);
    }
}

fn made(config: Config, pace: Pace) -> Client {
    prepared(config, TimeLimits::ByKind, pace).unwrap().0
}

async fn version(client: &Client) -> Result<String, String> {
    let request = Request::get("/version").body(Vec::new()).unwrap();
    client.request_text(request).await.map_err(|error| api_error(&error))
}

#[tokio::test]
async fn a_certificate_file_is_read_again_and_its_certificate_gets_connections_of_its_own() {
    let authority = Authority::new();
    let (first, second) = (authority.signs("first"), authority.signs("second"));
    for pace in [AT_ONCE, WHEN_REFUSED] {
        let (server, mut config) = ApiServer::start(&authority).await;
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
        std::fs::write(&certificate, &first.certificate).unwrap();
        std::fs::write(&key, &first.key).unwrap();
        config.auth_info.client_certificate = certificate.to_str().map(str::to_owned);
        config.auth_info.client_key = key.to_str().map(str::to_owned);
        let client = made(config, pace);
        server.accept(&first);
        assert_eq!(version(&client).await.unwrap(), "{}");
        // The certificate is replaced before its key, and the API server still accepts the one before.
        std::fs::write(&certificate, &second.certificate).unwrap();
        assert_eq!(version(&client).await.unwrap(), "{}");
        std::fs::write(&key, &second.key).unwrap();
        server.accept(&second);
        assert_eq!(version(&client).await.unwrap(), "{}");
        std::fs::remove_file(&key).unwrap();
        assert_eq!(version(&client).await.unwrap(), "{}");
    }
}

#[tokio::test]
async fn a_certificate_of_a_program_is_made_again_once_it_has_ended_or_is_refused() {
    let authority = Authority::new();
    let (first, second) = (authority.signs("first"), authority.signs("second"));
    for (pace, ends) in [(AT_ONCE, Some("2020-01-01T00:00:00Z")), (WHEN_REFUSED, None)] {
        let (server, mut config) = ApiServer::start(&authority).await;
        let made_file = tempfile::NamedTempFile::new().unwrap();
        let makes = |signed: &Signed| {
            let Signed { certificate, key, .. } = signed;
            let mut status = json!({ "clientCertificateData": certificate, "clientKeyData": key });
            if let Some(ends) = ends {
                status["expirationTimestamp"] = ends.into();
            }
            std::fs::write(made_file.path(), json!({ "status": status }).to_string()).unwrap();
        };
        let exec = json!({ "command": "cat", "args": [made_file.path()], "interactiveMode": "Never" });
        config.auth_info.exec = Some(serde_json::from_value::<ExecConfig>(exec).unwrap());
        let client = made(config, pace);
        makes(&first);
        server.accept(&first);
        assert_eq!(version(&client).await.unwrap(), "{}");
        makes(&second);
        server.accept(&second);
        assert_eq!(version(&client).await.unwrap(), "{}", "{ends:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_an_error_with_its_file() {
    let mut config = Config::new("https://127.0.0.1:9".parse().unwrap());
    config.auth_info.client_certificate = Some("/no/such/tls.crt".to_owned());
    config.auth_info.client_key = Some("/no/such/tls.key".to_owned());
    let error = api_error(&api_server(config, PATIENCE).err().unwrap());
    assert!(error.starts_with("the file /no/such/tls.crt of the user's client certificate can't be read"), "{error}");
}
