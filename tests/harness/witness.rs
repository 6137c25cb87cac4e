//! The statements of a process about itself over time, and the check of a claim against them.
//!
//! A witness polls `/state` of one process continuously and keeps the responses with their times. All processes run on
//! one machine, so their times and those of the operator are from one clock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::http;

/// The pause between two requests of a witness.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest time between two responses. If it is exceeded, it is unknown what the process ran in between.
const DISTANCE: Duration = Duration::from_millis(500);

/// Content and the name of its publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The digest of the content.
    pub fingerprint: String,
    /// The name of the publish.
    pub updated_at: String,
}

/// One response of a process.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The time of the request.
    pub asked: Timestamp,
    /// The time of the response.
    pub answered: Timestamp,
    /// The publish that it runs.
    pub publish: Option<Publish>,
    /// The state that it reports.
    pub state: String,
}

/// A time during which the kernel kept a process from running.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// The time from which it was certainly stopped.
    pub from: Timestamp,
    /// The end of that time; `None` while it is stopped.
    pub until: Option<Timestamp>,
}

/// The observed life of one process, from its start to its end.
#[derive(Clone, Debug)]
pub struct Life {
    /// Its name in messages.
    pub name: String,
    /// The time of its start.
    pub started: Timestamp,
    /// The time at which the operator had counted it, if that was observed.
    pub counted: Option<Timestamp>,
    /// The time at which it was asked to end, or was killed.
    pub ended: Option<Timestamp>,
    /// The time at which its pod's object was deleted by force, so that nobody can see its end.
    pub lost: Option<Timestamp>,
    /// The times during which it was stopped.
    pub stops: Vec<Stop>,
    /// Its responses, in order.
    pub samples: Vec<Sample>,
}

/// A claim that every process runs a publish.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The source of the claim.
    pub by: String,
    /// The publish.
    pub publish: Publish,
    /// The start of the time in which every process should have run the publish at some moment.
    pub from: Timestamp,
    /// The end of that time, to which the claim refers.
    pub as_of: Timestamp,
}

/// The time limits of a check.
#[derive(Clone, Copy, Debug)]
pub struct Allowances {
    /// The time for which a new process does not have to count.
    pub grace: Duration,
    /// The time after which a process whose end can't be seen no longer has to count.
    pub forget: Duration,
    /// The time after which the operator knows a process: a process that ran content for this long before a publish was
    /// known at the publish.
    pub known_after: Duration,
}

/// The result of checking a claim against one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimFinding {
    /// The process ran the publish in that time, or may have run it.
    True,
    /// The claim does not have to cover the process.
    Excused,
    /// The process was not asked often enough to decide.
    Unclear,
    /// The process did not run the publish at any moment of that time.
    False,
}

/// A witness, which polls one process until it ends.
#[derive(Clone, Debug)]
pub struct Witness(Arc<Mutex<Life>>);

impl Witness {
    /// Starts to poll the process that listens at `address` and was started at `started`.
    #[must_use]
    pub fn of(name: &str, address: &str, started: Timestamp) -> Self {
        let name = name.to_owned();
        let (counted, ended, lost) = (None, None, None);
        let life = Life { name, started, counted, ended, lost, stops: Vec::new(), samples: Vec::new() };
        let witness = Self(Arc::new(Mutex::new(life)));
        let (asking, address) = (witness.clone(), address.to_owned());
        thread::spawn(move || {
            while asking.life().ended.is_none() {
                asking.ask(&address);
                thread::sleep(PAUSE);
            }
        });
        witness
    }

    fn ask(&self, address: &str) {
        let asked = Timestamp::now();
        let Ok(answer) = http::get(address, "/state").and_then(|answer| answer.json()) else { return };
        let sample = sample(asked, &answer);
        let mut life = self.life();
        // The responses of a process that was asked to end do not count.
        if life.ended.is_none() {
            life.samples.push(sample);
        }
    }

    /// Returns the record so far.
    pub fn life(&self) -> MutexGuard<'_, Life> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the process is stopped from now on.
    pub fn stopped(&self) {
        self.life().stops.push(Stop { from: Timestamp::now(), until: None });
    }

    /// Records that the process is about to continue.
    pub fn goes_on(&self) {
        if let Some(stop) = self.life().stops.last_mut() {
            stop.until.get_or_insert_with(Timestamp::now);
        }
    }

    /// Records that the operator has counted the process.
    pub fn note_counted(&self) {
        self.life().counted.get_or_insert_with(Timestamp::now);
    }

    /// Records that the process is about to end.
    pub fn ends(&self) {
        self.life().ended.get_or_insert_with(Timestamp::now);
    }

    /// Records that the object of its pod is about to be deleted by force.
    pub fn note_lost(&self) {
        self.life().lost.get_or_insert_with(Timestamp::now);
    }

    /// Keeps only the last response, where the others are not needed.
    pub fn forget_all_but_the_last(&self) {
        let mut life = self.life();
        let all = life.samples.len();
        life.samples.drain(..all.saturating_sub(1));
    }

    /// Returns the publish of its last response.
    #[must_use]
    pub fn latest(&self) -> Option<Publish> {
        self.life().samples.last().and_then(|sample| sample.publish.clone())
    }
}

fn sample(asked: Timestamp, answer: &Value) -> Sample {
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    let publish = text("fingerprint").zip(text("updated_at"));
    let publish = publish.map(|(fingerprint, updated_at)| Publish { fingerprint, updated_at });
    Sample { asked, answered: Timestamp::now(), publish, state: text("state").unwrap_or_default() }
}

/// A time in which a process may have run this publish.
struct RunSpan<'a> {
    from: Timestamp,
    until: Timestamp,
    publish: Option<&'a Publish>,
}

impl Life {
    /// Checks whether the process ran the claimed publish at the time of the claim.
    #[must_use]
    pub fn judge(&self, claim: &Claim, allowances: &Allowances) -> ClaimFinding {
        if self.is_excused(claim, allowances) {
            return ClaimFinding::Excused;
        }
        let from = match claim.publish.updated_at.parse::<Timestamp>() {
            // No process ran it before it was published.
            Ok(published) if published <= claim.as_of => published.max(claim.from),
            _ => claim.from,
        };
        let within = |span: &RunSpan<'_>| span.from <= claim.as_of && span.until >= from;
        let spans = self.spans();
        if spans.iter().any(|span| within(span) && span.publish == Some(&claim.publish)) {
            return ClaimFinding::True;
        }
        if self.is_unclear(from, claim.as_of) { ClaimFinding::Unclear } else { ClaimFinding::False }
    }

    fn is_excused(&self, claim: &Claim, allowances: &Allowances) -> bool {
        let Some(first) = self.samples.first() else { return true };
        let ended = self.ended.is_some_and(|ended| ended <= claim.as_of);
        let forgotten = self.lost.is_some_and(|lost| lost + allowances.forget <= claim.as_of);
        ended || forgotten || first.asked > claim.as_of || self.is_new(claim, allowances)
    }

    fn is_new(&self, claim: &Claim, allowances: &Allowances) -> bool {
        if self.counted.is_some_and(|counted| counted <= claim.as_of) {
            return false;
        }
        let published = claim.publish.updated_at.parse::<Timestamp>();
        let known = self.samples.iter().find(|sample| sample.publish.is_some()).is_some_and(|first| {
            published.as_ref().is_ok_and(|published| first.answered + allowances.known_after <= *published)
        });
        !known && self.started + allowances.grace > claim.as_of
    }

    /// Returns the publishes that it may have run, with times. Each response holds until the next one.
    fn spans(&self) -> Vec<RunSpan<'_>> {
        let mut spans = Vec::new();
        let mut before: Option<(Timestamp, &Sample)> = None;
        for sample in &self.samples {
            let answered_from = self.answered_from(sample);
            let publish = sample.publish.as_ref();
            // Between two responses it ran what the first says or what the second says.
            let since = before.map_or(self.started, |(until, _)| until);
            if let Some((until, last)) = before {
                spans.push(RunSpan { from: until, until: answered_from, publish: last.publish.as_ref() });
            }
            let stop = self.stops.iter().find(|stop| since <= stop.from && stop.from <= answered_from);
            let changed_from = match (stop, publish) {
                (Some(stop), Some(publish)) if !could_have_had(publish, stop.from) => {
                    stop.until.unwrap_or(answered_from)
                }
                _ => since,
            };
            spans.push(RunSpan { from: changed_from.min(sample.answered), until: sample.answered, publish });
            before = Some((sample.answered, sample));
        }
        if let Some((until, last)) = before {
            let forever = Timestamp::MAX;
            spans.push(RunSpan { from: until, until: forever, publish: last.publish.as_ref() });
        }
        spans
    }

    /// Returns the earliest time at which it can have sent this response: it can't while it is stopped.
    fn answered_from(&self, sample: &Sample) -> Timestamp {
        let stop = self
            .stops
            .iter()
            .find(|stop| stop.from <= sample.asked && stop.until.is_none_or(|until| sample.asked < until));
        stop.map_or(sample.asked, |stop| stop.until.unwrap_or(sample.answered))
    }

    fn is_unclear(&self, from: Timestamp, until: Timestamp) -> bool {
        let has_ended_since = |last: &Sample| {
            let stopped = self.stops.iter().any(|stop| last.answered <= stop.from);
            self.ended.is_some() && last.answered <= until && !stopped
        };
        // Nobody knows what it ran between its last response and its end.
        if self.samples.last().is_some_and(has_ended_since) {
            return true;
        }
        let pairs = self.samples.iter().zip(self.samples.iter().skip(1));
        let mut pairs = pairs.filter(|(one, next)| one.answered <= until && next.asked >= from);
        pairs.any(|(one, next)| {
            let stopped = self.stops.iter().any(|stop| one.answered <= stop.from && stop.from <= next.answered);
            !stopped && next.answered.duration_since(one.answered).unsigned_abs() > DISTANCE
        })
    }

    /// Describes the responses around a claim, for people.
    #[must_use]
    pub fn around(&self, claim: &Claim) -> String {
        let mut lines = vec![format!("{} started {}, ended {:?}", self.name, self.started, self.ended)];
        lines.extend(self.stops.iter().map(|stop| format!("  stopped {} to {:?}", stop.from, stop.until)));
        let mut last = None;
        for sample in self.samples.iter().filter(|sample| sample.asked <= claim.as_of + DISTANCE) {
            let says = (&sample.publish, &sample.state);
            if last != Some(says) {
                lines.push(format!("  {sample}"));
            }
            last = Some(says);
        }
        lines.join("\n")
    }
}

/// Returns whether a process may have run this publish at that time.
fn could_have_had(publish: &Publish, at: Timestamp) -> bool {
    publish.updated_at.parse::<Timestamp>().is_ok_and(|published| published <= at)
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "asked {} answered {}: {} ", self.asked, self.answered, self.state)?;
        match &self.publish {
            Some(publish) => write!(f, "{publish}"),
            None => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = self.fingerprint.strip_prefix("sha256:").unwrap_or(&self.fingerprint);
        write!(f, "{}@{}", fingerprint.get(..8).unwrap_or(fingerprint), self.updated_at)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} claims {} as of {} (since {})", self.by, self.publish, self.as_of, self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCES: Allowances = Allowances {
        grace: Duration::from_secs(4),
        forget: Duration::from_secs(40),
        known_after: Duration::from_millis(1500),
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    fn publish(name: &str, millis: i64) -> Publish {
        Publish { fingerprint: name.to_owned(), updated_at: format!("{:.6}", at(millis)) }
    }

    /// Returns a process that is asked every 50 ms from 0 to 20 s, and runs each of these publishes from its time on.
    fn life(runs: &[(i64, Publish)], stops: &[(i64, i64)]) -> Life {
        let asked_in_vain = |time: i64| stops.iter().any(|(from, until)| *from <= time && time < *until);
        let runs_at = |time: i64| runs.iter().rfind(|(from, _)| *from <= time).map(|(_, publish)| publish.clone());
        let sample = |asked: i64, answered: i64| Sample {
            asked: at(asked),
            answered: at(answered),
            publish: runs_at(answered),
            state: "applied".to_owned(),
        };
        let mut samples: Vec<Sample> =
            (0..400).map(|n| n * 50).filter(|time| !asked_in_vain(*time)).map(|time| sample(time, time + 1)).collect();
        samples.extend(stops.iter().map(|(from, until)| sample(*from, *until + 5)));
        samples.sort_by_key(|sample| sample.answered);
        let stops = stops.iter().map(|(from, until)| Stop { from: at(*from), until: Some(at(*until)) }).collect();
        let (counted, ended, lost) = (None, None, None);
        Life { name: "p".to_owned(), started: at(-10_000), counted, ended, lost, stops, samples }
    }

    fn judge(life: &Life, claimed: &Publish, as_of: i64) -> ClaimFinding {
        let claim = Claim { by: "test".to_owned(), publish: claimed.clone(), from: at(as_of - 3000), as_of: at(as_of) };
        life.judge(&claim, &ALLOWANCES)
    }

    #[test]
    fn a_claim_is_true_if_the_publish_ran_at_some_moment_of_its_window() {
        let (a, b) = (publish("a", -9000), publish("b", 5000));
        let life = life(&[(-5000, a.clone()), (5080, b.clone())], &[]);
        assert_eq!(judge(&life, &b, 5120), ClaimFinding::True);
        assert_eq!(judge(&life, &b, 5020), ClaimFinding::False);
        // The last response still counts for a moment, and no longer.
        assert_eq!(judge(&life, &a, 8000), ClaimFinding::True);
        assert_eq!(judge(&life, &a, 8200), ClaimFinding::False);
    }

    #[test]
    fn a_stopped_process_counts_with_its_last_response() {
        let (a, b) = (publish("a", -9000), publish("b", 5000));
        // It applies b when it continues, and only then answers the requests that came in the meantime.
        let stopped = life(&[(-5000, a.clone()), (9001, b.clone())], &[(4900, 9000)]);
        assert_eq!(judge(&stopped, &b, 7000), ClaimFinding::False);
        assert_eq!(judge(&stopped, &b, 9100), ClaimFinding::True);
        // It was stopped after the publish, and may have run it for some milliseconds before.
        let later = life(&[(-5000, a), (5075, b.clone())], &[(5080, 9000)]);
        assert_eq!(judge(&later, &b, 7000), ClaimFinding::True);
    }

    #[test]
    fn a_new_process_and_one_that_ended_are_excused() {
        let (a, b) = (publish("a", -9000), publish("b", 500));
        let mut life = life(&[(0, a)], &[]);
        life.started = at(-100);
        assert_eq!(judge(&life, &b, 3000), ClaimFinding::Excused);
        assert_eq!(judge(&life, &b, 4000), ClaimFinding::False);
        life.counted = Some(at(2500));
        assert_eq!(judge(&life, &b, 3000), ClaimFinding::False);
        life.ended = Some(at(3900));
        assert_eq!(judge(&life, &b, 4000), ClaimFinding::Excused);
    }

    #[test]
    fn a_claim_is_unclear_for_a_process_that_was_not_asked() {
        let (a, b) = (publish("a", -9000), publish("b", 5000));
        let mut life = life(&[(-5000, a)], &[]);
        life.samples.retain(|sample| sample.asked < at(5000) || sample.asked > at(6000));
        assert_eq!(judge(&life, &b, 5500), ClaimFinding::Unclear);
    }

    #[test]
    fn a_claim_is_unclear_for_a_process_between_its_last_response_and_its_end() {
        let (a, b) = (publish("a", -9000), publish("b", 5000));
        let ends = |stops: &[(i64, i64)]| {
            let mut life = life(&[(-5000, a.clone())], stops);
            life.samples.retain(|sample| sample.answered < at(5000));
            life.ended = Some(at(5400));
            judge(&life, &b, 5300)
        };
        assert_eq!((ends(&[]), ends(&[(5050, 5350)])), (ClaimFinding::Unclear, ClaimFinding::False));
    }
}
