//! The requests and answers of one connection: [`GuardedService`] notes when each begins and ends.
//!
//! An answer ends when its last byte has been given to the connection's socket, and not when the handler has returned.
//! Whatever a handler holds for the time of the answer, it puts into the response as [`Held`].

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response, Version};
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tower::{Service, ServiceExt};

use crate::http::connections::activity::Activity;
use crate::http::connections::gate::Peer;

/// The number of request bodies that are read to their end after their answer, on all connections.
const DRAINS: usize = 64;
/// The bytes that are read of a request body after its answer: more than the largest call of a git host.
const DRAINED: usize = 32 * 1024 * 1024;
/// The time for which a request body is read after its answer.
const DRAINED_FOR: Duration = Duration::from_secs(5);

static DRAINING: Semaphore = Semaphore::const_new(DRAINS);

/// Something that a response keeps until it has been sent, such as a turn.
#[derive(Clone)]
pub(crate) struct Held(#[expect(dead_code, reason = "it is held, and then dropped")] Arc<dyn Any + Send + Sync>);

impl Held {
    /// Holds this.
    pub(crate) fn new(held: impl Any + Send + Sync) -> Self {
        Self(Arc::new(held))
    }
}

/// The routes, for the requests of one connection.
#[derive(Clone)]
pub(super) struct GuardedService {
    routes: Router,
    activity: Arc<Activity>,
    peer: Peer,
    sent_within: Duration,
}

/// A request that is worked on, or whose answer is being sent.
struct OpenRequest {
    activity: Arc<Activity>,
    answer: Option<u64>,
    _held: Option<Held>,
}

impl GuardedService {
    pub(super) fn new(routes: Router, activity: Arc<Activity>, peer: Peer, sent_within: Duration) -> Self {
        Self { routes, activity, peer, sent_within }
    }
}

impl<B> Service<Request<B>> for GuardedService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.activity.request_began(request.version() == Version::HTTP_2);
        let mut open = OpenRequest { activity: self.activity.clone(), answer: None, _held: None };
        let mut request = request.map(|body| Body::new(RequestBody(Some(Body::new(body)))));
        request.extensions_mut().insert(self.peer);
        let (routes, sent_within) = (self.routes.clone(), self.sent_within);
        Box::pin(async move {
            let mut response = routes.oneshot(request).await?;
            open.answer = Some(open.activity.answer_began(Instant::now() + sent_within));
            open._held = response.extensions_mut().remove::<Held>();
            Ok(response.map(|body| AnswerBody { body, open: Arc::new(open) }))
        })
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.activity.request_ended(self.answer, Instant::now());
    }
}

/// The body of an answer. Each piece of it keeps the request open until it has been sent.
pub(super) struct AnswerBody {
    body: Body,
    open: Arc<OpenRequest>,
}

struct Piece {
    bytes: Bytes,
    _open: Arc<OpenRequest>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let open = &self.open;
        let kept = |bytes| Bytes::from_owner(Piece { bytes, _open: open.clone() });
        polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(kept))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request. The rest of one that a handler does not read is read after the answer, and dropped: a peer
/// that is cut off while it still writes sees a broken connection instead of the answer.
struct RequestBody(Option<Body>);

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(rest) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        let (Ok(place), Ok(runtime)) = (DRAINING.try_acquire(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            let mut rest = rest.into_data_stream();
            let drained = async {
                let mut length = 0;
                while let Some(Ok(piece)) = rest.next().await {
                    length += piece.len();
                    if length > DRAINED {
                        break;
                    }
                }
            };
            // Whatever has not come by then is not waited for.
            let _ = timeout(DRAINED_FOR, drained).await;
            drop(place);
        });
    }
}
