//! When the source of a workspace is looked at. Pure: times come in, and "now" or "later" goes out.
//!
//! One rule carries it: a look answers what was wanted before it began. So whoever wants news says since when, and nothing
//! that was on its way already counts.

use std::time::{Duration, Instant};

/// After a call of a webhook. Hosts call before the commit can be read everywhere.
const AFTER_A_CALL: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4)];

/// What the user asks for by changing the object. A change of it ends a look that is on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// The value of the annotation that asks for a reconcile.
    pub request: Option<String>,
}

/// When to look.
#[derive(Debug, Default)]
pub struct Schedule {
    /// When the interval is over; `None` before the first look.
    next: Option<Instant>,
    wanted: Vec<Wanted>,
    looking: Option<Begun>,
    answered: Option<Begun>,
}

/// A look that is to begin at `due` or later.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    since: Instant,
    due: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Begun {
    at: Instant,
    cause: Cause,
}

/// Why a look is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Somebody wants to know what is there now.
    Asked,
    /// The interval is over: what a neighbour learned of late will do.
    Interval,
}

impl Schedule {
    /// Whether to begin a look now, and why.
    #[must_use]
    pub fn due(&self, cause: &Cause, now: Instant) -> Option<Due> {
        let last = self.looking.as_ref().or(self.answered.as_ref());
        if last.is_none_or(|last| last.cause != *cause) {
            return Some(Due::Asked);
        }
        // What is wanted waits for the look that is on its way: who calls all the time must not keep it from ending.
        if self.looking.is_some() {
            return None;
        }
        if self.wanted.iter().any(|wanted| wanted.due <= now) {
            return Some(Due::Asked);
        }
        self.next.is_none_or(|next| next <= now).then_some(Due::Interval)
    }

    /// When a look is due that is not yet; `None` while one is on its way, which rings when it ends.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        if self.looking.is_some() {
            return None;
        }
        self.wanted.iter().map(|wanted| wanted.due).chain(self.next).min()
    }

    /// Wants an answer that is younger than `now`.
    pub fn want(&mut self, now: Instant) {
        self.wanted.push(Wanted { since: now, due: now });
    }

    /// A webhook has called: wants an answer now, and again shortly after unless there is news before.
    pub fn called(&mut self, now: Instant) {
        // However often it calls, only the last call's looks are still to come.
        self.wanted.retain(|wanted| wanted.due <= now);
        self.wanted.extend(AFTER_A_CALL.map(|after| Wanted { since: now, due: now + after }));
    }

    /// A look has begun. An earlier one is superseded: what it finds does not count.
    pub fn begin(&mut self, cause: Cause, now: Instant) {
        self.looking = Some(Begun { at: now, cause });
    }

    /// The look that began at `began` has ended. `false` if it was superseded.
    pub fn end(&mut self, began: Instant, found_news: bool, next: Instant) -> bool {
        let Some(looking) = self.looking.take_if(|looking| looking.at == began) else { return false };
        let settled = |wanted: &Wanted| wanted.due <= began || found_news && wanted.since <= began;
        self.wanted.retain(|wanted| !settled(wanted));
        self.answered = Some(looking);
        self.next = Some(next);
        true
    }

    /// The look on its way has ended without a word.
    pub fn abandon(&mut self) {
        self.looking = None;
    }

    /// Looks again at `then`, whatever is known.
    pub fn put_off_to(&mut self, then: Instant) {
        self.next = Some(then);
    }

    /// What the last look that ended was for.
    #[must_use]
    pub fn answered(&self) -> Option<&Cause> {
        self.answered.as_ref().map(|answered| &answered.cause)
    }

    /// When the last look began that has ended.
    #[must_use]
    pub fn answered_at(&self) -> Option<Instant> {
        self.answered.as_ref().map(|answered| answered.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Story {
        schedule: Schedule,
        start: Instant,
    }

    fn cause(generation: i64) -> Cause {
        Cause { generation: Some(generation), request: None }
    }

    impl Story {
        /// A workspace whose first look has ended, with an interval of 30 seconds.
        fn looked() -> Self {
            let start = Instant::now();
            let mut story = Self { schedule: Schedule::default(), start };
            assert_eq!(story.due(0), Some(Due::Asked));
            story.look(0, true);
            story
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn due(&self, millis: u64) -> Option<Due> {
            self.schedule.due(&cause(1), self.at(millis))
        }

        /// A look that begins and ends at once.
        fn look(&mut self, millis: u64, news: bool) {
            let (began, next) = (self.at(millis), self.at(millis + 30_000));
            self.schedule.begin(cause(1), began);
            assert!(self.schedule.end(began, news, next));
        }
    }

    #[test]
    fn the_interval_is_waited_for_unless_the_spec_changes() {
        let story = Story::looked();
        assert_eq!(story.due(29_999), None);
        assert_eq!(story.due(30_000), Some(Due::Interval));
        assert_eq!(story.schedule.due(&cause(2), story.at(1)), Some(Due::Asked));
        let request = Cause { request: Some("now".to_owned()), ..cause(1) };
        assert_eq!(story.schedule.due(&request, story.at(1)), Some(Due::Asked));
    }

    #[test]
    fn a_call_is_followed_by_three_looks_while_there_is_no_news() {
        let mut story = Story::looked();
        story.schedule.called(story.at(100));
        for (before, due) in [(99, 100), (1_099, 1_100), (4_099, 4_100)] {
            assert_eq!(story.due(before), None);
            assert_eq!(story.due(due), Some(Due::Asked));
            story.look(due, false);
        }
        assert_eq!(story.schedule.next(), Some(story.at(34_100)));
    }

    #[test]
    fn news_spare_the_looks_that_a_call_would_still_be_followed_by() {
        let mut story = Story::looked();
        story.schedule.called(story.at(100));
        story.look(100, true);
        assert_eq!(story.schedule.next(), Some(story.at(30_100)));
    }

    #[test]
    fn a_call_during_a_look_that_finds_news_is_still_answered() {
        let mut story = Story::looked();
        let began = story.at(100);
        story.schedule.begin(cause(1), began);
        story.schedule.called(story.at(200));
        assert_eq!(story.due(300), None);
        assert!(story.schedule.end(began, true, story.at(30_100)));
        assert_eq!(story.due(300), Some(Due::Asked));
    }

    #[test]
    fn a_superseded_look_answers_nothing() {
        let mut story = Story::looked();
        let (first, second) = (story.at(100), story.at(200));
        story.schedule.begin(cause(1), first);
        story.schedule.begin(cause(2), second);
        assert!(!story.schedule.end(first, true, story.at(30_000)));
        assert_eq!(story.schedule.answered(), Some(&cause(1)));
        assert!(story.schedule.end(second, true, story.at(30_000)));
        assert_eq!(story.schedule.answered(), Some(&cause(2)));
    }

    #[test]
    fn only_a_look_that_began_later_answers_who_wants_news() {
        let mut story = Story::looked();
        let (began, wanted) = (story.at(100), story.at(200));
        story.schedule.begin(cause(1), began);
        story.schedule.want(wanted);
        assert!(story.schedule.end(began, false, story.at(30_000)));
        assert!(story.schedule.answered_at().is_some_and(|at| at < wanted));
        assert_eq!(story.due(201), Some(Due::Asked));
        story.look(201, false);
        assert!(story.schedule.answered_at().is_some_and(|at| at >= wanted));
    }

    #[test]
    fn however_often_a_host_calls_only_the_looks_of_the_last_call_are_to_come() {
        let mut story = Story::looked();
        for millis in 0..1_000 {
            story.schedule.called(story.at(millis));
        }
        story.look(1_000, true);
        assert_eq!(story.schedule.next(), Some(story.at(31_000)));
    }
}
