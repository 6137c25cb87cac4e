//! The real router behind a real TLS listener, beside an API server that the tests stand in for.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{Method, Request, Response, StatusCode};
use futures::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::client::Body;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event;
use rototo_api::workspace::RototoWorkspace;
use rototo_engine::Tree;
use rototo_protocol::windows::HEARTBEAT;
use rototo_source::{Egress, HttpClient, Limits, Reader, ReaderOptions};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::connections::{ConnectionLimits, Listener};
use crate::http::endpoints::Endpoints;
use crate::leader::peers::{PeerProofs, Peers};
use crate::load::metrics::LoadMetrics;
use crate::marker::map::MapMetadata;
use crate::marker::markers::Markers;
use crate::outbound::analysis::prometheus::Prometheus;
use crate::outbound::notify::sender::CommitStatuses;
use crate::outbound::telemetry::Telemetry;
use crate::reconcile::context::{ContextParts, OperatorContext};
use crate::reconcile::progress::Progress;
use crate::reconcile::requests_policy::RequestsPolicy;
use crate::reconcile::scope::WatchScope;
use crate::reconcile::sweep::sweep;
use crate::reconcile::watch_caches::WatchCaches;
use crate::source::custom_rules::CustomRules;
use crate::source::snapshots::Snapshots;
use crate::source::sources::{PollLimits, Sources};
use crate::workspace_key::WorkspaceKey;

/// The longest time that a test waits for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const NAMESPACE: &str = "prod";
pub(super) const WORKSPACE: &str = "config";
/// The key of the webhook.
pub(super) const KEY: &str = "0123456789abcdef";
/// The key that the replicas show to each other.
pub(super) const PEER_KEY: &str = "key of the replicas";

/// The answers of the API server, and the number of requests.
#[derive(Default)]
pub(super) struct ApiServer {
    pub(super) token_reviews: usize,
    pub(super) access_reviews: usize,
    pub(super) secret_reads: usize,
    /// No access review is allowed.
    pub(super) denies: bool,
    /// No token is known any more.
    pub(super) forgets: bool,
    /// Token reviews and reads of Secrets wait until they are released.
    pub(super) holds: bool,
    pub(super) waiting: usize,
    pub(super) secrets: HashMap<String, BTreeMap<String, ByteString>>,
    pub(super) events: Vec<Value>,
}

/// A server under test.
pub(crate) struct TestServer {
    pub(super) api: Arc<Mutex<ApiServer>>,
    pub(super) released: Arc<Notify>,
    pub(super) endpoints: Endpoints,
    pub(crate) context: Arc<OperatorContext>,
    pub(super) address: SocketAddr,
    workspaces: Writer<RototoWorkspace>,
    caches: Arc<WatchCaches>,
    tls: TlsConnector,
    _folder: TempDir,
    requeues: tokio::sync::mpsc::UnboundedReceiver<reflector::ObjectRef<RototoWorkspace>>,
}

/// A token that the API server knows, of a pod of [`NAMESPACE`].
pub(super) fn token(pod: &str) -> String {
    format!("good.{pod}")
}

fn user(token: &str) -> Option<Value> {
    let pod = token.strip_prefix("good.")?;
    let extra =
        json!({ "authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/pod-uid": [pod] });
    let extra = if pod.starts_with('-') { json!({}) } else { extra };
    Some(json!({ "username": format!("system:serviceaccount:{NAMESPACE}:app"), "extra": extra }))
}

async fn answer(
    api: Arc<Mutex<ApiServer>>,
    released: Arc<Notify>,
    request: Request<Body>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect_bytes().await.unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let wait = {
        let mut api = api.lock().unwrap();
        let waits = api.holds && !path.ends_with("subjectaccessreviews");
        api.waiting += usize::from(waits);
        waits
    };
    if wait {
        while api.lock().unwrap().holds {
            let _ = timeout(Duration::from_millis(20), released.notified()).await;
        }
        api.lock().unwrap().waiting -= 1;
    }
    let mut api = api.lock().unwrap();
    let (status, body) = if path.ends_with("tokenreviews") {
        api.token_reviews += 1;
        let user = user(sent["spec"]["token"].as_str().unwrap_or_default()).filter(|_| !api.forgets);
        let status = json!({ "authenticated": user.is_some(), "user": user, "audiences": ["rototo"] });
        (
            201,
            json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {}, "status": status }),
        )
    } else if path.ends_with("subjectaccessreviews") {
        api.access_reviews += 1;
        let status = json!({ "allowed": !api.denies });
        (
            201,
            json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {}, "status": status }),
        )
    } else if path.ends_with("/events") {
        api.events.push(sent.clone());
        (201, sent)
    } else {
        api.secret_reads += 1;
        let name = path.rsplit('/').next().unwrap_or_default();
        match api.secrets.get(name) {
            Some(data) => {
                (200, serde_json::to_value(Secret { data: Some(data.clone()), ..Secret::default() }).unwrap())
            }
            None => (
                404,
                json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "message": "gone", "code": 404 }),
            ),
        }
    };
    drop(api);
    Ok(Response::builder().status(status).body(Body::from(serde_json::to_vec(&body).unwrap())).unwrap())
}

/// A client of the API server.
pub(super) fn client(api: &Arc<Mutex<ApiServer>>, released: &Arc<Notify>) -> Client {
    let (api, released) = (api.clone(), released.clone());
    Client::new(tower::service_fn(move |request| answer(api.clone(), released.clone(), request)), "default")
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(ConnectionLimits::default()).await
    }

    pub(super) async fn with(limits: ConnectionLimits) -> Self {
        Self::of(limits, None).await
    }

    /// A replica whose leader is at this URL.
    pub(super) async fn replica(leader: &str) -> Self {
        let server = Self::of(ConnectionLimits::default(), Some(peers())).await;
        server.context.leadership().end();
        server.context.leadership().follow(Some(leader.to_owned()));
        server
    }

    /// A leader that has replicas.
    pub(super) async fn leader() -> Self {
        Self::of(ConnectionLimits::default(), Some(peers())).await
    }

    async fn of(limits: ConnectionLimits, peers: Option<Peers>) -> Self {
        let (api, released) = (Arc::<Mutex<ApiServer>>::default(), Arc::<Notify>::default());
        let key = BTreeMap::from([("webhook".to_owned(), ByteString(KEY.as_bytes().to_vec()))]);
        api.lock().unwrap().secrets.insert("hook".to_owned(), key);
        let client = client(&api, &released);
        let folder = tempfile::tempdir().unwrap();
        let reader =
            Reader::new(ReaderOptions { cache_dir: Some(folder.path().join("git")), ..ReaderOptions::default() });
        let snapshots = Snapshots::new(folder.path().join("snapshots"), Limits::default());
        let sources = Sources::new(
            client.clone(),
            reader.unwrap(),
            CustomRules::off(),
            snapshots,
            PollLimits::default(),
            LoadMetrics::default(),
        );
        let (workspaces, mut writer) = reflector::store();
        let (maps, mut map_writer) = reflector::store::<ConfigMap>();
        let (requeues, receiver) = tokio::sync::mpsc::unbounded_channel();
        let caches = Arc::new(WatchCaches::new(WatchScope::Cluster, workspaces, maps.clone(), requeues));
        let metadata = MapMetadata { install: "a/b".to_owned(), snapshots: String::new(), ca: String::new() };
        let markers = Markers::new(client.clone(), metadata, vec![maps]);
        let progress = Arc::new(Progress::new(Instant::now()));
        let http = || HttpClient::new(Egress::default(), None);
        let context = Arc::new(OperatorContext::new(ContextParts {
            client: client.clone(),
            sources,
            prometheus: Prometheus::new(client.clone(), http()),
            commit_statuses: CommitStatuses::new(client, http()),
            markers,
            caches: vec![caches.clone()],
            peers,
            heartbeat: HEARTBEAT,
            progress,
            requests_policy: RequestsPolicy::default(),
            telemetry: Telemetry::default(),
        }));
        context.leadership().begin(Instant::now() + Duration::from_secs(3600), None, None);
        let workspace: RototoWorkspace = serde_json::from_value(json!({
            "metadata": { "namespace": NAMESPACE, "name": WORKSPACE, "uid": "1" },
            "spec": { "source": "x", "webhook": { "secretRef": { "name": "hook" } } },
        }))
        .unwrap();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitApply(workspace.clone()));
        writer.apply_watcher_event(&Event::InitDone);
        map_writer.apply_watcher_event(&Event::Init);
        map_writer.apply_watcher_event(&Event::InitDone);
        // Whoever does not know the pods decides nothing, and is not ready.
        assert!(caches.wait_until_listed().now_or_never().is_none());
        for event in [Event::Init, Event::InitDone] {
            caches.pods().apply(&event);
        }
        assert!(caches.wait_until_listed().await);
        context.record(&workspace).lock().follow(&workspace.spec);
        let endpoints = Endpoints::new(context.clone());

        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let (certificate, private) = (certified.cert.pem(), certified.signing_key.serialize_pem());
        let serving = axum_server::tls_rustls::RustlsConfig::from_pem(certificate.into_bytes(), private.into_bytes());
        let listener = std::net::TcpListener::bind(("0.0.0.0", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
        let noted = endpoints.clone();
        let refused = move || noted.connection_refused();
        let server = Listener::new("https", limits, context.load().clone()).noting_refusals(refused);
        let server = server.serve_tls(
            listener,
            serving.await.unwrap(),
            axum_server::Handle::new(),
            crate::http::routes(endpoints.clone(), true),
        );
        tokio::spawn(server.unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certified.cert.der().to_vec())).unwrap();
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let tls = TlsConnector::from(Arc::new(tls));
        Self {
            api,
            released,
            endpoints,
            context,
            address,
            workspaces: writer,
            caches,
            tls,
            _folder: folder,
            requeues: receiver,
        }
    }

    /// Shows the server another object under the name of the workspace.
    fn recreate(&mut self) {
        let workspace = self.context.cluster().workspace(&Self::key()).unwrap();
        let mut recreated = RototoWorkspace::clone(&workspace);
        recreated.metadata.uid = Some("2".to_owned());
        self.workspaces.apply_watcher_event(&Event::Apply(recreated));
    }

    /// Shows the server the workspace as one that it can't read.
    fn show_unreadable(&mut self) {
        let workspace = RototoWorkspace::clone(&self.context.cluster().workspace(&Self::key()).unwrap());
        let invalid = InvalidObject { error: "unknown variant".to_owned(), metadata: workspace.metadata.clone() };
        self.caches.unreadable().observe(&Event::Apply(DeserializeGuard(Err(invalid))));
        self.workspaces.apply_watcher_event(&Event::Delete(workspace));
    }

    /// Shows the server a workspace of this source and this Secret with the keys of its webhook, which it follows.
    pub(super) fn show(&mut self, name: &str, source: &str, secret: &str) {
        let workspace: RototoWorkspace = serde_json::from_value(json!({
            "metadata": { "namespace": NAMESPACE, "name": name, "uid": name },
            "spec": { "source": source, "webhook": { "secretRef": { "name": secret } } },
        }))
        .unwrap();
        self.workspaces.apply_watcher_event(&Event::Apply(workspace.clone()));
        self.context.record(&workspace).lock().follow(&workspace.spec);
    }

    pub(crate) fn key() -> WorkspaceKey {
        WorkspaceKey { namespace: NAMESPACE.to_owned(), name: WORKSPACE.to_owned() }
    }

    /// Connects from this address of the loopback interface.
    pub(super) async fn connect_from(&self, from: [u8; 4]) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_as("127.0.0.1", from).await
    }

    /// Connects from this address, and asks for the certificate of this name.
    pub(super) async fn connect_as(&self, name: &'static str, from: [u8; 4]) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = timeout(PATIENCE, socket.connect(self.address)).await??;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(name).unwrap();
        timeout(PATIENCE, self.tls.connect(name, stream)).await?
    }

    pub(super) async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_from([127, 0, 0, 1]).await
    }

    /// Opens a connection for HTTP/1.1.
    pub(super) async fn http1_from(&self, from: [u8; 4]) -> http1::SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.connect_from(from).await.unwrap());
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Opens a connection for HTTP/2.
    pub(super) async fn http2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.connect().await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> (StatusCode, String) {
        self.send_from([127, 0, 0, 1], request).await
    }

    pub(super) async fn send_from(&self, from: [u8; 4], request: Request<Full<Bytes>>) -> (StatusCode, String) {
        let mut sender = self.http1_from(from).await;
        read(timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap()).await
    }

    /// Keeps this content as a snapshot of the workspace.
    pub(super) fn keep(&self, bytes: Vec<u8>) -> rototo_engine::Fingerprint {
        let manifest = ("rototo-workspace.toml".to_owned(), b"schema_version = 1\n".to_vec());
        let tree: Tree = [manifest, ("variables/a.toml".to_owned(), bytes)].into_iter().collect();
        self.context.sources().snapshots().store(&Self::key()).unwrap().put(&tree).unwrap()
    }

    pub(super) fn api(&self) -> std::sync::MutexGuard<'_, ApiServer> {
        self.api.lock().unwrap()
    }

    /// Returns how often a reconcile was asked for since the last call.
    pub(super) fn requeued(&mut self) -> usize {
        self.requeued_names().len()
    }

    /// Returns the names of the workspaces for which a reconcile was asked since the last call.
    pub(super) fn requeued_names(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.requeues.try_recv().ok()).map(|workspace| workspace.name).collect()
    }

    /// Lets everything go on that waits for the API server.
    pub(super) fn release(&self) {
        self.api().holds = false;
        self.released.notify_waiters();
    }
}

fn peers() -> Peers {
    let proofs = PeerProofs { authorities: String::new(), keys: vec![PEER_KEY.to_owned()] };
    Peers::new("operator".to_owned(), proofs)
}

pub(super) async fn read(answer: Response<Incoming>) -> (StatusCode, String) {
    let (parts, body) = answer.into_parts();
    let body = timeout(PATIENCE, body.collect()).await.unwrap().unwrap().to_bytes();
    (parts.status, String::from_utf8_lossy(&body).into_owned())
}

/// Waits until a condition holds.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// A request with a token.
pub(super) fn request(method: Method, path: &str, token: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
    request.header("authorization", format!("Bearer {token}")).body(Full::new(body.into())).unwrap()
}

pub(super) fn fleet_path(name: &str) -> String {
    format!("/v1/namespaces/{NAMESPACE}/workspaces/{name}/fleet")
}

/// The report of a process that runs nothing yet.
pub(super) fn report(number: usize) -> String {
    let process = format!("00000000-0000-4000-8000-{number:012}");
    json!({ "process": process, "version": "1", "engine_level": 1, "state": "starting" }).to_string()
}

#[tokio::test]
async fn the_evidence_about_a_workspace_is_not_that_about_its_namesake() {
    let mut server = TestServer::start().await;
    let convergence = format!("/v1/namespaces/{NAMESPACE}/workspaces/{WORKSPACE}/convergence");
    let page = format!("/ui/api/workspaces/{NAMESPACE}/{WORKSPACE}");
    for path in [&convergence, &page] {
        let (status, body) = server.send(request(Method::GET, path, &token("viewer"), "")).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
    // A request sets no metrics: the process that answers it may just have lost the Lease.
    let metrics = server.context.metrics_text();
    assert!(!metrics.contains(&format!("workspace=\"{WORKSPACE}\"")), "{metrics}");
    server.recreate();
    for path in [&convergence, &page] {
        let (status, body) = server.send(request(Method::GET, path, &token("viewer"), "")).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {body}");
    }
    let (status, body) = server.send(request(Method::GET, "/ui/api/workspaces", &token("viewer"), "")).await;
    assert!(status == StatusCode::OK && body.contains("unserved"), "{body}");
    // The first reconcile begins the record.
    let recreated = server.context.cluster().workspace(&TestServer::key()).unwrap();
    server.context.record(&recreated).lock().follow(&recreated.spec);
    let (status, body) = server.send(request(Method::GET, &convergence, &token("viewer"), "")).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["uid"]), (StatusCode::OK, &json!("2")), "{body}");
}

#[tokio::test]
async fn a_workspace_that_cannot_be_read_is_served_and_is_not_said_to_be_gone() {
    let mut server = TestServer::start().await;
    let fingerprint = server.keep(b"a".to_vec());
    let snapshot = format!("/v1/namespaces/{NAMESPACE}/workspaces/{WORKSPACE}/snapshots/{fingerprint}");
    server.show_unreadable();
    let (status, body) = server.send(request(Method::POST, &fleet_path(WORKSPACE), &token("a"), report(1))).await;
    assert_eq!(status, StatusCode::OK, "its fleet is counted: {body}");
    // After a restart.
    server.context.records().remove(&TestServer::key());
    let (status, body) = server.send(request(Method::GET, &snapshot, &token("a"), "")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let convergence = format!("/v1/namespaces/{NAMESPACE}/workspaces/{WORKSPACE}/convergence");
    let turned_away = server.context.last_turned_away();
    for (method, path, body) in [
        (Method::POST, fleet_path(WORKSPACE), report(1)),
        (Method::GET, convergence, String::new()),
        (Method::POST, format!("/hooks/{NAMESPACE}/{WORKSPACE}"), String::new()),
    ] {
        let (status, body) = server.send(request(method, &path, &token("a"), body)).await;
        assert!(status == StatusCode::NOT_IMPLEMENTED && body.contains("can't read the RototoWorkspace"), "{body}");
    }
    assert_eq!(server.context.last_turned_away(), turned_away, "other fleets are counted as before");
    let metrics = server.context.metrics_text();
    let series = format!("rototo_workspace_unreadable{{namespace=\"{NAMESPACE}\",workspace=\"{WORKSPACE}\"}} 1");
    assert!(metrics.contains(&series), "{metrics}");
    // It is not looked for again and again as one that is gone.
    let requests = server.api().secret_reads;
    assert!(sweep(&server.context, &server.caches).await.is_empty());
    assert_eq!(server.api().secret_reads, requests);
    assert!(server.context.sources().snapshots().has(&TestServer::key(), &fingerprint));
}
