//! Decides when the source of a workspace is polled. Pure: every method takes the time.
//!
//! A poll answers the requests that were made before it began. So a request has a time, and a poll that was already
//! running at that time does not answer it.

use std::time::{Duration, Instant};

/// The times of the polls after a call of a webhook. Hosts call before the commit can be read everywhere.
const AFTER_A_CALL: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];

/// The number of polls that may be asked for in a row. Usual edits and calls never wait.
const BURST: u32 = 4;
/// The time between the beginnings of more polls that somebody asks for. Edits and calls in between are answered by the
/// later poll, however many there are.
const APART: Duration = Duration::from_secs(1);

/// The requests that a user makes by changing the object. A change of the spec supersedes a running poll, which reads
/// something else then; another request waits for its end.
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
    /// The last poll that has ended, whatever came of it.
    ended: Option<StartedPoll>,
    /// The time at which [`BURST`] polls may be asked for in a row again.
    rested: Option<Instant>,
    /// The time at which a changed trigger is due that came right after the beginning of a poll.
    deferred: Option<Instant>,
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
    pub fn due(&mut self, trigger: &PollTrigger, now: Instant) -> Option<PollReason> {
        let last = self.running.as_ref().or(self.ended.as_ref());
        let changed = last.is_none_or(|last| last.trigger != *trigger);
        // Whoever asks again and again must not keep a slow poll from ending.
        let supersedes = |running: &StartedPoll| running.trigger.generation != trigger.generation;
        if self.running.as_ref().is_some_and(|running| !supersedes(running)) {
            self.deferred = None;
            return None;
        }
        let earliest = self.earliest().filter(|earliest| now < *earliest);
        self.deferred = earliest.filter(|_| changed);
        if changed {
            return earliest.is_none().then_some(PollReason::Requested);
        }
        if earliest.is_none() && self.requested.iter().any(|requested| requested.due <= now) {
            return Some(PollReason::Requested);
        }
        self.next.is_none_or(|next| next <= now).then_some(PollReason::Interval)
    }

    /// Returns the earliest time of a poll that somebody asks for.
    fn earliest(&self) -> Option<Instant> {
        self.rested?.checked_sub(APART * (BURST - 1))
    }

    /// Returns the time of the next poll. While one is running, which requeues the workspace at its end, that is the
    /// time of a changed trigger that has to wait.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        if self.running.is_some() {
            return self.deferred;
        }
        let earliest = self.earliest();
        let requested =
            self.requested.iter().map(|requested| earliest.map_or(requested.due, |then| requested.due.max(then)));
        requested.chain(self.next).chain(self.deferred).min()
    }

    /// Requests an answer that is younger than `now`.
    pub fn request(&mut self, now: Instant) {
        // The earliest poll from now on answers all requests up to then.
        self.requested.retain(|requested| requested.due > now);
        self.requested.push(PollRequest { since: now, due: now });
    }

    /// Forgets all but the last of the requests that are due: the next poll answers all of them. A suspended workspace is
    /// not polled, and is called all the same.
    fn merge_due_requests(&mut self, now: Instant) {
        let last = self.requested.iter().filter(|requested| requested.due <= now).max_by_key(|requested| requested.due);
        self.requested = last.copied().into_iter().collect();
    }

    /// Records that a webhook has called: requests an answer now, and more shortly after unless a poll finds news
    /// before.
    pub fn called(&mut self, now: Instant) {
        // However often a host calls, only the polls of the last call are still to come.
        self.merge_due_requests(now);
        self.requested.extend(AFTER_A_CALL.map(|after| PollRequest { since: now, due: now + after }));
    }

    /// Records that a poll has begun. It supersedes a running one, whose result then does not count.
    pub fn begin(&mut self, trigger: PollTrigger, now: Instant) {
        self.running = Some(StartedPoll { at: now, trigger });
        self.rested = Some(self.rested.map_or(now, |rested| rested.max(now)) + APART);
        self.deferred = None;
    }

    /// Records that the poll that began at `began` has ended. Returns `false` if it was superseded.
    pub fn end(&mut self, began: Instant, found_news: bool, next: Instant) -> bool {
        let Some(running) = self.running.take_if(|running| running.at == began) else { return false };
        let settled = |requested: &PollRequest| requested.due <= began || found_news && requested.since <= began;
        self.requested.retain(|requested| !settled(requested));
        self.ended = Some(running);
        self.next = Some(next);
        true
    }

    /// Records that the running poll has ended without a result.
    pub fn abandon(&mut self) {
        self.running = None;
    }

    /// Makes the next poll due at `then`.
    pub fn poll_at(&mut self, then: Instant) {
        self.next = Some(then);
    }

    /// Returns the trigger of the last poll that has ended.
    #[must_use]
    pub fn last_poll(&self) -> Option<&PollTrigger> {
        self.ended.as_ref().map(|ended| &ended.trigger)
    }

    /// Returns the beginning of the last poll that has ended.
    #[must_use]
    pub fn last_poll_began(&self) -> Option<Instant> {
        self.ended.as_ref().map(|ended| ended.at)
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

        fn due(&mut self, millis: u64) -> Option<PollReason> {
            let now = self.at(millis);
            self.schedule.due(&trigger(1), now)
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
        let mut timeline = Timeline::polled();
        assert_eq!(timeline.due(29_999), None);
        assert_eq!(timeline.due(30_000), Some(PollReason::Interval));
        let now = timeline.at(1);
        assert_eq!(timeline.schedule.due(&trigger(2), now), Some(PollReason::Requested));
        let request = PollTrigger { request: Some("now".to_owned()), ..trigger(1) };
        assert_eq!(timeline.schedule.due(&request, now), Some(PollReason::Requested));
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
        assert_eq!(timeline.schedule.last_poll(), Some(&trigger(1)));
        assert!(timeline.schedule.end(second, true, timeline.at(30_000)));
        assert_eq!(timeline.schedule.last_poll(), Some(&trigger(2)));
    }

    #[test]
    fn whoever_asks_again_and_again_does_not_keep_a_slow_poll_from_ending() {
        let mut timeline = Timeline::polled();
        let asks = |number: u64| PollTrigger { request: Some(number.to_string()), ..trigger(1) };
        let began = timeline.at(1_000);
        assert_eq!(timeline.schedule.due(&asks(0), began), Some(PollReason::Requested));
        timeline.schedule.begin(asks(0), began);
        for number in 1..12 {
            let now = timeline.at(1_000 + number * 5_000);
            assert_eq!(timeline.schedule.due(&asks(number), now), None, "{number}");
        }
        assert_eq!(timeline.schedule.next(), None, "the end of the poll requeues the workspace");
        let ended = timeline.at(57_000);
        assert!(timeline.schedule.end(began, false, timeline.at(87_000)));
        assert_eq!(timeline.schedule.last_poll(), Some(&asks(0)));
        assert_eq!(timeline.schedule.due(&asks(11), ended), Some(PollReason::Requested));
    }

    #[test]
    fn calls_for_a_workspace_that_is_not_polled_are_few() {
        let mut timeline = Timeline::polled();
        for hour in 1..1_000 {
            timeline.schedule.called(timeline.at(hour * 3_600_000));
        }
        assert!(timeline.schedule.requested.len() <= 4, "{}", timeline.schedule.requested.len());
        let now = timeline.at(999 * 3_600_000);
        assert_eq!(timeline.due(999 * 3_600_000), Some(PollReason::Requested));
        assert!(timeline.schedule.next().is_some_and(|next| next <= now));
    }

    #[test]
    fn only_a_poll_that_began_later_answers_a_request() {
        let mut timeline = Timeline::polled();
        let (began, requested) = (timeline.at(100), timeline.at(200));
        timeline.schedule.begin(trigger(1), began);
        timeline.schedule.request(requested);
        assert!(timeline.schedule.end(began, false, timeline.at(30_000)));
        assert!(timeline.schedule.last_poll_began().is_some_and(|at| at < requested));
        assert_eq!(timeline.due(201), Some(PollReason::Requested));
        timeline.poll(201, false);
        assert!(timeline.schedule.last_poll_began().is_some_and(|at| at >= requested));
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

    /// Returns the number of polls that begin when this happens every millisecond of a second, and the time of the next.
    fn begun(
        mut happens: impl FnMut(&mut Schedule, u64, Instant) -> PollTrigger,
        ends: bool,
    ) -> (usize, Instant, Instant) {
        let mut timeline = Timeline::polled();
        let mut begun = 0;
        for millis in 1..1_000 {
            let now = timeline.at(millis);
            let trigger = happens(&mut timeline.schedule, millis, now);
            if timeline.schedule.due(&trigger, now).is_some() {
                timeline.schedule.begin(trigger, now);
                begun += 1;
                if ends {
                    assert!(timeline.schedule.end(now, false, now + Duration::from_secs(30)));
                }
            }
        }
        let next = timeline.schedule.next().expect("a poll is to come");
        (begun, next, timeline.at(999))
    }

    #[test]
    fn a_thousand_edits_in_a_second_cause_few_polls_and_the_last_edit_is_polled_for() {
        for ends in [false, true] {
            let (begun, next, now) = begun(|_, millis, _| trigger(1 + i64::try_from(millis).unwrap()), ends);
            assert!(begun <= 5, "{begun} polls");
            assert!(now < next && next <= now + APART);
        }
    }

    #[test]
    fn a_thousand_calls_in_a_second_cause_few_polls() {
        let called = |schedule: &mut Schedule, _, now| {
            schedule.called(now);
            trigger(1)
        };
        let (begun, next, now) = begun(called, true);
        assert!(begun <= 5, "{begun} polls");
        assert!(now < next && next <= now + APART);
    }
}
