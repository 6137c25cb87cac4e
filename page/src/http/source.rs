//! The subject of a request, and what a server of the page has to know: the workspaces, and who may see them.

use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rototo_api::snapshot::ErrorBody;

use crate::http::document::Document;

/// The path of the list. A workspace is below it, at `/NAMESPACE/NAME`.
pub const API: &str = "/ui/api/workspaces";
/// The interval at which a stream reads one workspace, and the list.
const WORKSPACE_EVERY: Duration = Duration::from_millis(250);
const LIST_EVERY: Duration = Duration::from_secs(1);

/// The subject of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The workspaces of a namespace, or of all.
    List {
        /// The namespace; `None` for all.
        namespace: Option<String>,
    },
    /// One workspace.
    Workspace {
        /// The context of its cluster, if there are several.
        cluster: Option<String>,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Knows the workspaces, and who may see them.
pub trait Source: Clone + Send + Sync + 'static {
    /// A place among the streams, which is free when it is dropped.
    type Place: Send + 'static;

    /// Returns the document, if whoever sent a request with these `parts` may see it.
    fn document(&self, parts: &Parts, wanted: &Wanted) -> impl Future<Output = Result<Document, Refusal>> + Send;

    /// Returns a place for a stream that a request with these `parts` asks for.
    fn place(&self, parts: &Parts) -> Result<Self::Place, Refusal>;
}

impl Wanted {
    /// Returns the interval at which a stream reads it.
    pub(super) fn every(&self) -> Duration {
        match self {
            Self::List { .. } => LIST_EVERY,
            Self::Workspace { .. } => WORKSPACE_EVERY,
        }
    }

    /// Returns its path and query at a replica of an operator, which knows one cluster.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::List { namespace: None } => API.to_owned(),
            Self::List { namespace: Some(namespace) } => format!("{API}?namespace={namespace}"),
            Self::Workspace { namespace, name, .. } => format!("{API}/{namespace}/{name}"),
        }
    }
}

/// The answer to a request that is refused.
#[derive(Debug)]
pub struct Refusal(Box<Response>);

impl Refusal {
    /// Makes an answer with a code for programs and a sentence for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &str, message: String) -> Self {
        (status, Json(ErrorBody { code: code.to_owned(), message })).into_response().into()
    }

    /// Returns the status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }
}

impl From<Response> for Refusal {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}
