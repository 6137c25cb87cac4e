//! The errors of the endpoints: status, code, and a sentence for each.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rototo_api::snapshot::ErrorBody;
use rototo_engine::Fingerprint;
use rototo_protocol::fleet::NoRoom;

use crate::http::access::Denied;
use crate::http::body::BodyError;
use crate::http::webhook::WebhookRefusal;
use crate::workspace_key::WorkspaceKey;

/// The largest size of a report in bytes. A usual one has some 600.
pub(crate) const REPORT_LIMIT: usize = 8 * 1024;

/// Marks the response to a request that only the leader can answer.
#[derive(Clone, Copy)]
pub(super) struct NotLeading;

/// Marks the response to a request that was refused because of a limit, or of something that may be over soon.
#[derive(Clone, Copy)]
pub(super) struct TurnedAwayMark;

/// The reason why a request was refused.
pub(crate) enum HttpError {
    Malformed(String),
    Denied(Denied),
    UnknownFingerprint(Fingerprint),
    UnknownWorkspace(WorkspaceKey),
    /// The workspace exists, and this version can't read it.
    Unreadable(WorkspaceKey),
    NoSuchPath,
    NoSuchMethod,
    /// The body has more bytes than this.
    TooLong(usize),
    /// The body did not arrive whole and in time.
    Incomplete,
    Refused(WebhookRefusal),
    /// There are too many processes.
    NoRoom(NoRoom),
    NotLeading,
    NotAPeer,
    NotYet,
    Busy,
    Internal,
}

impl HttpError {
    /// Returns the refusal of a request whose body of at most `limit` bytes could not be read.
    pub(super) fn unread(why: BodyError, limit: usize) -> Self {
        match why {
            BodyError::TooLong => Self::TooLong(limit),
            BodyError::Incomplete => Self::Incomplete,
        }
    }

    /// Returns whether the same request might be accepted later, or is refused by a limit that does not depend on the
    /// sender.
    fn turns_away(&self) -> bool {
        match self {
            Self::Denied(denied) => {
                matches!(denied, Denied::Unavailable(_) | Denied::Crowded | Denied::TooManyRefusals { .. })
            }
            Self::Busy | Self::Incomplete | Self::Internal | Self::NotLeading | Self::NotYet | Self::TooLong(_) => true,
            // The fleet itself notes a process for which it has no room.
            Self::NoRoom(_) => false,
            Self::Malformed(_)
            | Self::UnknownFingerprint(_)
            | Self::UnknownWorkspace(_)
            | Self::Unreadable(_)
            | Self::NoSuchPath
            | Self::NoSuchMethod
            | Self::Refused(_)
            | Self::NotAPeer => false,
        }
    }

    /// Returns the status, the code, and the message of the response.
    fn parts(self) -> (StatusCode, &'static str, String) {
        match self {
            Self::Malformed(message) => (StatusCode::BAD_REQUEST, "malformed", message),
            Self::Denied(denied) => denied_parts(&denied),
            Self::UnknownFingerprint(fingerprint) => {
                let message = format!("{fingerprint} is not, or is no longer, content of this workspace");
                (StatusCode::NOT_FOUND, "unknown_fingerprint", message)
            }
            Self::UnknownWorkspace(WorkspaceKey { namespace, name }) => {
                let message = format!("there is no RototoWorkspace `{name}` in namespace {namespace}");
                (StatusCode::NOT_FOUND, "unknown_workspace", message)
            }
            // No 503: it does not pass by itself, and whoever asks need not come back in a second.
            Self::Unreadable(WorkspaceKey { namespace, name }) => {
                let message = format!(
                    "this version of the operator can't read the RototoWorkspace `{name}` in namespace {namespace}, and only \
                     serves what is published; its log says why"
                );
                (StatusCode::NOT_IMPLEMENTED, "unreadable_workspace", message)
            }
            Self::NoSuchPath => {
                let message = "there is nothing at this path: snapshots, reports, and convergence are below \
                               /v1/namespaces/NAMESPACE/workspaces/NAME";
                (StatusCode::NOT_FOUND, "no_such_path", message.to_owned())
            }
            Self::NoSuchMethod => {
                let message =
                    "GET serves snapshots, convergence, and the page, POST takes reports and webhook calls".to_owned();
                (StatusCode::METHOD_NOT_ALLOWED, "no_such_method", message)
            }
            Self::TooLong(limit) => {
                let message = format!("the body may have at most {limit} bytes");
                (StatusCode::PAYLOAD_TOO_LARGE, "too_long", message)
            }
            Self::Incomplete => {
                (StatusCode::BAD_REQUEST, "malformed", "the request was cut off: send it again".to_owned())
            }
            Self::NoRoom(full) => (StatusCode::TOO_MANY_REQUESTS, "too_many_processes", full.to_string()),
            Self::Refused(refused) => refused_parts(&refused),
            Self::NotLeading => {
                let message = "another operator process answers; try again".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "not_leading", message)
            }
            Self::NotAPeer => {
                let message = "only the replicas of this install may do this".to_owned();
                (StatusCode::FORBIDDEN, "not_a_peer", message)
            }
            Self::NotYet => {
                let message = "the operator has just started; try again".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, "starting", message)
            }
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests at once; try again".to_owned()),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the operator could not read its store; its log says why".to_owned(),
            ),
        }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let (not_leading, turned_away) = (matches!(self, Self::NotLeading), self.turns_away());
        let (status, code, message) = self.parts();
        let mut response = (status, Json(ErrorBody { code: code.to_owned(), message })).into_response();
        if not_leading {
            response.extensions_mut().insert(NotLeading);
        }
        if turned_away {
            response.extensions_mut().insert(TurnedAwayMark);
        }
        let headers = response.headers_mut();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(crate) fn denied_parts(denied: &Denied) -> (StatusCode, &'static str, String) {
    let (status, code) = match denied {
        Denied::NoToken => (StatusCode::UNAUTHORIZED, "no_token"),
        Denied::BadToken(_) => (StatusCode::UNAUTHORIZED, "bad_token"),
        Denied::Forbidden { .. } | Denied::MayNotList { .. } => (StatusCode::FORBIDDEN, "forbidden"),
        Denied::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "reviews_unavailable"),
        Denied::TooManyRefusals { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_refusals"),
        Denied::Crowded => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
    };
    (status, code, denied.to_string())
}

pub(crate) fn refused_parts(refused: &WebhookRefusal) -> (StatusCode, &'static str, String) {
    let (status, code) = match refused {
        WebhookRefusal::NotConfigured => (StatusCode::NOT_FOUND, "no_webhook"),
        WebhookRefusal::TooMany | WebhookRefusal::TooManyWrong => (StatusCode::TOO_MANY_REQUESTS, "too_many_calls"),
        WebhookRefusal::Unsigned | WebhookRefusal::Malformed(..) => (StatusCode::UNAUTHORIZED, "unsigned"),
        WebhookRefusal::WrongProof(_) => (StatusCode::UNAUTHORIZED, "wrong_signature"),
        WebhookRefusal::Incomplete => (StatusCode::REQUEST_TIMEOUT, "incomplete"),
        WebhookRefusal::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "too_long"),
        WebhookRefusal::NoKeys { .. } => (StatusCode::SERVICE_UNAVAILABLE, "no_keys"),
    };
    (status, code, refused.to_string())
}
