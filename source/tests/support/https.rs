//! A small HTTPS server with a certificate of its own authority. One thread per connection, one request each.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// A request that the server got.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Writes a response, valid or not.
pub type Response = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()>>;

pub fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
    let body = body.into();
    let mut head = format!("HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    Box::new(move |to| {
        to.write_all(head.as_bytes())?;
        to.write_all(&body)
    })
}

pub fn redirect(to: &str) -> Response {
    respond(302, &[("Location", to)], "")
}

/// An authority that signs servers and clients.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub struct Certificate {
    pub certificate: String,
    pub key: String,
    der: (CertificateDer<'static>, Vec<u8>),
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Authorities of one name would be mistaken for each other.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("Test Authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn sign(&self, name: &str) -> Certificate {
        self.sign_for(&[name])
    }

    fn sign_for(&self, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let der = (certificate.der().clone(), key.serialize_der());
        Certificate { certificate: certificate.pem(), key: key.serialize_pem(), der }
    }
}

/// A name of every server, which no name server knows.
pub const NAME: &str = "git.example.com";

pub struct HttpsServer {
    pub authority: Authority,
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

/// The clients that a server accepts: any, or those with a certificate of the same authority.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    Any,
    Certified,
}

impl HttpsServer {
    pub fn start(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        Self::start_for(Clients::Any, answer)
    }

    /// Starts a server that shows the certificate of its authority, as `openssl req -x509` makes one.
    pub fn start_with_authority(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let (certificate, key) = (authority.0.der().clone(), authority.0.key().serialize_der());
        let config = config(&authority, Clients::Any, (certificate, key));
        Self::serve(authority, config, answer)
    }

    pub fn start_for(clients: Clients, answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let authority = Authority::new();
        let config = config(&authority, clients, authority.sign_for(&["127.0.0.1", NAME]).der);
        Self::serve(authority, config, answer)
    }

    fn serve(
        authority: Authority,
        config: ServerConfig,
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, stopped) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<AtomicBool>::default());
        let (seen, over, answer) = (Arc::clone(&requests), Arc::clone(&stopped), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (config, seen, answer) = (Arc::clone(&config), Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(connection, config, &seen, &*answer));
            }
        });
        Self { authority, port, requests, stopped }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn config(authority: &Authority, clients: Clients, own: (CertificateDer<'static>, Vec<u8>)) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Clients::Any => builder.with_no_client_auth(),
        Clients::Certified => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let (certificate, key) = own;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    builder.with_single_cert(vec![certificate], key).unwrap()
}

fn serve(
    connection: TcpStream,
    config: Arc<ServerConfig>,
    seen: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request) -> Response,
) {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), connection));
    // A client that hangs up in the middle is part of the tests.
    let Ok(request) = read(&mut stream) else { return };
    seen.lock().unwrap().push(request.clone());
    let stream = stream.get_mut();
    let _ = answer(&request)(stream);
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn read(stream: &mut BufReader<impl Read + Write>) -> io::Result<Request> {
    let line = line(stream)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut headers = HashMap::new();
    while let Some((name, value)) = self::line(stream)?.split_once(':') {
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length") {
        stream.take(length.parse().unwrap()).read_to_end(&mut body)?;
    } else if headers.contains_key("transfer-encoding") {
        loop {
            let size = u64::from_str_radix(&self::line(stream)?, 16).unwrap();
            stream.take(size).read_to_end(&mut body)?;
            self::line(stream)?;
            if size == 0 {
                break;
            }
        }
    }
    Ok(Request { method, path, query, headers, body })
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
