//! The event stream of the protocol: it says that there is something new, and never what.
//!
//! A stream begins with the current version, whatever its caller knows: a change between the caller's last evaluation and the
//! begin of the stream would be lost otherwise. The caller then evaluates with its ETag, and is told that nothing changed.
//!
//! For the same reason a stream announces its version again from time to time: behind one address, the evaluation after an
//! announcement may reach an agent that does not have the version yet, and nothing else tells the caller when it has.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::http::agent::Agent;
use crate::http::answer::{Answer, AnswerBody, unavailable};
use crate::metrics::Metrics;
use crate::serving::Announced;

/// The number of these times after which a stream announces its version again instead.
const ANNOUNCED_AGAIN: u32 = 4;

/// Begins an event stream.
pub(super) fn events(agent: &Agent) -> Answer {
    let Ok(permit) = agent.streams.clone().try_acquire_owned() else {
        agent.metrics.refused.streams.inc();
        return unavailable("the agent has as many event streams as it may: poll with If-None-Match", None);
    };
    let mut versions = agent.serving.announced();
    versions.mark_changed();
    agent.metrics.streams.inc();
    let mut ticks = tokio::time::interval_at(Instant::now() + agent.keep_alive, agent.keep_alive);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (shutdown, metrics) = (agent.shutdown.clone(), agent.metrics.clone());
    let subscriber = Subscriber { versions, ticks, ticked: 0, shutdown, metrics, _permit: permit };
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
    /// The times of comments and repeated announcements, which a change does not move: the streams that it wakes together
    /// would repeat it together, too.
    ticks: Interval,
    /// The number of ticks since the last repeated announcement.
    ticked: u32,
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
                Some(self.announcement())
            }
            _ = self.ticks.tick() => {
                self.ticked = (self.ticked + 1) % ANNOUNCED_AGAIN;
                Some(if self.ticked == 0 { self.announcement() } else { Bytes::from_static(b": still here\n\n") })
            }
        }
    }

    /// Returns the event of the current version, or a comment if there is none.
    fn announcement(&mut self) -> Bytes {
        match &*self.versions.borrow_and_update() {
            Some(announced) => event(announced),
            None => Bytes::from_static(b": nothing is loaded yet\n\n"),
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::fs;
    use std::time::Duration;

    use http_body_util::BodyExt;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use rototo::{RefreshOptions, RefreshingWorkspace};
    use serde_json::Value;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::http::agent::RequestLimits;
    use crate::http::evaluate::evaluate_bulk;
    use crate::serving::Serving;

    /// Longer than any test takes.
    const LIMIT: Duration = Duration::from_secs(60);

    /// An agent over a folder of its own, whose streams tick often.
    struct Tested {
        agent: Arc<Agent>,
        folder: TempDir,
    }

    impl Tested {
        async fn with(value: u8) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("rototo-workspace.toml"), "schema_version = 1\n").unwrap();
            fs::create_dir(folder.path().join("variables")).unwrap();
            write(&folder, value);
            let source = folder.path().display().to_string();
            let workspace = RefreshingWorkspace::load(source, RefreshOptions::new()).await.unwrap();
            let serving = Arc::new(Serving::new(workspace, String::new()));
            let limits = RequestLimits { body: 1 << 10, body_time: LIMIT, streams: 1 };
            let (metrics, shutdown) = (Arc::default(), CancellationToken::new());
            let uri = "/ofrep/v1/events".parse().unwrap();
            let mut agent = Agent::new(serving.clone(), Default::default(), uri, metrics, &limits, shutdown);
            agent.keep_alive = Duration::from_millis(5);
            tokio::spawn(async move { serving.keep_current().await });
            Self { agent: Arc::new(agent), folder }
        }

        async fn change(&self, value: u8) {
            write(&self.folder, value);
            self.agent.serving.workspace().refresh_now().await.unwrap();
        }

        /// Returns the answer to a bulk request of somebody who knows the answer with an ETag, and was told of a version.
        async fn bulk(&self, known: &str, announced: &Value) -> String {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let agent = self.agent.clone();
            let service = service_fn(|request| async { Ok::<_, Infallible>(evaluate_bulk(&agent, request).await) });
            let served = http1::Builder::new().serve_connection(TokioIo::new(server), service);
            let etag = announced["etag"].as_str().unwrap_or_default();
            let applied = &announced["lastModified"];
            let request = format!(
                "POST /?flagConfigEtag={etag}&flagConfigLastModified={applied} HTTP/1.1\r\nhost: x\r\n\
                 connection: close\r\nif-none-match: {known}\r\ncontent-length: 2\r\n\r\n{{}}"
            );
            let mut answer = String::new();
            let asked = async {
                client.write_all(request.as_bytes()).await.unwrap();
                client.read_to_string(&mut answer).await.unwrap();
            };
            let (served, ()) = tokio::join!(served, asked);
            served.unwrap();
            answer
        }
    }

    fn write(folder: &TempDir, value: u8) {
        let text =
            format!("schema_version = 1\ntype = \"int\"\nvalues = {{ a = {value} }}\n[resolve]\ndefault = \"a\"\n");
        fs::write(folder.path().join("variables/limit.toml"), text).unwrap();
    }

    /// Returns the data of the next event of a stream.
    async fn event_of(stream: &mut AnswerBody) -> Value {
        let next = async {
            loop {
                let frame = stream.frame().await.unwrap().unwrap().into_data().unwrap();
                let text = String::from_utf8(frame.to_vec()).unwrap();
                if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                    return serde_json::from_str(data).unwrap();
                }
            }
        };
        tokio::time::timeout(LIMIT, next).await.expect("an event")
    }

    fn etag_of(answer: &str) -> &str {
        answer.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_else(|| panic!("no ETag: {answer}"))
    }

    #[tokio::test]
    async fn a_change_is_announced_again_to_a_caller_whose_evaluation_reached_an_agent_without_it() {
        let (streaming, evaluating) = (Tested::with(1).await, Tested::with(1).await);
        let mut stream = events(&streaming.agent).into_body();
        let first = event_of(&mut stream).await;
        let answer = evaluating.bulk("", &first).await;
        assert!(answer.contains("\"value\":1"), "{answer}");

        streaming.change(2).await;
        let mut second = event_of(&mut stream).await;
        while second == first {
            second = event_of(&mut stream).await;
        }
        let early = evaluating.bulk(etag_of(&answer), &second).await;
        assert!(early.starts_with("HTTP/1.1 304"), "the other agent has no change yet: {early}");

        evaluating.change(2).await;
        let again = event_of(&mut stream).await;
        assert_eq!(again, second);
        let late = evaluating.bulk(etag_of(&answer), &again).await;
        assert!(late.contains("\"value\":2"), "{late}");
    }
}
