//! Keeps a watch that ends at once from being sent again at once.
//!
//! A watch lasts for minutes, and its end is no error: whoever watches sends the next watch without a wait. A load balancer that
//! answers each watch and ends the answer would so get requests as fast as the network carries them, from every process.
//! So the end of such an answer is given to the caller late, each time a little later. A watch that runs gets its events
//! without a delay, and so does the first watch after one that lasted.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tower::BoxError;

/// A watch that ends sooner than this ends early.
const EARLY: Duration = Duration::from_secs(2);
/// The longest wait after the first early end. Each further one in a row doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait after any number of early ends.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The early ends of a client's watches, by path.
#[derive(Debug, Default)]
pub(crate) struct WatchEnds(Mutex<HashMap<String, EarlyEnd>>);

#[derive(Debug)]
struct EarlyEnd {
    in_a_row: u32,
    wait_ends: Instant,
}

impl WatchEnds {
    /// Notes the end of a watch of `path` that began at `began`. Returns the wait before the next one.
    fn wait_after(&self, path: &str, began: Instant) -> Option<Duration> {
        let now = Instant::now();
        let mut early_ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now - began >= EARLY {
            early_ends.remove(path);
            return None;
        }
        // A watch in between that was given up, or that ended with an error, is not noted here.
        let before = early_ends.get(path).filter(|before| began < before.wait_ends + EARLY);
        let in_a_row = before.map_or(0, |before| before.in_a_row).saturating_add(1);
        let longest = FIRST_WAIT.saturating_mul(1 << (in_a_row - 1).min(10)).min(LONGEST_WAIT);
        let wait = longest.mul_f64(1.0 - fastrand::f64() / 2.0);
        early_ends.insert(path.to_owned(), EarlyEnd { in_a_row, wait_ends: now + wait });
        Some(wait)
    }
}

/// A watch that has been sent.
pub(crate) struct SentWatch {
    watch_ends: Arc<WatchEnds>,
    path: String,
    began: Instant,
}

impl SentWatch {
    pub(crate) fn new(watch_ends: &Arc<WatchEnds>, path: &str) -> Self {
        Self { watch_ends: watch_ends.clone(), path: path.to_owned(), began: Instant::now() }
    }
}

/// The body of an answer. If it is that of a watch that ends early, the end comes after a wait.
pub(crate) struct WatchBody<B> {
    body: Pin<Box<B>>,
    watch: Option<SentWatch>,
    end: Option<(Pin<Box<Sleep>>, Option<BoxError>)>,
}

impl<B> WatchBody<B> {
    /// Makes a body whose end is late if `watch` ends early.
    pub(crate) fn new(body: B, watch: Option<SentWatch>) -> Self {
        Self { body: Box::pin(body), watch, end: None }
    }
}

impl<B> HttpBody for WatchBody<B>
where
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        if self.end.is_none() {
            let error = match ready!(self.body.as_mut().poll_frame(task)) {
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => Some(error.into()),
                None => None,
            };
            let watch = self.watch.take().filter(|_| error.as_ref().is_none_or(|error| is_cut_off(&**error)));
            let wait = watch.and_then(|watch| watch.watch_ends.wait_after(&watch.path, watch.began));
            let Some(wait) = wait else { return Poll::Ready(error.map(Err)) };
            self.end = Some((Box::pin(sleep(wait)), error));
        }
        if let Some((wait, _)) = &mut self.end {
            ready!(wait.as_mut().poll(task));
        }
        let error = self.end.take().and_then(|(_, error)| error);
        Poll::Ready(error.map(Err))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none() && self.watch.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Returns whether an answer was cut off in the middle, which kube takes for the end of a watch.
fn is_cut_off(error: &(dyn Error + 'static)) -> bool {
    let is_eof = |error: &(dyn Error + 'static)| {
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
    };
    std::iter::successors(Some(error), |error| (**error).source()).any(is_eof)
}
