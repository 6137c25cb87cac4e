//! A stub of a proxy in front of the page, which gives the page's files, and answers its requests itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The answer to each request for a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrontAnswer {
    /// A redirect to a sign-in at another origin.
    Elsewhere,
    /// A redirect to a sign-in at the same origin.
    Here,
    /// A refusal for people.
    Forbidden,
    /// The form of a sign-in.
    Form,
    /// A document without a workspace, as the operator gives it to somebody who is signed in.
    Document,
}

/// The stub. It ends when this is dropped.
pub(crate) struct Front {
    address: SocketAddr,
    answer: Arc<Mutex<FrontAnswer>>,
    serving: JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen as a proxy in front of the page")?;
        let address = listener.local_addr().context("read the address of the proxy")?;
        let answer = Arc::new(Mutex::new(FrontAnswer::Document));
        let routes = Router::new()
            .route("/ui/", get(async || file("index.html")))
            .route("/ui/{file}", get(async |Path(name): Path<String>| file(&name)))
            .route("/ui/api/workspaces", get(document))
            .route("/sign-in", get(async || form(StatusCode::OK)))
            .with_state((address, answer.clone()));
        let serving = tokio::spawn(async move {
            // It is ended, and never ends by itself.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { address, answer, serving })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/ui/", self.address)
    }

    /// Answers each request for a document so from now on.
    pub(crate) fn answers(&self, answer: FrontAnswer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Returns a file of the page as it is in this checkout.
fn file(name: &str) -> Response {
    let kind = match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript",
        Some((_, "css")) => "text/css",
        _ => "text/html",
    };
    match std::fs::read(xtask::cargo::root().join("page/assets").join(name)) {
        Ok(content) => ([(CONTENT_TYPE, kind)], content).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn form(status: StatusCode) -> Response {
    (status, [(CONTENT_TYPE, "text/html")], "<h1>Who are you?</h1>").into_response()
}

async fn document(State((address, answer)): State<(SocketAddr, Arc<Mutex<FrontAnswer>>)>) -> Response {
    let answer = *answer.lock().unwrap_or_else(PoisonError::into_inner);
    let to = |place: String| (StatusCode::FOUND, [(LOCATION, place)]).into_response();
    match answer {
        FrontAnswer::Elsewhere => to(format!("http://localhost:{}/sign-in", address.port())),
        FrontAnswer::Here => to("/sign-in".to_owned()),
        FrontAnswer::Forbidden => form(StatusCode::FORBIDDEN),
        FrontAnswer::Form => form(StatusCode::OK),
        FrontAnswer::Document => {
            let data = r#"{"now":"2026-11-20T18:40:00Z","trouble":null,"all":true,"gone":[],"parts":[]}"#;
            ([(CONTENT_TYPE, "text/event-stream")], format!("event: document\ndata: {data}\n\n")).into_response()
        }
    }
}
