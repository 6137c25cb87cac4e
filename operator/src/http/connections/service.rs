//! The requests and answers of one connection: [`GuardedService`] notes when each begins and ends.
//!
//! An answer ends when its last byte has been given to the connection's socket, and not when the handler has returned.
//! Whatever a handler keeps for the time of the answer, it puts into the response as [`KeptUntilSent`].

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
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::http::connections::activity::Activity;
use crate::http::connections::drain::{DrainPlaces, DrainedBody};
use crate::http::connections::open::Peer;

/// Something that a response keeps until it has been sent, such as a turn.
#[derive(Clone)]
pub(crate) struct KeptUntilSent(
    #[expect(dead_code, reason = "it is kept, and then dropped")] Arc<dyn Any + Send + Sync>,
);

impl KeptUntilSent {
    /// Keeps this.
    pub(crate) fn new(kept: impl Any + Send + Sync) -> Self {
        Self(Arc::new(kept))
    }
}

/// The routes, for the requests of one connection.
#[derive(Clone)]
pub(super) struct GuardedService {
    routes: Router,
    activity: Arc<Activity>,
    peer: Peer,
    sent_within: Duration,
    drains: DrainPlaces,
}

/// A request that is worked on, or whose answer is being sent.
struct OpenRequest {
    activity: Arc<Activity>,
    answer: Option<u64>,
    _kept: Option<KeptUntilSent>,
}

impl GuardedService {
    pub(super) fn new(
        routes: Router,
        activity: Arc<Activity>,
        peer: Peer,
        sent_within: Duration,
        drains: DrainPlaces,
    ) -> Self {
        Self { routes, activity, peer, sent_within, drains }
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
        let mut open = OpenRequest { activity: self.activity.clone(), answer: None, _kept: None };
        let drains = self.drains.clone();
        let mut request = request.map(|body| Body::new(DrainedBody::new(Body::new(body), drains)));
        request.extensions_mut().insert(self.peer);
        let (routes, sent_within) = (self.routes.clone(), self.sent_within);
        Box::pin(async move {
            let mut response = routes.oneshot(request).await?;
            open.answer = Some(open.activity.answer_began(Instant::now() + sent_within));
            open._kept = response.extensions_mut().remove::<KeptUntilSent>();
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
