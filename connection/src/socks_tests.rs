//! API servers behind a SOCKS proxy, which is real as far as RFC 1928 and RFC 1929 go.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::api_error;

const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy that connects everything to one server, and records the logins and the targets.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
        let recorded = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let recorded = recorded.clone();
                tokio::spawn(async move { proxy(stream, server, &recorded).await });
            }
        });
        Self { port, asked }
    }
}

async fn proxy(mut client: TcpStream, server: u16, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let methods = client.read_u16().await? & 0xff;
    let mut offered = vec![0; methods.into()];
    client.read_exact(&mut offered).await?;
    let with_login = offered.contains(&2);
    client.write_all(&[5, if with_login { 2 } else { 0 }]).await?;
    let mut login = Vec::new();
    if with_login {
        assert_eq!(client.read_u8().await?, 1);
        login = [text(&mut client).await?, text(&mut client).await?].join(":").into_bytes();
        client.write_all(&[1, 0]).await?;
    }
    // Version, command, reserved, and the kind of address.
    let mut header = [0; 4];
    client.read_exact(&mut header).await?;
    let host = match header {
        [5, 1, 0, 1] => std::net::Ipv4Addr::from(client.read_u32().await?).to_string(),
        [5, 1, 0, 3] => text(&mut client).await?,
        [5, 1, 0, 4] => std::net::Ipv6Addr::from(client.read_u128().await?).to_string(),
        other => panic!("{other:?}"),
    };
    let port = client.read_u16().await?;
    asked.lock().unwrap().push(format!("{}@{host} {port}", String::from_utf8(login).unwrap()));
    let mut server = TcpStream::connect(("127.0.0.1", server)).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Reads a text after its length.
async fn text(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// Serves `{}`, and returns the port.
async fn api_server_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().fallback(async || "{}");
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn version(server: &str, proxy: &str) -> Result<String, String> {
    let mut config = Config::new(server.parse().unwrap());
    config.proxy_url = Some(proxy.parse().unwrap());
    let client = api_server(config, PATIENCE).map_err(|error| api_error(&error))?;
    let request = Request::get("/version").body(Vec::new()).unwrap();
    client.request_text(request).await.map_err(|error| api_error(&error))
}

#[tokio::test]
async fn an_api_server_is_reached_through_a_socks_proxy_which_resolves_its_name() {
    let proxy = Proxy::before(api_server_port().await).await;
    // No name server knows this name.
    let server = "http://api.cluster.example.com:6443";
    for scheme in ["socks5", "socks5h"] {
        for login in ["", "user:p%40ss@"] {
            let answer = version(server, &format!("{scheme}://{login}127.0.0.1:{}", proxy.port)).await;
            assert_eq!(answer.unwrap(), "{}", "{scheme} {login}");
        }
    }
    let of_address = version("http://[fd00::1]:6443", &format!("socks5://127.0.0.1:{}", proxy.port)).await;
    assert_eq!(of_address.unwrap(), "{}");
    let (without, with) = ("@api.cluster.example.com 6443", "user:p@ss@api.cluster.example.com 6443");
    assert_eq!(*proxy.asked.lock().unwrap(), [without, with, without, with, "@fd00::1 6443"]);
}

#[tokio::test]
async fn a_socks_proxy_that_is_not_there_is_named_without_its_login() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = version("http://api.example.com", &format!("socks5://u:hunter2@127.0.0.1:{port}")).await.unwrap_err();
    assert!(error.contains(&format!("the proxy socks5://127.0.0.1:{port}/ gives no connection")), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_socks_proxy_without_a_port_has_the_usual_one() {
    let with_port = |uri: &'static str| with_port(&Uri::from_static(uri), SOCKS_PORT).map(|uri| uri.to_string());
    assert_eq!(with_port("socks5://proxy.corp").as_deref(), Some("socks5://proxy.corp:1080/"));
    assert_eq!(with_port("socks5://[fd00::1]").as_deref(), Some("socks5://[fd00::1]:1080/"));
}
