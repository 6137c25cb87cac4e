//! Decides when the source of a workspace is polled. Pure: every method takes the time.
//!
//! A poll answers the requests that were made before it began. So a request has a time, and a poll that was already
//! running at that time does not answer it.

use std::time::{Duration, Instant};

/// The times of the polls after a call of a webhook. Hosts call before the commit can be read everywhere.
const AFTER_A_CALL: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];

/// The requests that a user makes by changing the object. A change of them supersedes a running poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PollTrigger {
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// The value of the annotation that asks for a reconcile.
    pub request: Option<String>,
}

/// The schedule of one workspace's polls.
#[derive(Debug, Default)]
pub struct Schedule {
    /// The end of the interval; `None` before the first poll.
    next: Option<Instant>,
    requested: Vec<PollRequest>,
    running: Option<StartedPoll>,
    answered: Option<StartedPoll>,
}

/// The request for a poll that begins at `due` or later.
#[derive(Clone, Copy, Debug)]
struct PollRequest {
    since: Instant,
    due: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct StartedPoll {
    at: Instant,
    trigger: PollTrigger,
}

/// The reason why a poll is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollReason {
    /// Somebody asks for what is newest now.
    Requested,
    /// The interval is over: a recent answer to a neighbour is good enough.
    Interval,
}

impl Schedule {
    /// Returns the reason to begin a poll now, if there is one.
    #[must_use]
    pub fn due(&self, trigger: &PollTrigger, now: Instant) -> Option<PollReason> {
        let last = self.running.as_ref().or(self.answered.as_ref());
        if last.is_none_or(|last| last.trigger != *trigger) {
            return Some(PollReason::Requested);
        }
        // Requests wait for the running poll: a host that calls all the time must not keep it from ending.
        if self.running.is_some() {
            return None;
        }
        if self.requested.iter().any(|requested| requested.due <= now) {
            return Some(PollReason::Requested);
        }
        self.next.is_none_or(|next| next <= now).then_some(PollReason::Interval)
    }

    /// Returns the time of the next poll; `None` while one is running, which requeues the workspace at its end.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        if self.running.is_some() {
            return None;
        }
        self.requested.iter().map(|requested| requested.due).chain(self.next).min()
    }

    /// Requests an answer that is younger than `now`.
    pub fn request(&mut self, now: Instant) {
        self.requested.push(PollRequest { since: now, due: now });
    }

    /// A webhook has called: requests an answer now, and more shortly after unless a poll finds news before.
    pub fn called(&mut self, now: Instant) {
        // However often a host calls, only the polls of the last call are still to come.
        self.requested.retain(|requested| requested.due <= now);
        self.requested.extend(AFTER_A_CALL.map(|after| PollRequest { since: now, due: now + after }));
    }

    /// A poll has begun. It supersedes a running one, whose result then does not count.
    pub fn begin(&mut self, trigger: PollTrigger, now: Instant) {
        self.running = Some(StartedPoll { at: now, trigger });
    }

    /// The poll that began at `began` has ended. Returns `false` if it was superseded.
    pub fn end(&mut self, began: Instant, found_news: bool, next: Instant) -> bool {
        let Some(running) = self.running.take_if(|running| running.at == began) else { return false };
        let settled = |requested: &PollRequest| requested.due <= began || found_news && requested.since <= began;
        self.requested.retain(|requested| !settled(requested));
        self.answered = Some(running);
        self.next = Some(next);
        true
    }

    /// The running poll has ended without a result.
    pub fn abandon(&mut self) {
        self.running = None;
    }

    /// Makes the next poll due at `then`.
    pub fn poll_at(&mut self, then: Instant) {
        self.next = Some(then);
    }

    /// The trigger of the last poll that has ended.
    #[must_use]
    pub fn answered(&self) -> Option<&PollTrigger> {
        self.answered.as_ref().map(|answered| &answered.trigger)
    }

    /// The beginning of the last poll that has ended.
    #[must_use]
    pub fn answered_at(&self) -> Option<Instant> {
        self.answered.as_ref().map(|answered| answered.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Timeline {
        schedule: Schedule,
        start: Instant,
    }

    fn trigger(generation: i64) -> PollTrigger {
        PollTrigger { generation: Some(generation), request: None }
    }

    impl Timeline {
        /// A workspace whose first poll has ended, with an interval of 30 seconds.
        fn polled() -> Self {
            let start = Instant::now();
            let mut timeline = Self { schedule: Schedule::default(), start };
            assert_eq!(timeline.due(0), Some(PollReason::Requested));
            timeline.poll(0, true);
            timeline
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn due(&self, millis: u64) -> Option<PollReason> {
            self.schedule.due(&trigger(1), self.at(millis))
        }

        /// A poll that begins and ends at once.
        fn poll(&mut self, millis: u64, news: bool) {
            let (began, next) = (self.at(millis), self.at(millis + 30_000));
            self.schedule.begin(trigger(1), began);
            assert!(self.schedule.end(began, news, next));
        }
    }

    #[test]
    fn the_interval_is_waited_for_unless_the_spec_changes() {
        let timeline = Timeline::polled();
        assert_eq!(timeline.due(29_999), None);
        assert_eq!(timeline.due(30_000), Some(PollReason::Interval));
        assert_eq!(timeline.schedule.due(&trigger(2), timeline.at(1)), Some(PollReason::Requested));
        let request = PollTrigger { request: Some("now".to_owned()), ..trigger(1) };
        assert_eq!(timeline.schedule.due(&request, timeline.at(1)), Some(PollReason::Requested));
    }

    #[test]
    fn a_call_is_followed_by_three_polls_while_there_is_no_news() {
        let mut timeline = Timeline::polled();
        timeline.schedule.called(timeline.at(100));
        for (before, due) in [(99, 100), (1_099, 1_100), (4_099, 4_100)] {
            assert_eq!(timeline.due(before), None);
            assert_eq!(timeline.due(due), Some(PollReason::Requested));
            timeline.poll(due, false);
        }
        assert_eq!(timeline.schedule.next(), Some(timeline.at(34_100)));
    }

    #[test]
    fn news_cancels_the_polls_that_a_call_would_still_be_followed_by() {
        let mut timeline = Timeline::polled();
        timeline.schedule.called(timeline.at(100));
        timeline.poll(100, true);
        assert_eq!(timeline.schedule.next(), Some(timeline.at(30_100)));
    }

    #[test]
    fn a_call_during_a_poll_that_finds_news_is_still_answered() {
        let mut timeline = Timeline::polled();
        let began = timeline.at(100);
        timeline.schedule.begin(trigger(1), began);
        timeline.schedule.called(timeline.at(200));
        assert_eq!(timeline.due(300), None);
        assert!(timeline.schedule.end(began, true, timeline.at(30_100)));
        assert_eq!(timeline.due(300), Some(PollReason::Requested));
    }

    #[test]
    fn a_superseded_poll_answers_nothing() {
        let mut timeline = Timeline::polled();
        let (first, second) = (timeline.at(100), timeline.at(200));
        timeline.schedule.begin(trigger(1), first);
        timeline.schedule.begin(trigger(2), second);
        assert!(!timeline.schedule.end(first, true, timeline.at(30_000)));
        assert_eq!(timeline.schedule.answered(), Some(&trigger(1)));
        assert!(timeline.schedule.end(second, true, timeline.at(30_000)));
        assert_eq!(timeline.schedule.answered(), Some(&trigger(2)));
    }

    #[test]
    fn only_a_poll_that_began_later_answers_a_request() {
        let mut timeline = Timeline::polled();
        let (began, requested) = (timeline.at(100), timeline.at(200));
        timeline.schedule.begin(trigger(1), began);
        timeline.schedule.request(requested);
        assert!(timeline.schedule.end(began, false, timeline.at(30_000)));
        assert!(timeline.schedule.answered_at().is_some_and(|at| at < requested));
        assert_eq!(timeline.due(201), Some(PollReason::Requested));
        timeline.poll(201, false);
        assert!(timeline.schedule.answered_at().is_some_and(|at| at >= requested));
    }

    #[test]
    fn however_often_a_host_calls_only_the_polls_of_the_last_call_are_to_come() {
        let mut timeline = Timeline::polled();
        for millis in 0..1_000 {
            timeline.schedule.called(timeline.at(millis));
        }
        timeline.poll(1_000, true);
        assert_eq!(timeline.schedule.next(), Some(timeline.at(31_000)));
    }
}
