//! A server with a certificate that is not trusted, has ended, or is for another host.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::{Address, Endpoint, RequestError, Trust};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

/// Serves with a certificate of the authority for `host` that ends in `year`. Returns the URL.
async fn serve(authority: &Authority, host: &str, year: i32) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = CertificateDer::from(params.signed_by(&key, &authority.issuer).unwrap());
    serve_with(certificate, &key).await
}

/// Serves with a certificate. Returns the URL.
async fn serve_with(certificate: CertificateDer<'static>, key: &KeyPair) -> String {
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The connection is closed at once: only its handshake counts.
            drop(acceptor.accept(stream).await);
        }
    });
    url
}

async fn error(url: &str, trusted: String) -> RequestError {
    let endpoint = Endpoint::open(&Address { url: url.to_owned(), ca: Trust::Pem(trusted) }).unwrap();
    let request = Request::get("/").body(Vec::new()).unwrap();
    endpoint.send(request, Duration::from_secs(20), 1024).await.unwrap_err()
}

#[tokio::test]
async fn an_error_says_that_a_certificate_is_not_trusted_and_why() {
    let (one, other) = (authority("one"), authority("other"));
    let url = serve(&one, "127.0.0.1", 2100).await;
    let both = format!("{}{}", other.pem, one.pem);
    assert!(matches!(error(&url, both.clone()).await, RequestError::Failed(_)), "it was trusted, and then closed");
    let cases = [(url, other.pem, "UnknownIssuer"), (serve(&one, "127.0.0.2", 2100).await, both.clone(), "127.0.0.2")];
    let ended = (serve(&one, "127.0.0.1", 2020).await, both, "expired");
    for (url, trusted, expected) in cases.into_iter().chain([ended]) {
        let error = error(&url, trusted).await;
        let text = error.to_string();
        assert!(matches!(error, RequestError::Untrusted(_)), "{text}");
        assert!(text.contains("not trusted") && text.contains(expected) && text.contains("marker map"), "{text}");
    }
}

/// Returns the error of a request to an API server, by a client that trusts these certificates.
async fn api_server_error(url: &str, trusted: &str) -> String {
    let mut config = kube::Config::new(url.parse().unwrap());
    config.root_cert = Some(super::certificates(trusted).unwrap());
    let client = crate::api_server(config, Duration::from_secs(300)).unwrap();
    crate::api_error(&client.request_text(Request::get("/version").body(Vec::new()).unwrap()).await.unwrap_err())
}

#[tokio::test]
async fn an_error_says_which_authority_the_certificate_of_the_api_server_needs() {
    let (one, other) = (authority("one"), authority("other"));
    let text = api_server_error(&serve(&one, "127.0.0.1", 2100).await, &other.pem).await;
    assert!(text.contains("must be the CA that issued the server's certificate"), "{text}");
    // Another fault is shown as it is.
    let text = api_server_error(&serve(&one, "127.0.0.1", 2020).await, &one.pem).await;
    assert!(text.contains("expired") && !text.contains("must be the CA"), "{text}");
}

#[tokio::test]
async fn a_server_whose_certificate_is_that_of_a_ca_is_named_with_the_remedy() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let pem = certificate.pem();
    let text = api_server_error(&serve_with(CertificateDer::from(certificate), &key).await, &pem).await;
    assert!(text.contains("is itself that of a CA") && text.contains("let a CA issue"), "{text}");
}
