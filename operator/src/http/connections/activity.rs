//! The events that one connection waits for, and until when. Every method takes the time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::task::AtomicWaker;
use tokio::time::Instant;

use crate::http::connections::ConnectionLimits;

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    /// Wakes the task of the connection when another task closes it.
    pub(super) closed: AtomicWaker,
}

#[derive(Debug)]
struct State {
    /// The event that it waits for while no request is worked on.
    waits: Waits,
    /// The number of requests that are worked on, or whose answers are being sent.
    requests: usize,
    /// The answers that are being sent, in the order in which they began, each with its deadline.
    answers: BTreeMap<u64, Instant>,
    answered: u64,
    /// On a connection of HTTP/2, bytes do not mean that a request has begun.
    http2: bool,
    closing: Option<CloseReason>,
}

#[derive(Clone, Copy, Debug)]
enum Waits {
    /// For the rest of a request header that began at this time, or for the first request.
    Header(Instant),
    /// For the next request, since this time.
    Request(Instant),
}

/// The limit for which a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The request header did not come in time.
    RequestHeader,
    /// No request came.
    Idle,
    /// The peer does not read the answer.
    Unread,
    /// Another connection needs the place.
    Replaced,
}

impl CloseReason {
    /// Returns the name of the limit in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RequestHeader => "request_header",
            Self::Idle => "idle",
            Self::Unread => "unread",
            Self::Replaced => "replaced",
        }
    }
}

impl Activity {
    /// Creates the record of a connection that was accepted at `now`.
    pub(super) fn new(now: Instant) -> Self {
        let state = State {
            waits: Waits::Header(now),
            requests: 0,
            answers: BTreeMap::new(),
            answered: 0,
            http2: false,
            closing: None,
        };
        Self { state: Mutex::new(state), closed: AtomicWaker::new() }
    }

    /// Records that bytes have arrived.
    pub(super) fn received(&self, now: Instant) {
        let mut state = self.lock();
        if let Waits::Request(_) = state.waits
            && state.requests == 0
            && !state.http2
        {
            state.waits = Waits::Header(now);
        }
    }

    /// Records that the header of a request is complete.
    pub(super) fn request_began(&self, http2: bool) {
        let mut state = self.lock();
        state.requests += 1;
        state.http2 |= http2;
    }

    /// Records that the answer to a request begins, and has to be read until `deadline`. Returns its number.
    pub(super) fn answer_began(&self, deadline: Instant) -> u64 {
        let mut state = self.lock();
        state.answered += 1;
        let number = state.answered;
        state.answers.insert(number, deadline);
        number
    }

    /// Records that a request has ended, with this answer if it has one.
    pub(super) fn request_ended(&self, answer: Option<u64>, now: Instant) {
        let mut state = self.lock();
        if let Some(answer) = answer {
            state.answers.remove(&answer);
        }
        state.requests = state.requests.saturating_sub(1);
        state.waits = Waits::Request(now);
    }

    /// Returns the time since which the connection waits for a request; `None` if it is used.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        let state = self.lock();
        let (Waits::Header(since) | Waits::Request(since)) = state.waits;
        (state.requests == 0 && state.closing.is_none()).then_some(since)
    }

    /// Closes the connection, because another needs its place.
    pub(super) fn replace(&self) {
        self.lock().closing = Some(CloseReason::Replaced);
        self.closed.wake();
    }

    /// Returns when the connection has to be closed if nothing happens before, and why.
    pub(super) fn deadline(&self, limits: &ConnectionLimits, now: Instant) -> Option<(Instant, CloseReason)> {
        let state = self.lock();
        if let Some(reason) = state.closing {
            return Some((now, reason));
        }
        let waits = match state.waits {
            _ if state.requests > 0 => None,
            Waits::Header(since) => Some((since + limits.request_header, CloseReason::RequestHeader)),
            Waits::Request(since) => Some((since + limits.idle, CloseReason::Idle)),
        };
        let unread = state.answers.values().next().map(|deadline| (*deadline, CloseReason::Unread));
        waits.into_iter().chain(unread).min_by_key(|(deadline, _)| *deadline)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Returns the seconds after `start` at which the connection is closed, and why.
    fn closes(activity: &Activity, start: Instant) -> Option<(u64, CloseReason)> {
        let deadline = activity.deadline(&ConnectionLimits::default(), start);
        deadline.map(|(deadline, reason)| (deadline.duration_since(start).as_secs(), reason))
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_for_a_peer_has_an_end() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let activity = Activity::new(start);
        assert_eq!(closes(&activity, start), Some((10, CloseReason::RequestHeader)));
        // The bytes of the first request do not prolong its time.
        activity.received(at(9));
        assert_eq!(closes(&activity, start), Some((10, CloseReason::RequestHeader)));
        activity.request_began(false);
        assert_eq!(closes(&activity, start), None, "a handler works");
        let answer = activity.answer_began(at(40));
        assert_eq!(closes(&activity, start), Some((40, CloseReason::Unread)));
        activity.request_ended(Some(answer), at(20));
        assert_eq!(closes(&activity, start), Some((110, CloseReason::Idle)));
        activity.received(at(30));
        activity.received(at(39));
        assert_eq!(closes(&activity, start), Some((40, CloseReason::RequestHeader)));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_over_http2_are_no_requests() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.request_began(true);
        activity.request_ended(None, start);
        activity.received(start + Duration::from_secs(80));
        assert_eq!(closes(&activity, start), Some((90, CloseReason::Idle)));
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_waits_is_replaced() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.request_began(false);
        assert_eq!(activity.waits_since(), None);
        activity.request_ended(None, start);
        assert_eq!(activity.waits_since(), Some(start));
        activity.replace();
        assert_eq!((activity.waits_since(), closes(&activity, start)), (None, Some((0, CloseReason::Replaced))));
    }
}
