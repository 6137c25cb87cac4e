//! The server on this machine: its address, its token, and the requests that it refuses.

use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::future::try_join_all;
use rototo_page::{Refusal, routes};
use tokio::net::TcpListener;
use tokio::time::sleep;
use uuid::Uuid;

use crate::cluster::{NamespaceClient, WatchProblem};
use crate::ui::source::{ClusterSource, WatchedCluster};

/// The interval at which the API server is asked whether it still answers.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// A server that listens already.
pub(crate) struct UiServer {
    listener: TcpListener,
    port: u16,
    token: String,
}

impl UiServer {
    /// Listens at `port` of the loopback interface; 0 is a free port.
    pub(crate) async fn listen(port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener =
            listener.with_context(|| format!("127.0.0.1:{port} can't be listened at: name another --port"))?;
        let port = listener.local_addr().context("the address is not known")?.port();
        // Two UUIDs have 244 random bits of the operating system.
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Ok(Self { listener, port, token })
    }

    /// Returns the address of the page. No request has the part after `#`, so no log and no proxy gets the token.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/ui/#token={}", self.port, self.token)
    }

    fn routes(&self, source: ClusterSource) -> Router {
        let hosts = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{}", self.port));
        routes(source).layer(from_fn_with_state(hosts, named_here))
    }
}

/// A cluster, and the context of the kubeconfig if there are several.
pub(crate) type NamedCluster = (Option<String>, NamespaceClient);

/// Serves the workspaces of the clusters. An API server that refuses to be read is the trouble of its cluster alone.
pub(crate) async fn serve(
    server: UiServer,
    clusters: Vec<NamedCluster>,
    everywhere: bool,
    confirm: bool,
) -> anyhow::Result<()> {
    let (clients, watched): (Vec<_>, Vec<_>) = clusters
        .into_iter()
        .map(|(context, client)| {
            let (workspaces, events) = client.follow_workspaces(everywhere);
            let confirms = confirm.then(|| client.clone());
            ((client, events), WatchedCluster::new(context, workspaces, confirms))
        })
        .unzip();
    let source = ClusterSource::new(watched, &server.token);
    let routes = server.routes(source.clone());
    let watches = source.clusters().iter().zip(clients).map(|(watched, (client, events))| async move {
        tokio::select! {
            ended = watch(watched, events) => ended,
            never = ask(watched, &client, everywhere) => match never {},
        }
    });
    tokio::select! {
        served = axum::serve(server.listener, routes) => served.context("the server has failed"),
        ended = try_join_all(watches) => ended.map(drop),
    }
}

/// Keeps the workspaces of a cluster up to date.
async fn watch(
    cluster: &WatchedCluster,
    events: impl futures::Stream<Item = Result<(), WatchProblem>>,
) -> anyhow::Result<()> {
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(()) => {}
            Err(WatchProblem::Passing(error)) => cluster.set_trouble(Some(format!("{error:#}"))),
            Err(WatchProblem::Lasting(error)) => cluster.set_denied(format!("{error:#}")),
        }
    }
    bail!("the watch of the workspaces ended")
}

/// Asks the API server again and again whether it answers: a watch is silent while nothing changes, and when it is cut
/// off.
async fn ask(cluster: &WatchedCluster, client: &NamespaceClient, everywhere: bool) -> std::convert::Infallible {
    loop {
        let answer = client.answers(everywhere).await;
        cluster.set_trouble(answer.err().map(|error| format!("{error:#}")));
        sleep(ASKED_EVERY).await;
    }
}

/// Refuses a request that names another host than this machine.
async fn named_here(State(hosts): State<[String; 2]>, request: Request, next: Next) -> Response {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if named.is_some_and(|named| hosts.iter().any(|host| host == named)) {
        return next.run(request).await;
    }
    let message = format!("this server answers as {}, and as no other host", hosts.join(" and "));
    Refusal::new(StatusCode::FORBIDDEN, "other_host", message).into_response()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
