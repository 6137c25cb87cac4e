//! The state that all requests share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::evaluation::event_streams::EventsUri;
use crate::evaluation::request::TargetingAttribute;
use crate::http::body::BodyLimits;
use crate::metrics::Metrics;
use crate::serving::Serving;

/// The largest number of bulk answers that are being made or sent. Each takes as much memory as all values have in JSON.
const BULK_ANSWERS: usize = 32;
/// The time after which a stream without events sends a comment, by which a peer that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The limits of requests that options set.
pub(crate) struct RequestLimits {
    /// The largest body, in bytes.
    pub(crate) body: usize,
    /// The time for a body.
    pub(crate) body_time: Duration,
    /// The largest number of event streams.
    pub(crate) streams: usize,
}

/// All that requests share.
pub(crate) struct Agent {
    pub(super) serving: Arc<Serving>,
    pub(super) attribute: TargetingAttribute,
    pub(super) events: EventsUri,
    pub(super) metrics: Arc<Metrics>,
    pub(super) bodies: BodyLimits,
    pub(super) bulk_answers: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
    /// The time after which an event stream without events sends a comment.
    pub(super) keep_alive: Duration,
    pub(super) shutdown: CancellationToken,
}

impl Agent {
    pub(crate) fn new(
        serving: Arc<Serving>,
        attribute: TargetingAttribute,
        events: EventsUri,
        metrics: Arc<Metrics>,
        limits: &RequestLimits,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            serving,
            attribute,
            events,
            metrics,
            bodies: BodyLimits::new(limits.body, limits.body_time),
            bulk_answers: Arc::new(Semaphore::new(BULK_ANSWERS)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            keep_alive: KEEP_ALIVE,
            shutdown,
        }
    }
}
