//! Reads the rest of a request body that its handler does not read, after the answer, and drops it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The number of request bodies that are read to their end after their answer, on all connections of a listener.
const DRAINS: usize = 64;
/// The bytes that are read of a request body after its answer: more than the largest call of a git host.
const DRAINED: usize = 32 * 1024 * 1024;
/// The time for which a request body is read after its answer.
const DRAINED_FOR: Duration = Duration::from_secs(5);

/// The places for bodies that are read to their end after their answer. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct DrainPlaces(Arc<Semaphore>);

impl Default for DrainPlaces {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(DRAINS)))
    }
}

/// The body of a request. The rest of one that a handler does not read is read after the answer, and dropped: a peer
/// that is cut off while it still writes sees a broken connection instead of the answer.
pub(super) struct DrainedBody {
    body: Option<Body>,
    places: DrainPlaces,
}

impl DrainedBody {
    /// Reads `body`, and the rest of it if there is one of `places` for it.
    pub(super) fn new(body: Body, places: DrainPlaces) -> Self {
        Self { body: Some(body), places }
    }
}

impl HttpBody for DrainedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        let Some(rest) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        let place = self.places.0.clone().try_acquire_owned();
        let (Ok(place), Ok(runtime)) = (place, tokio::runtime::Handle::try_current()) else { return };
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
