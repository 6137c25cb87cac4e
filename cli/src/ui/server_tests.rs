//! The server of `rototo ui`: who may ask it, by which name, and how often.

use futures::FutureExt;
use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use rototo_api::workspace::RototoWorkspace;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// A server that shows one workspace.
struct Served {
    port: u16,
    token: String,
    source: ClusterSource,
}

impl Served {
    async fn start() -> Self {
        Self::of(&[None]).await
    }

    /// Starts a server that shows the same workspace in clusters with these contexts.
    async fn of(contexts: &[Option<&str>]) -> Self {
        let server = UiServer::listen(0).await.unwrap();
        let cluster = |context: &Option<&str>| {
            let (store, mut writer) = reflector::store();
            let workspace: RototoWorkspace = serde_json::from_value(json!({
                "metadata": { "namespace": "prod", "name": "policy" },
                "spec": { "source": "git+https://git.example.com/acme/config.git" },
            }))
            .unwrap();
            writer.apply_watcher_event(&Event::Apply(workspace));
            WatchedCluster::new(context.map(str::to_owned), store, None)
        };
        let (port, token) = (server.port, server.token.clone());
        let source = ClusterSource::new(contexts.iter().map(cluster).collect(), &token);
        let routes = server.routes(source.clone());
        tokio::spawn(async move { axum::serve(server.listener, routes).await });
        Self { port, token, source }
    }

    /// Sends a request, and returns what comes until the connection ends.
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let mut stream = self.open(path, headers).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn open(&self, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

const LIST: &str = rototo_page::API;

#[tokio::test]
async fn the_data_is_for_whoever_has_the_address() {
    let served = Served::start().await;
    let host = served.host();
    let answer = served.get("/ui/", &[("host", &host)]).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("content-security-policy"), "{answer}");
    let other = format!("Bearer {}", "0".repeat(served.token.len()));
    for shown in [None, Some("Bearer "), Some("Bearer 0"), Some(other.as_str()), Some(served.token.as_str())] {
        let mut headers = vec![("host", host.as_str())];
        headers.extend(shown.map(|shown| ("authorization", shown)));
        let answer = served.get(LIST, &headers).await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("policy\""), "{shown:?}: {answer}");
    }
    let bearer = format!("Bearer {}", served.token);
    let answer = served.get(LIST, &[("host", &host), ("authorization", &bearer)]).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""name":"policy""#), "{answer}");
}

#[tokio::test]
async fn a_name_that_somebody_points_at_this_machine_is_refused() {
    let served = Served::start().await;
    let bearer = format!("Bearer {}", served.token);
    let own = served.host();
    for host in [&own, &own.replace("127.0.0.1", "localhost")] {
        let answer = served.get(LIST, &[("host", host), ("authorization", &bearer)]).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    let others = ["evil.example.com", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example.com", ""];
    for path in [LIST, "/ui/", "/ui/main.js"] {
        for host in others {
            let answer = served.get(path, &[("host", host), ("authorization", &bearer)]).await;
            assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("other_host"), "{path} {host}: {answer}");
        }
        assert!(served.get(path, &[]).await.starts_with("HTTP/1.1 403"), "without a host");
    }
}

#[tokio::test]
async fn the_token_is_in_no_request_and_is_another_each_time() {
    let [one, two] = [UiServer::listen(0).await.unwrap(), UiServer::listen(0).await.unwrap()];
    assert!(one.url().split_once("#token=").is_some_and(|(_, token)| token.len() == 64), "{}", one.url());
    assert_ne!(one.token, two.token);
    let taken = UiServer::listen(one.port).await.err().unwrap().to_string();
    assert!(taken.contains("name another --port"), "{taken}");
}

#[tokio::test]
async fn the_streams_are_limited() {
    let served = Served::start().await;
    let (host, bearer) = (served.host(), format!("Bearer {}", served.token));
    let headers = [("host", host.as_str()), ("authorization", &bearer), ("accept", "text/event-stream")];
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut stream = served.open(LIST, &headers).await;
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        open.push(stream);
    }
    assert!(served.get(LIST, &headers).await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn trouble_with_the_api_server_is_shown_until_it_is_over() {
    let served = Served::start().await;
    let (host, bearer) = (served.host(), format!("Bearer {}", served.token));
    let headers = [("host", host.as_str()), ("authorization", bearer.as_str())];
    served.source.clusters()[0].set_trouble(Some("it does not answer".to_owned()));
    assert!(served.get(LIST, &headers).await.contains(r#""trouble":"it does not answer""#));
    served.source.clusters()[0].set_trouble(None);
    assert!(served.get(LIST, &headers).await.contains(r#""trouble":null"#));
}

#[tokio::test]
async fn a_denial_of_one_cluster_is_its_trouble_and_does_not_end_the_page() {
    let served = Served::of(&[Some("eu"), Some("us")]).await;
    let (host, bearer) = (served.host(), format!("Bearer {}", served.token));
    let headers = [("host", host.as_str()), ("authorization", bearer.as_str())];
    let us = &served.source.clusters()[1];
    let denied = futures::stream::iter([Err(WatchProblem::Lasting(anyhow::anyhow!("you may not read")))]);
    let ended = watch(us, denied.chain(futures::stream::pending())).now_or_never();
    assert!(ended.is_none(), "{ended:?}");
    // The API server still answers other requests.
    us.set_trouble(None);
    let answer = served.get(LIST, &headers).await;
    assert!(answer.contains(r#""trouble":"us: you may not read""#) && answer.contains(r#""cluster":"eu""#), "{answer}");
}

#[tokio::test]
async fn a_workspace_of_several_clusters_is_one_of_each() {
    let served = Served::of(&[Some("eu"), Some("us")]).await;
    let (host, bearer) = (served.host(), format!("Bearer {}", served.token));
    let headers = [("host", host.as_str()), ("authorization", bearer.as_str())];
    served.source.clusters()[1].set_trouble(Some("it does not answer".to_owned()));
    let answer = served.get(LIST, &headers).await;
    for part in [r#""cluster":"eu""#, r#""cluster":"us""#, r#""trouble":"us: it does not answer""#] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    let one = format!("{LIST}/prod/policy");
    let answer = served.get(&format!("{one}?cluster=us"), &headers).await;
    assert!(answer.contains(r#""cluster":"us""#) && !answer.contains(r#""cluster":"eu""#), "{answer}");
    for path in [format!("{one}?cluster=ap"), one] {
        assert!(served.get(&path, &headers).await.starts_with("HTTP/1.1 404"), "{path}");
    }
}
