//! The health of the watches of one scope: the namespaces that can be watched, as the answers to their watches show.
//!
//! A namespace of `--watch-namespace` may not exist yet, or not any more, and the operator's rights in it come and go
//! with it. [`WatchHealth::observe`] is the entry point: it returns a change of state, of which there is one however
//! often the watches are refused.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::core::Status;
use kube::runtime::watcher;
use rototo_connection::{api_answer, api_error};

/// The time for which a watch may fail before what it shows counts as incomplete. A watch that resumes after a failure
/// shows nothing until the next change, so one that has not failed for this long counts as running.
const LONG: Duration = Duration::from_secs(60);

/// The objects of one of the watches of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WatchedKind {
    /// RototoWorkspaces.
    Workspaces,
    /// Marker maps.
    Maps,
    /// Pods.
    Pods,
}

impl fmt::Display for WatchedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workspaces => "RototoWorkspaces",
            Self::Maps => "ConfigMaps",
            Self::Pods => "Pods",
        })
    }
}

/// All watches of a scope.
const KINDS: [WatchedKind; 3] = [WatchedKind::Workspaces, WatchedKind::Maps, WatchedKind::Pods];

/// An answer of the API server that refuses a watch until somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchRefusal {
    code: u16,
    /// Code, reason, and message.
    pub(crate) message: String,
}

impl WatchRefusal {
    /// Returns the refusal in an error of a watch. Every other error is an interruption.
    pub(crate) fn of(error: &watcher::Error) -> Option<Self> {
        let status: &Status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => status,
            _ => return None,
        };
        matches!(status.code, 401 | 403 | 404).then(|| Self { code: status.code, message: api_answer(status) })
    }

    /// Returns whether it is for want of rights, as in a namespace that does not exist.
    pub(crate) fn is_forbidden(&self) -> bool {
        self.code == 403
    }
}

/// Returns an error of a watch in one line.
pub(crate) fn interruption(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => api_error(error),
        watcher::Error::WatchError(status) => api_answer(status),
        watcher::Error::NoResourceVersion => error.to_string(),
    }
}

/// A change of the state of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HealthChange {
    /// The API server refuses one of the watches, for this reason.
    Refused(String),
    /// All watches run, for the first time.
    Watched,
    /// All watches run again.
    WatchedAgain,
}

/// The state of the watches of one scope.
#[derive(Debug, Default)]
pub(crate) struct WatchHealth(Mutex<WatchAnswers>);

#[derive(Debug, Default)]
struct WatchAnswers {
    /// The last answer to each watch. One that has had none is missing.
    answers: BTreeMap<WatchedKind, Result<(), WatchRefusal>>,
    /// The refusal that is the known state.
    shown: Option<(WatchedKind, WatchRefusal)>,
    /// All watches have run at once before.
    ran: bool,
    /// The failures in a row of each watch that is interrupted.
    interruptions: BTreeMap<WatchedKind, Interruption>,
}

/// Failures of one watch in a row that refuse nothing, such as lists that take too long.
#[derive(Debug)]
struct Interruption {
    since: Instant,
    last: Instant,
    error: String,
    /// The watch lists again, so it does not run until the list is complete.
    lists: bool,
}

impl Interruption {
    fn goes_on(&self, now: Instant) -> bool {
        self.lists || now - self.last < LONG
    }

    fn is_long(&self, now: Instant) -> bool {
        let until = if self.lists { now } else { self.last };
        until - self.since >= LONG && self.goes_on(now)
    }
}

impl WatchHealth {
    /// Notes an answer to one watch. Returns the change of state that it causes.
    pub(crate) fn observe(&self, kind: WatchedKind, answer: Result<(), WatchRefusal>) -> Option<HealthChange> {
        let mut watches = self.lock();
        watches.interruptions.remove(&kind);
        watches.answers.insert(kind, answer);
        watches.change()
    }

    /// Notes a failure of one watch that refuses nothing. Returns whether the interruption becomes a long one by it.
    pub(crate) fn interrupted(&self, kind: WatchedKind, error: String, now: Instant) -> bool {
        let mut watches = self.lock();
        let before = watches.interruptions.remove(&kind).filter(|before| before.goes_on(now));
        let was_long = before.as_ref().is_some_and(|before| before.is_long(before.last));
        let (since, lists) = before.map_or((now, false), |before| (before.since, before.lists));
        let interruption = Interruption { since, last: now, error, lists };
        let is_long = interruption.is_long(now);
        watches.interruptions.insert(kind, interruption);
        is_long && !was_long
    }

    /// Notes that a watch begins with a list. After a failure it does not run before that is complete.
    pub(crate) fn lists(&self, kind: WatchedKind) {
        if let Some(interruption) = self.lock().interruptions.get_mut(&kind) {
            interruption.lists = true;
        }
    }

    /// Returns why pods may run that the watch has not shown, if they may.
    pub(crate) fn pods_missing(&self, now: Instant) -> Option<String> {
        let watches = self.lock();
        if let Some((_, refusal)) = &watches.shown {
            return Some(format!("the API server refuses a watch: {}", refusal.message));
        }
        let interruption = watches.interruptions.get(&WatchedKind::Pods).filter(|failures| failures.is_long(now))?;
        Some(format!("the watch of pods has failed for more than {} s: {}", LONG.as_secs(), interruption.error))
    }

    /// Returns the reason why the scope can't be watched, if the API server refuses that.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.lock().shown.as_ref().map(|(_, refusal)| refusal.message.clone())
    }

    fn lock(&self) -> MutexGuard<'_, WatchAnswers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchAnswers {
    fn change(&mut self) -> Option<HealthChange> {
        let refused = |kind: &WatchedKind| self.answers.get(kind)?.as_ref().err().cloned();
        // The refusal that is known stands for the others for as long as it lasts.
        let kinds = self.shown.iter().map(|(kind, _)| *kind).chain(KINDS);
        let now = kinds.into_iter().find_map(|kind| Some((kind, refused(&kind)?)));
        match (self.shown.take(), now) {
            (before, Some((kind, refusal))) => {
                let same = before.is_some_and(|(_, known)| known.code == refusal.code);
                let message = refusal.message.clone();
                self.shown = Some((kind, refusal));
                (!same).then_some(HealthChange::Refused(message))
            }
            (before, None) => {
                let all = KINDS.iter().all(|kind| self.answers.contains_key(kind));
                let again = self.ran;
                if !all {
                    // The state is not known before each watch has had an answer.
                    self.shown = before;
                    return None;
                }
                self.ran = true;
                match (before.is_some(), again) {
                    (true, true) => Some(HealthChange::WatchedAgain),
                    (false, true) => None,
                    (_, false) => Some(HealthChange::Watched),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WatchedKind::{Maps, Pods, Workspaces};
    use super::*;

    fn refused(code: u16) -> Result<(), WatchRefusal> {
        Err(WatchRefusal { code, message: format!("{code}") })
    }

    fn changes(answers: &[(WatchedKind, Result<(), WatchRefusal>)]) -> Vec<HealthChange> {
        let health = WatchHealth::default();
        answers.iter().filter_map(|(kind, answer)| health.observe(*kind, answer.clone())).collect()
    }

    #[test]
    fn a_scope_is_watched_once_all_of_its_watches_run() {
        assert_eq!(changes(&[(Workspaces, Ok(())), (Maps, Ok(()))]), []);
        let all = [(Workspaces, Ok(())), (Maps, Ok(())), (Pods, Ok(())), (Pods, Ok(()))];
        assert_eq!(changes(&all), [HealthChange::Watched]);
    }

    #[test]
    fn a_refused_scope_changes_its_state_once_however_often_it_is_refused() {
        let gone = [(Maps, refused(403)), (Workspaces, refused(403)), (Pods, refused(403)), (Maps, refused(403))];
        assert_eq!(changes(&gone), [HealthChange::Refused("403".to_owned())]);
        let back = [(Maps, Ok(())), (Workspaces, Ok(())), (Pods, Ok(()))];
        let refused = HealthChange::Refused("403".to_owned());
        let not_yet = changes(&[gone.as_slice(), &back].concat());
        assert_eq!(not_yet, [refused.clone(), HealthChange::Watched]);
        let deleted = changes(&[back.as_slice(), &gone, &back].concat());
        assert_eq!(deleted, [HealthChange::Watched, refused, HealthChange::WatchedAgain]);
    }

    #[test]
    fn a_refusal_that_ends_gives_way_to_the_next() {
        let answers = [(Workspaces, refused(404)), (Pods, refused(403)), (Workspaces, Ok(())), (Maps, Ok(()))];
        let expected = ["404", "403"].map(|reason| HealthChange::Refused(reason.to_owned()));
        assert_eq!(changes(&answers), expected);
        let health = WatchHealth::default();
        for (kind, answer) in answers {
            health.observe(kind, answer);
        }
        assert_eq!(health.refusal().as_deref(), Some("403"));
        assert_eq!(health.observe(Pods, Ok(())), Some(HealthChange::Watched));
        assert_eq!(health.refusal(), None);
    }

    #[test]
    fn a_watch_of_pods_that_fails_for_a_minute_may_miss_some() {
        let (health, start) = (WatchHealth::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let fails = |second| health.interrupted(Pods, format!("504 at {second} s"), at(second));
        let missing = |second| health.pods_missing(at(second));
        assert_eq!([0, 30, 59].map(fails), [false; 3]);
        assert_eq!(missing(59), None);
        assert_eq!([65, 100].map(fails), [true, false]);
        assert!(missing(100).unwrap().ends_with("more than 60 s: 504 at 100 s"));
        // It has resumed, and no pod has changed.
        assert_eq!(missing(160), None);
        assert_eq!([170, 200].map(fails), [false; 2]);
        assert!(fails(230));
        health.observe(Pods, Ok(()));
        assert_eq!(missing(230), None);
        health.observe(Maps, refused(403));
        assert_eq!(missing(230).unwrap(), "the API server refuses a watch: 403");
    }

    #[test]
    fn a_list_that_takes_longer_than_a_minute_and_fails_again_and_again_may_miss_some() {
        let (health, start) = (WatchHealth::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let fails = |second| health.interrupted(Pods, "504".to_owned(), at(second));
        health.lists(Pods);
        assert!(!fails(0));
        health.lists(Pods);
        assert_eq!((health.pods_missing(at(59)), fails(100)), (None, true));
        health.lists(Pods);
        assert!(health.pods_missing(at(190)).is_some());
        assert!(!fails(200), "that is known");
        health.observe(Pods, Ok(()));
        assert_eq!(health.pods_missing(at(200)), None);
    }

    #[test]
    fn interruptions_of_other_watches_hide_no_pod() {
        let (health, start) = (WatchHealth::default(), Instant::now());
        for second in [0, 30, 61] {
            health.interrupted(Maps, "504".to_owned(), start + Duration::from_secs(second));
        }
        assert_eq!(health.pods_missing(start + Duration::from_secs(61)), None);
    }

    #[test]
    fn only_an_answer_that_asks_for_a_change_refuses_a_watch() {
        let check = |code: u16, refuses: bool| {
            let status = Status::failure("no", "Because").with_code(code).boxed();
            assert_eq!(
                WatchRefusal::of(&watcher::Error::InitialListFailed(kube::Error::Api(status.clone()))).is_some(),
                refuses
            );
            assert_eq!(WatchRefusal::of(&watcher::Error::WatchError(status)).is_some(), refuses);
        };
        for code in [401, 403, 404] {
            check(code, true);
        }
        for code in [410, 429, 500, 503] {
            check(code, false);
        }
        assert_eq!(WatchRefusal::of(&watcher::Error::NoResourceVersion), None);
    }
}
