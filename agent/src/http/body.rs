//! The body of a request, within limits of size, memory, and time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::answer::{Answer, refusal, unavailable};
use crate::metrics::Metrics;

/// A body up to this size, in bytes, takes nothing of the memory that large ones share. No usual context is larger.
const SMALL: usize = 16 << 10;
/// The memory of all larger bodies together, in KiB.
const LARGE_TOGETHER: usize = 16 << 10;
/// The largest part of a body, in bytes, that is read and dropped after the refusal of it.
const DISCARDED: usize = 32 << 20;
/// The longest time for that.
const DISCARD: Duration = Duration::from_secs(10);

/// The limits of bodies.
pub(crate) struct BodyLimits {
    /// The largest body, in bytes.
    largest: usize,
    /// The time for a body.
    time: Duration,
    /// Permits for KiB.
    large_together: Arc<Semaphore>,
}

/// A body that was read.
pub(crate) struct ReadBody {
    pub(crate) bytes: Bytes,
    /// Its part of the memory for large bodies, until the request is answered.
    _memory: Option<OwnedSemaphorePermit>,
}

impl BodyLimits {
    pub(crate) fn new(largest: usize, time: Duration) -> Self {
        let memory = LARGE_TOGETHER.max(largest >> 10);
        Self { largest, time, large_together: Arc::new(Semaphore::new(memory)) }
    }

    /// Reads a body, or returns the refusal of it.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Incoming,
        metrics: &Metrics,
    ) -> Result<ReadBody, Box<Answer>> {
        let announced = announced_size(&body);
        if announced > self.largest {
            let refused = self.too_large(metrics);
            self.discard_unread(headers, body).await;
            return Err(refused);
        }
        let read = self.read_in_time(&mut body, announced, metrics).await;
        if let Err(refused) = &read
            // A peer that is too slow has had its time.
            && refused.status() != StatusCode::REQUEST_TIMEOUT
        {
            self.discard(body).await;
        }
        read
    }

    /// Reads and drops a body of which nothing was read, because its request is refused. A peer that asks whether it may send
    /// the body sends none after the refusal.
    pub(crate) async fn discard_unread(&self, headers: &HeaderMap, body: Incoming) {
        if !headers.get(EXPECT).is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
            self.discard(body).await;
        }
    }

    /// Reads and drops the rest of a body, so that a peer that sends everything before it reads gets its answer: the kernel
    /// resets a connection that is closed with bytes unread, and drops the answer.
    async fn discard(&self, mut body: Incoming) {
        if body.is_end_stream() || announced_size(&body) > DISCARDED {
            return;
        }
        let rest = async {
            let mut dropped = 0;
            while let Some(Ok(frame)) = body.frame().await {
                dropped += frame.data_ref().map_or(0, Bytes::len);
                if dropped > DISCARDED {
                    break;
                }
            }
        };
        // The answer goes out in any case.
        let _ = tokio::time::timeout(self.time.min(DISCARD), rest).await;
    }

    /// Reads a body, or returns the refusal of it while the rest may still be unread.
    async fn read_in_time(
        &self,
        body: &mut Incoming,
        announced: usize,
        metrics: &Metrics,
    ) -> Result<ReadBody, Box<Answer>> {
        let read = self.collect(body, announced, metrics);
        tokio::pin!(read);
        // Most bodies are there already, and need no timer.
        if let Some(read) = read.as_mut().now_or_never() {
            return read;
        }
        tokio::time::timeout(self.time, read).await.unwrap_or_else(|_| {
            metrics.refused.slow.inc();
            let details = format!("the body did not arrive within {} s (--slow-seconds)", self.time.as_secs());
            Err(Box::new(refusal(StatusCode::REQUEST_TIMEOUT, details, None)))
        })
    }

    async fn collect(&self, body: &mut Incoming, announced: usize, metrics: &Metrics) -> Result<ReadBody, Box<Answer>> {
        let mut memory = None;
        let (mut first, mut rest) = (Bytes::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let gone = |_| Box::new(refusal(StatusCode::BAD_REQUEST, "the body did not arrive", None));
            let Ok(data) = frame.map_err(gone)?.into_data() else { continue };
            let size = first.len() + rest.len() + data.len();
            if size > self.largest {
                return Err(self.too_large(metrics));
            }
            if size > SMALL && memory.is_none() {
                // A body of unknown size may become as large as any.
                let size = if announced == 0 { self.largest } else { announced };
                memory = Some(self.memory(size, metrics)?);
            }
            if size == data.len() {
                first = data;
            } else {
                if rest.is_empty() {
                    rest.reserve(announced.max(size));
                    rest.extend_from_slice(&std::mem::take(&mut first));
                }
                rest.extend_from_slice(&data);
            }
        }
        let bytes = if rest.is_empty() { first } else { rest.into() };
        Ok(ReadBody { bytes, _memory: memory })
    }

    fn memory(&self, size: usize, metrics: &Metrics) -> Result<OwnedSemaphorePermit, Box<Answer>> {
        let kilobytes = u32::try_from(size.div_ceil(1 << 10)).unwrap_or(u32::MAX);
        self.large_together.clone().try_acquire_many_owned(kilobytes).map_err(|_| {
            metrics.refused.body_memory.inc();
            Box::new(unavailable("the agent reads as many large contexts at once as it has memory for", None))
        })
    }

    fn too_large(&self, metrics: &Metrics) -> Box<Answer> {
        metrics.refused.body.inc();
        let details = format!("the body is larger than {} KiB, the limit of --max-body-kib", self.largest >> 10);
        Box::new(refusal(StatusCode::PAYLOAD_TOO_LARGE, details, None))
    }
}

/// Returns the size that a peer announces for the rest of a body, in bytes; 0 if it announces none.
fn announced_size(body: &Incoming) -> usize {
    usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX)
}
