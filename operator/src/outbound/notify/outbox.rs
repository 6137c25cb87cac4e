//! Decides which states of commits are sent to the git host, and when again. Pure.
//!
//! A state is sent once. Of each commit only the newest state is kept, and of a workspace only a few commits. What was
//! sent is in memory alone, so a restarted operator sends the newest state once more.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rototo_api::UpdatedAt;
use rototo_api::notify::CommitStatusSpec;
use rototo_protocol::backoff::Backoff;

use crate::outbound::notify::state::{CommitState, CommitStep};

/// The number of commits of a workspace whose states are kept.
const COMMITS: usize = 8;
/// The number of attempts to send one state: for about half an hour.
const ATTEMPTS: u32 = 16;
/// The number of states of one commit that are sent without a wait between them. Later ones wait as failures do: the state
/// of a commit whose processes start and fail again and again is news only so often.
const AT_ONCE: u32 = 6;
/// The number of failures in a row after which one is an Event, if trying again may help.
const SHOWN_AFTER: u32 = 3;
/// The wait between two attempts.
const PACE: Backoff = Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(300) };

/// The place to which the states of a workspace go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Destination {
    /// `spec.source`.
    pub(crate) source: String,
    /// `spec.notify.commitStatus`.
    pub(crate) spec: CommitStatusSpec,
}

/// The states of the commits of one workspace.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    destination: Option<Destination>,
    commits: VecDeque<Reported>,
    /// A request is under way.
    is_sending: bool,
    /// The failures that were Events since the last state that was sent.
    shown: BTreeSet<&'static str>,
}

/// One commit.
#[derive(Debug)]
struct Reported {
    newest: CommitState,
    /// The step of a publish that the git host has, or that it does not take.
    sent: Option<(CommitStep, Option<UpdatedAt>)>,
    /// The number of states that were sent.
    sends: u32,
    failures: u32,
    not_before: Instant,
}

impl Reported {
    fn is_open(&self) -> bool {
        self.sent.as_ref().is_none_or(|(step, publish)| (step, publish) != (&self.newest.step, &self.newest.publish))
    }
}

/// A failure to send a state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    /// Its code.
    pub(crate) code: &'static str,
    /// The part that time has in it.
    pub(crate) kind: FailureKind,
    /// The wait that the git host asks for.
    pub(crate) wait: Option<Duration>,
}

/// The part that time has in a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The host is away or busy: it is tried again.
    Passing,
    /// Somebody has to mend the credentials or the address: it is tried again meanwhile.
    Access,
    /// It was not tried, because the host has asked to wait.
    Unsent,
    /// The host does not take this state, and never will.
    Final,
}

/// The consequences of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consequences {
    /// The state is not sent again.
    pub(crate) gives_up: bool,
    /// It is an Event: it lasts, and was none since the last state that was sent.
    pub(crate) is_event: bool,
}

impl Outbox {
    /// Sends to this destination from now on. What was sent to another one is forgotten.
    pub(crate) fn follow(&mut self, destination: Option<Destination>) {
        if self.destination != destination {
            *self = Self { destination, is_sending: self.is_sending, ..Self::default() };
        }
    }

    /// Takes the state of the newest commit.
    pub(crate) fn offer(&mut self, state: CommitState, now: Instant) {
        if self.destination.is_none() {
            return;
        }
        if let Some(known) = self.commits.iter_mut().find(|known| known.newest.commit == state.commit) {
            if !known.newest.covers(&state) {
                (known.newest, known.failures) = (state, 0);
            }
            return;
        }
        self.commits.push_back(Reported { newest: state, sent: None, sends: 0, failures: 0, not_before: now });
        if self.commits.len() > COMMITS {
            self.commits.pop_front();
        }
    }

    /// Begins to send the newest state that is due. One is sent at a time.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<(Destination, CommitState)> {
        if self.is_sending {
            return None;
        }
        let due = self.commits.iter().rev().find(|known| known.is_open() && known.not_before <= now)?;
        let begun = (self.destination.clone()?, due.newest.clone());
        self.is_sending = true;
        Some(begun)
    }

    /// Records that what was being sent has ended without an outcome, as a task that panics does.
    pub(crate) fn abandon(&mut self) {
        self.is_sending = false;
    }

    /// Returns the time at which a state is due; `None` while one is sent.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let open = self.commits.iter().filter(|known| !self.is_sending && known.is_open());
        open.map(|known| known.not_before).min()
    }

    /// Records that the git host has this state.
    pub(crate) fn sent(&mut self, to: &Destination, state: &CommitState, now: Instant) {
        self.is_sending = false;
        let Some(known) = self.known(to, state) else { return };
        let sent = (state.step.clone(), state.publish);
        (known.sent, known.failures, known.sends) = (Some(sent), 0, known.sends.saturating_add(1));
        if let Some(beyond) = known.sends.checked_sub(AT_ONCE) {
            known.not_before = now + PACE.delay(beyond + 1, 1.0);
        }
        self.shown.clear();
    }

    /// Records that the git host does not have this state. `chance` lies between 0 and 1.
    pub(crate) fn failed(
        &mut self,
        to: &Destination,
        state: &CommitState,
        failure: Failure,
        now: Instant,
        chance: f64,
    ) -> Consequences {
        self.is_sending = false;
        let Some(known) = self.known(to, state) else { return Consequences { gives_up: true, is_event: false } };
        let asked = failure.wait.unwrap_or_default();
        if failure.kind == FailureKind::Unsent {
            // All workspaces wait for the same moment, and come one after the other.
            known.not_before = now + asked + PACE.first.mul_f64(10.0 * chance);
            return Consequences { gives_up: false, is_event: false };
        }
        known.failures += 1;
        known.not_before = now + PACE.delay(known.failures, chance).max(asked);
        let gives_up = failure.kind == FailureKind::Final || known.failures >= ATTEMPTS;
        let lasts = failure.kind != FailureKind::Passing || known.failures >= SHOWN_AFTER;
        if gives_up {
            known.sent = Some((state.step.clone(), state.publish));
        }
        let is_event = lasts && self.shown.insert(failure.code);
        Consequences { gives_up, is_event }
    }

    fn known(&mut self, to: &Destination, state: &CommitState) -> Option<&mut Reported> {
        if self.destination.as_ref() != Some(to) {
            return None;
        }
        self.commits.iter_mut().find(|known| known.newest.commit == state.commit)
    }
}

#[cfg(test)]
mod tests {
    use rototo_api::workspace::SecretRef;

    use super::*;

    const BUSY: Failure = Failure { code: "status", kind: FailureKind::Passing, wait: None };

    fn to(context: &str) -> Destination {
        let spec = CommitStatusSpec {
            host_type: None,
            address: None,
            context: Some(context.to_owned()),
            secret_ref: SecretRef { name: "rototo-commit-status".to_owned() },
        };
        Destination { source: "git+https://github.com/acme/config.git".to_owned(), spec }
    }

    fn state(commit: &str, step: CommitStep) -> CommitState {
        CommitState { commit: commit.to_owned(), publish: None, step, description: "x".to_owned() }
    }

    #[test]
    fn a_commit_that_is_published_anew_is_not_taken_for_applied() {
        let (mut outbox, _, now) = outbox();
        let publish = |commit: &str, step, second: i64| CommitState {
            publish: Some(UpdatedAt::after(None, jiff::Timestamp::from_second(second).unwrap())),
            ..state(commit, step)
        };
        for applied in [publish("a", CommitStep::Applied, 1), publish("b", CommitStep::Applied, 2)] {
            outbox.offer(applied, now);
            assert!(send(&mut outbox, now).is_some());
        }
        // The branch was set back to the first commit.
        outbox.offer(publish("a", CommitStep::Late, 3), now);
        assert_eq!(send(&mut outbox, now), Some(("a".to_owned(), CommitStep::Late)));
        outbox.offer(publish("a", CommitStep::Applied, 3), now);
        assert_eq!(send(&mut outbox, now), Some(("a".to_owned(), CommitStep::Applied)));
    }

    #[test]
    fn failures_that_alternate_are_one_event_each() {
        let (mut outbox, destination, now) = outbox();
        outbox.offer(state("a", CommitStep::Published), now);
        let events = (0..12).filter(|attempt| {
            let failure = Failure { code: if attempt % 2 == 0 { "status" } else { "unreachable" }, ..BUSY };
            let state = state("a", CommitStep::Published);
            outbox.failed(&destination, &state, failure, now, 0.5).is_event
        });
        assert_eq!(events.count(), 2);
    }

    fn outbox() -> (Outbox, Destination, Instant) {
        let mut outbox = Outbox::default();
        outbox.follow(Some(to("a")));
        (outbox, to("a"), Instant::now())
    }

    /// Sends what is due. Returns its commit and step.
    fn send(outbox: &mut Outbox, now: Instant) -> Option<(String, CommitStep)> {
        let (destination, state) = outbox.begin(now)?;
        outbox.sent(&destination, &state, now);
        Some((state.commit, state.step))
    }

    #[test]
    fn the_same_state_of_a_commit_is_sent_once() {
        let (mut outbox, _, now) = outbox();
        for step in [CommitStep::Published, CommitStep::Published, CommitStep::Applied, CommitStep::Published] {
            outbox.offer(state("a", step.clone()), now);
            if step == CommitStep::Published && outbox.commits[0].sent.is_none() {
                assert_eq!(send(&mut outbox, now), Some(("a".to_owned(), step)));
            }
        }
        assert_eq!(send(&mut outbox, now), Some(("a".to_owned(), CommitStep::Applied)));
        outbox.offer(state("a", CommitStep::Late), now);
        assert_eq!((send(&mut outbox, now), outbox.next_due()), (None, None));
        outbox.offer(state("a", CommitStep::RefusedByProcesses), now);
        assert_eq!(send(&mut outbox, now), Some(("a".to_owned(), CommitStep::RefusedByProcesses)));
    }

    #[test]
    fn only_the_newest_state_of_a_commit_is_sent_and_one_at_a_time() {
        let (mut outbox, _, now) = outbox();
        outbox.offer(state("a", CommitStep::Published), now);
        let (destination, published) = outbox.begin(now).unwrap();
        outbox.offer(state("a", CommitStep::Late), now);
        outbox.offer(state("a", CommitStep::Applied), now);
        assert!(outbox.begin(now).is_none() && outbox.next_due().is_none());
        outbox.sent(&destination, &published, now);
        assert_eq!(send(&mut outbox, now), Some(("a".to_owned(), CommitStep::Applied)));
        assert_eq!(send(&mut outbox, now), None);
    }

    #[test]
    fn a_state_whose_sending_has_ended_without_an_outcome_is_sent_again() {
        let (mut outbox, _, now) = outbox();
        outbox.offer(state("a", CommitStep::Published), now);
        assert!(outbox.begin(now).is_some() && outbox.begin(now).is_none());
        outbox.abandon();
        assert_eq!(send(&mut outbox, now), Some(("a".to_owned(), CommitStep::Published)));
    }

    #[test]
    fn a_commit_that_goes_back_and_forth_is_sent_less_and_less_often() {
        let (mut outbox, _, now) = outbox();
        let mut sent = 0;
        for second in 0..600 {
            let step = if second % 2 == 0 { CommitStep::Applied } else { CommitStep::RefusedByProcesses };
            let now = now + Duration::from_secs(second);
            outbox.offer(state("a", step), now);
            sent += u32::from(send(&mut outbox, now).is_some());
        }
        assert!((AT_ONCE..AT_ONCE + 12).contains(&sent), "{sent}");
    }

    #[test]
    fn a_failure_is_tried_again_after_a_growing_wait_or_the_one_that_the_host_asks_for() {
        let (mut outbox, destination, now) = outbox();
        let published = state("a", CommitStep::Published);
        outbox.offer(published.clone(), now);
        outbox.begin(now).unwrap();
        outbox.failed(&destination, &published, BUSY, now, 1.0);
        assert_eq!((outbox.begin(now), outbox.next_due()), (None, Some(now + Duration::from_secs(1))));
        let later = now + Duration::from_secs(1);
        outbox.begin(later).unwrap();
        let asks = Failure { wait: Some(Duration::from_secs(60)), ..BUSY };
        outbox.failed(&destination, &published, asks, later, 1.0);
        assert_eq!(outbox.next_due(), Some(later + Duration::from_secs(60)));
        // A newer state of the commit does not come earlier.
        outbox.offer(state("a", CommitStep::Applied), later);
        assert_eq!(outbox.next_due(), Some(later + Duration::from_secs(60)));
    }

    #[test]
    fn attempts_end_and_are_one_event() {
        let (mut outbox, destination, mut now) = outbox();
        let published = state("a", CommitStep::Published);
        outbox.offer(published.clone(), now);
        let mut shown = Vec::new();
        for attempt in 1..=ATTEMPTS {
            now = outbox.next_due().unwrap();
            outbox.begin(now).unwrap();
            let Consequences { gives_up, is_event } = outbox.failed(&destination, &published, BUSY, now, 1.0);
            assert_eq!(gives_up, attempt == ATTEMPTS);
            shown.extend(is_event.then_some(attempt));
        }
        assert_eq!((shown.as_slice(), outbox.next_due()), ([SHOWN_AFTER].as_slice(), None));
        let access = Failure { code: "secret_unusable", kind: FailureKind::Access, wait: None };
        outbox.offer(state("a", CommitStep::Applied), now);
        let next = outbox.next_due().unwrap();
        let (_, applied) = outbox.begin(next).unwrap();
        assert!(outbox.failed(&destination, &applied, access, next, 1.0).is_event);
    }

    #[test]
    fn what_the_host_never_takes_is_not_sent_again() {
        let (mut outbox, destination, now) = outbox();
        let published = state("a", CommitStep::Published);
        outbox.offer(published.clone(), now);
        outbox.begin(now).unwrap();
        let refused = Failure { kind: FailureKind::Final, ..BUSY };
        let consequences = outbox.failed(&destination, &published, refused, now, 1.0);
        assert_eq!(consequences, Consequences { gives_up: true, is_event: true });
        assert_eq!(outbox.next_due(), None);
    }

    #[test]
    fn a_few_commits_are_kept_and_the_newest_is_sent_first() {
        let (mut outbox, _, now) = outbox();
        for commit in 0..100 {
            outbox.offer(state(&commit.to_string(), CommitStep::Published), now);
        }
        let sent: Vec<_> = std::iter::from_fn(|| send(&mut outbox, now)).map(|(commit, _)| commit).collect();
        assert_eq!(sent, (92..100).rev().map(|commit| commit.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn another_destination_gets_the_newest_state_again_and_no_answer_of_the_first() {
        let (mut outbox, destination, now) = outbox();
        let published = state("a", CommitStep::Published);
        outbox.offer(published.clone(), now);
        outbox.begin(now).unwrap();
        outbox.follow(Some(to("b")));
        outbox.offer(published.clone(), now);
        assert!(outbox.begin(now).is_none(), "one is under way");
        outbox.sent(&destination, &published, now);
        assert_eq!(outbox.begin(now), Some((to("b"), published.clone())));
        outbox.follow(None);
        outbox.offer(published, now);
        assert_eq!(outbox.next_due(), None);
    }
}
