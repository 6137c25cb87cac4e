//! Answers, and the bodies that they have.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use crate::evaluation::fault::{Code, Fault};

pub(crate) type Answer = Response<AnswerBody>;

/// The body of an answer.
pub(crate) enum AnswerBody {
    /// Bytes, all at once.
    Full(Bytes),
    /// An event stream.
    Events(Pin<Box<dyn Stream<Item = Bytes> + Send>>),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Events(events) => {
                events.as_mut().poll_next(cx).map(|event| event.map(|event| Ok(Frame::data(event))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Events(_) => SizeHint::default(),
        }
    }
}

/// Bytes that hold a permit until they are sent.
struct Permitted(Vec<u8>, #[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl AsRef<[u8]> for Permitted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Returns bytes that give the permit back as soon as they are sent, or can't be sent any more.
pub(crate) fn permitted(bytes: Vec<u8>, permit: OwnedSemaphorePermit) -> Bytes {
    Bytes::from_owner(Permitted(bytes, permit))
}

/// Returns an answer of this type of content.
pub(crate) fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(AnswerBody::Full(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "application/json", body)
}

/// Returns an error of the protocol. `key` is the variable, if the request names one.
pub(crate) fn fault(fault: &Fault, key: Option<&str>) -> Answer {
    let status = match fault.code {
        Code::ParseError | Code::TargetingKeyMissing | Code::InvalidContext => StatusCode::BAD_REQUEST,
        Code::FlagNotFound => StatusCode::NOT_FOUND,
        Code::General => StatusCode::INTERNAL_SERVER_ERROR,
    };
    json(status, fault.body(key))
}

/// Returns a refusal with another status than the code of the protocol has.
pub(crate) fn refusal(status: StatusCode, details: impl Into<String>, key: Option<&str>) -> Answer {
    json(status, Fault::new(Code::General, details).body(key))
}

/// Returns a refusal that holds for a moment.
pub(crate) fn unavailable(details: impl Into<String>, key: Option<&str>) -> Answer {
    let mut answer = refusal(StatusCode::SERVICE_UNAVAILABLE, details, key);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

pub(crate) fn wrong_method(allowed: &'static str) -> Answer {
    let details = format!("this path takes only {allowed}");
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, details, None);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

pub(crate) fn wrong_encoding() -> Answer {
    let details = "the agent takes no body with a Content-Encoding, such as a compressed one";
    let mut answer = refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, details, None);
    answer.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    answer
}
