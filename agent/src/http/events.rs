//! The event stream of the protocol: it says that there is something new, and never what.
//!
//! A stream begins with the current version, whatever its caller knows: a change between the caller's last evaluation and the
//! begin of the stream would be lost otherwise. The caller then evaluates with its ETag, and is told that nothing changed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use crate::http::agent::Agent;
use crate::http::answer::{Answer, AnswerBody, unavailable};
use crate::metrics::Metrics;
use crate::serving::Announced;

/// The time after which a stream without events sends a comment, by which a peer that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Begins an event stream.
pub(super) fn events(agent: &Agent) -> Answer {
    let Ok(permit) = agent.streams.clone().try_acquire_owned() else {
        agent.metrics.refused.streams.inc();
        return unavailable("the agent has as many event streams as it may: poll with If-None-Match", None);
    };
    let mut versions = agent.serving.announced();
    versions.mark_changed();
    agent.metrics.streams.inc();
    let subscriber =
        Subscriber { versions, shutdown: agent.shutdown.clone(), metrics: agent.metrics.clone(), _permit: permit };
    let events = stream::unfold(subscriber, |mut subscriber| async {
        let event = subscriber.next().await?;
        Some((event, subscriber))
    });
    let mut answer = Answer::new(AnswerBody::Events(Box::pin(events)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would keep events until they fill its buffer.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

struct Subscriber {
    versions: watch::Receiver<Option<Announced>>,
    shutdown: CancellationToken,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Subscriber {
    /// Returns the next event or comment; `None` when the agent ends, so that the caller comes back to the next one.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            changed = self.versions.changed() => {
                changed.ok()?;
                Some(match &*self.versions.borrow_and_update() {
                    Some(announced) => event(announced),
                    None => Bytes::from_static(b": nothing is loaded yet\n\n"),
                })
            }
            () = tokio::time::sleep(KEEP_ALIVE) => Some(Bytes::from_static(b": still here\n\n")),
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}

fn event(Announced { etag, applied }: &Announced) -> Bytes {
    let data = format!("{{\"type\":\"refetchEvaluation\",\"etag\":\"{etag}\",\"lastModified\":{applied}}}");
    format!("id: {etag}\nevent: message\ndata: {data}\n\n").into()
}
