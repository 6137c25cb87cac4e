//! A stream of events: a document whole, and then what changes of it.
//!
//! A stream reads its document again and again, and sends what differs from what it has sent. It is read only as fast as
//! the browser takes the events, so a slow one costs no memory, and it ends by itself after [`LASTS`]: the page opens the
//! next one, which shows its token again. So a stream needs no limits but those of any answer.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::response::sse::Event;
use futures::Stream;
use tokio::time::{Instant, sleep};

use crate::http::document::{Document, Part};
use crate::http::source::{Refusal, Source, Wanted};

/// The time for which a stream lasts: less than the operator gives a reader for one answer.
pub(super) const LASTS: Duration = Duration::from_secs(25);
/// The longest time between two events. Each dates the claims again.
const DATED_EVERY: Duration = Duration::from_secs(3);

/// The state of one stream.
struct Streaming<S: Source> {
    source: S,
    asker: Arc<Parts>,
    wanted: Wanted,
    first: Option<Document>,
    sent: HashMap<Arc<str>, Part>,
    trouble: Option<String>,
    sent_at: Instant,
    ends_at: Instant,
    ended: bool,
    _place: S::Place,
}

/// Returns the events about `wanted`, of which the first document was read already.
pub(super) fn events<S: Source>(
    source: S,
    asker: Parts,
    wanted: Wanted,
    first: Document,
    place: S::Place,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let now = Instant::now();
    let state = Streaming {
        source,
        asker: Arc::new(asker),
        wanted,
        first: Some(first),
        sent: HashMap::new(),
        trouble: None,
        sent_at: now,
        ends_at: now + LASTS,
        ended: false,
        _place: place,
    };
    futures::stream::unfold(state, async |mut state| {
        let event = state.next().await?;
        Some((Ok(event), state))
    })
}

impl<S: Source> Streaming<S> {
    /// Returns the next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            let data = first.json();
            self.note(&first);
            return Some(Event::default().event("document").data(data));
        }
        while !self.ended {
            sleep(self.wanted.every()).await;
            match self.source.document(&self.asker, &self.wanted).await {
                Ok(document) => {
                    if let Some(data) = self.difference(&document) {
                        return Some(Event::default().event("document").data(data));
                    }
                }
                Err(refusal) => {
                    self.ended = true;
                    return Some(Event::default().event("refused").data(refused(&refusal)));
                }
            }
            self.ended = Instant::now() >= self.ends_at;
        }
        None
    }

    /// Returns what has to be sent to somebody who has what was sent before.
    fn difference(&mut self, document: &Document) -> Option<String> {
        let differs = |part: &&Part| self.sent.get(&part.name) != Some(*part);
        let changed: Vec<_> = document.parts.iter().filter(differs).collect();
        let there: HashSet<_> = document.parts.iter().map(|part| &part.name).collect();
        let gone: Vec<_> = self.sent.keys().filter(|name| !there.contains(name)).map(|name| &**name).collect();
        let quiet = changed.is_empty() && gone.is_empty() && self.trouble == document.trouble;
        if quiet && self.sent_at.elapsed() < DATED_EVERY {
            return None;
        }
        let data = document.frame(false, &changed, &gone);
        self.note(document);
        Some(data)
    }

    fn note(&mut self, document: &Document) {
        self.sent = document.parts.iter().map(|part| (part.name.clone(), part.clone())).collect();
        self.trouble.clone_from(&document.trouble);
        self.sent_at = Instant::now();
    }
}

/// Returns the status of a refusal. Its words are in the answer to the next request.
fn refused(refusal: &Refusal) -> String {
    format!(r#"{{"status":{}}}"#, refusal.status().as_u16())
}
